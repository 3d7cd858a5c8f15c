"""From a checkpoint to plans of both networks in one command, its ONNX file left beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("onnxscript", reason="training needs requirements-train.txt")
pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX needs requirements-gpu.txt")

import torch

import run
from engines.encoder import ENCODERS
from engines.onnx_file import load_encoder
from engines.tensorrt.sidecar import load
from train.encoder.model import GestureEncoder, ModelConfig
from train.runs.checkpoint import save_checkpoint

MODEL = ModelConfig(crop_size=64, components=(8, 8, 8, 8), hidden=16, dim=16)
BUILD = [
    "build",
    "--checkpoint",
    "small.pt",
    "--engine",
    "e.plan",
    "--runtime",
    "tensorrt-rtx",
    "--target",
    "sm89",
    "--batch",
    "1",
]


def test_a_checkpoint_becomes_a_plan(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    save_checkpoint(GestureEncoder(MODEL), {}, Path("small.pt"))
    assert run.main([*BUILD, "--name", "mine-1"]) == 0
    _, spec, mark = load_encoder(Path("e.onnx"))
    assert spec.name == "mine-1" and load(Path("e.plan")).fingerprint == mark
    names = ["e.onnx", "e.palm.plan", "e.palm.plan.json", "e.plan", "e.plan.json", "small.pt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert [load(Path(f"{name}.plan")).role for name in ("e", "e.palm")] == ["hand pass", "palm"]
    assert capsys.readouterr().out == ""

    # Another encoder's file isn't written over: a gallery may belong to it.
    kept = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert run.main([*BUILD, "--name", "mine-2"]) == 1
    text = capsys.readouterr().err
    assert "e.onnx is another encoder than small.pt" in text and "--onnx e.onnx" in text
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("content", [b"", b"rubbish", ENCODERS["landmarks"].read_bytes()])
def test_a_checkpoint_that_is_none_is_told(content: bytes, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("small.pt").write_bytes(content)
    assert run.main(BUILD) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "small.pt is no checkpoint of this project" in said[0]
    assert [p.name for p in tmp_path.iterdir()] == ["small.pt"]
