"""A checkpoint becomes an ONNX encoder that does the same, in any batch, or a clear sentence."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("onnxscript", reason="exporting needs requirements-train.txt")

import onnx
import torch
from onnx import TensorProto

from engines.encoder import MODELS, open_encoder
from engines.errors import UserError
from engines.spec import preprocess
from tests.cli import fault, fine, run_py
from train.checkpoint import half, load_checkpoint, save_checkpoint
from train.export import export, spec_of
from train.model import GestureEncoder, ModelConfig

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("export") / "encoder.pt"
    save_checkpoint(half(GestureEncoder(ModelConfig()).eval()), {"recipe": "none"}, path)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    out = checkpoint.with_name("encoder.onnx")
    mark, difference = export(checkpoint, out, "tried-1")
    assert difference <= 1e-4
    assert open_encoder(str(out)).fingerprint == mark
    return out


@pytest.mark.parametrize("count", [1, 3])
def test_the_file_encodes_as_pytorch_does(checkpoint: Path, exported: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    crops = rng.integers(0, 256, (count, 160, 160, 3), np.uint8)
    points = rng.uniform(-0.1, 1.1, (count, 21, 3)).astype(np.float32)
    world = rng.normal(0, 0.04, (count, 21, 3)).astype(np.float32)
    model, about = load_checkpoint(checkpoint)
    assert about == {"recipe": "none"}
    inputs = preprocess(spec_of(model.config, "x"), crops, points, world)
    with torch.inference_mode():
        expected = model(*(torch.from_numpy(array) for array in inputs.values())).numpy()
    found = open_encoder(str(exported)).encode(crops, points, world)
    assert found.shape == (count, 256) and np.abs(found - expected).max() <= 1e-4
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    alone = open_encoder(str(exported)).encode(crops[-1:], points[-1:], world[-1:])
    assert np.abs(found[-1:] - alone).max() <= 1e-5


def test_its_spec_and_size(exported: Path, checkpoint: Path) -> None:
    spec = open_encoder(str(exported)).spec
    assert (spec.name, spec.crop_size, spec.dim, spec.similarity) == ("tried-1", 160, 256, "cosine")
    assert spec.inputs == ("crop", "landmarks", "world_landmarks")
    assert exported.stat().st_size <= 8 * MEGABYTE and checkpoint.stat().st_size <= 8 * MEGABYTE
    for constant in onnx.load(exported).graph.initializer:
        large = np.prod(constant.dims, dtype=int) >= 256
        assert constant.data_type != TensorProto.FLOAT or not large


@pytest.mark.slow
def test_the_same_checkpoint_gives_the_same_fingerprint(checkpoint: Path, exported: Path) -> None:
    again, _ = export(checkpoint, exported.with_name("again.onnx"), "tried-1")
    assert again == open_encoder(str(exported)).fingerprint


def test_what_fails_the_check_leaves_the_old_file(
    checkpoint: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.onnx"
    out.write_bytes(b"before")
    monkeypatch.setattr("train.export.parity", lambda *_: 0.5)
    with pytest.raises(UserError, match="differ by 5.0e-01.*nothing was written"):
        export(checkpoint, out, "x")
    assert out.read_bytes() == b"before" and list(tmp_path.iterdir()) == [out]


class Bomb:
    """Unpickled, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    file, made = tmp_path / "encoder.pt", tmp_path / "made"
    for write in (
        lambda: torch.save({"configuration": Bomb(made), "weights": {}}, file),
        lambda: file.write_bytes(pickle.dumps(Bomb(made))),
    ):
        write()
        with pytest.raises(UserError, match="is no checkpoint of this project"):
            load_checkpoint(file)
    assert not made.exists()


def test_damaged_checkpoints(checkpoint: Path, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    for name, data in (("half", whole[: len(whole) // 2]), ("empty", b""), ("text", b"hello")):
        file = tmp_path / f"{name}.pt"
        file.write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}.pt is no checkpoint of this project"):
            load_checkpoint(file)
    with pytest.raises(UserError, match="is no checkpoint"):
        load_checkpoint(tmp_path / "missing.pt")


def test_the_shipped_pair_is_one_encoder(tmp_path: Path) -> None:
    mark, _ = export(MODELS / "default.pt", tmp_path / "again.onnx", "default-1")
    assert mark == open_encoder("default").fingerprint


@pytest.mark.slow
def test_the_command_line(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.onnx"
    said = fine(run_py("export", checkpoint, "--out", out, "--name", "mine", cwd=tmp_path))
    assert open_encoder(str(out)).spec.name == "mine" and "fingerprint" in said.stderr
    sentence = fault(run_py("export", out, "--out", tmp_path / "b.onnx", cwd=tmp_path))
    assert "is no checkpoint of this project" in sentence
