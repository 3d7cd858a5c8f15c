"""`run.py build` of a one-pass encoder makes the palm network's plan beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
from pathlib import Path

import onnx
import pytest

import run
from engines.encoder import PALM_FILE
from engines.errors import UserError
from engines.hand_networks import PALM, find_palm_plan
from engines.onnx_file import load_encoder, load_network, save_encoder
from engines.selftest.candidates import find_engines
from engines.tensorrt import build as tensorrt_build
from engines.tensorrt.build import BuildOptions
from engines.tensorrt.plan_check import Machine, check_plan, rebuild_command
from engines.tensorrt.runtimes import InstalledRuntime, find_installed
from engines.tensorrt.sidecar import Sidecar, load
from engines.triton.repository import write_repository
from tests.cli import fault, fine, main_py, said
from tests.engines.one_pass import save_one_pass
from tests.engines.tensorrt.test_sidecar import CLASSIC
from tests.engines.test_engines import PICTURE, picture_model

RTX = "tensorrt-rtx"
rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs TensorRT for RTX: pip install tensorrt-rtx-cu13",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A one-pass encoder and one with two inputs."""
    save_one_pass(tmp_path / "e.onnx")
    save_encoder(picture_model(), PICTURE, tmp_path / "two.onnx")
    return tmp_path


def built(folder: Path, *words: str) -> list[str]:
    """`build` with TensorRT for RTX; → what it said."""
    return said(
        fine(main_py("build", *words, "--runtime", RTX, "--target", "sm89,sm120", cwd=folder))
    )


@rtx
def test_both_plans_are_really_built(folder: Path) -> None:
    lines = built(folder, "--onnx", "e.onnx", "--engine", "e.plan", "--batch", "1,2")
    assert [line.split(":")[0] for line in lines if " MB in " in line] == ["e.plan", "e.palm.plan"]
    assert "1 to 2 hands" in lines[0] and "1 to 2 pictures" in lines[2]
    encoder, palm = load(folder / "e.plan"), load(folder / "e.palm.plan")
    assert (encoder.role, palm.role) == ("hand pass", "palm")
    assert palm.onnx_sha256 == palm.fingerprint
    assert palm.fingerprint == hashlib.sha256(PALM_FILE.read_bytes()).hexdigest()
    for sidecar in (encoder, palm):
        assert sidecar.batches == (1, 2) and sidecar.targets == ("sm89", "sm120")
        assert sidecar.precision == "fp16"
    here = Machine(find_installed(), "sm120", palm.fingerprint)
    plan = folder / "e.palm.plan"
    assert check_plan(palm, plan, plan.read_bytes(), here) == RTX


@rtx
def test_the_palm_network_by_itself_and_again(folder: Path) -> None:
    built(folder, "--onnx", str(PALM_FILE), "--engine", "mine.plan", "--batch", "1")
    sidecar = load(folder / "mine.plan")
    assert sidecar.role == "palm" and sorted(p.name for p in folder.glob("*.plan")) == ["mine.plan"]
    command = rebuild_command(sidecar, Path("mine.plan"))
    assert command == (
        "python run.py build --onnx models/palm.onnx --engine mine.plan --precision fp16 "
        "--runtime tensorrt-rtx --batch 1 --target sm89,sm120"
    )
    other = Machine({RTX: InstalledRuntime("1.8", "13")}, "sm89")
    with pytest.raises(UserError, match="build it again: .* --onnx models/palm.onnx"):
        check_plan(sidecar, Path("mine.plan"), (folder / "mine.plan").read_bytes(), other)


@rtx
def test_an_encoder_with_two_inputs_gets_no_palm_plan(folder: Path) -> None:
    built(folder, "--onnx", "two.onnx", "--engine", "two.plan", "--batch", "1")
    assert load(folder / "two.plan").role == "encoder" and len(list(folder.glob("*.plan"))) == 1


@rtx
@pytest.mark.parametrize("name", ["palm.plan", "e.palm.plan"])
def test_an_encoder_does_not_take_the_palm_network_s_place(name: str, folder: Path) -> None:
    words = ("--onnx", "e.onnx", "--engine", name, "--runtime", RTX, "--target", "sm89")
    text = fault(main_py("build", *words, cwd=folder))
    assert f"{name} is where the palm network's plan goes: give the encoder's another" in text
    assert not list(folder.glob("*.plan*"))


@rtx
def test_each_plan_in_a_folder_has_its_own_palm_plan(folder: Path) -> None:
    for precision in ("fp32", "fp16"):
        built(
            folder, "--onnx", "e.onnx", "--engine", f"e-{precision}.plan", "--precision", precision
        )
    for precision in ("fp32", "fp16"):
        palm = find_palm_plan(folder / f"e-{precision}.plan")
        assert palm.name == f"e-{precision}.palm.plan"
        assert (load(palm).role, load(palm).precision) == ("palm", precision)
    plans = [name for name in find_engines(folder / "e.onnx") if name.endswith(".plan")]
    assert [Path(name).name for name in plans] == ["e-fp16.plan", "e-fp32.plan"]


def test_beside_an_encoder_in_8_bits_the_palm_network_is_in_fp16(folder, monkeypatch) -> None:
    made: list[tuple[str, str, str]] = []

    def note(source: Path, plan: Path, options: BuildOptions) -> Sidecar:
        made.append((source.name, plan.name, options.precision))
        _, spec, mark = load_network(source)
        return dataclasses.replace(CLASSIC, spec=spec, fingerprint=mark)

    monkeypatch.setattr(tensorrt_build, "resolve_options", lambda options: options)
    monkeypatch.setattr(tensorrt_build, "build", note)
    monkeypatch.chdir(folder)
    for precision, beside in (("int8", "fp16"), ("fp16", "fp16"), ("fp32", "fp32")):
        made.clear()
        words = ["--onnx", "e.onnx", "--engine", "e.plan", "--precision", precision]
        assert run.main(["build", *words]) == 0
        assert made == [("e.onnx", "e.plan", precision), ("palm.onnx", "e.palm.plan", beside)]


def test_only_encoders_are_served_by_triton(folder: Path) -> None:
    with pytest.raises(UserError, match="palm.onnx is the palm network, and no encoder"):
        write_repository(folder / "fleet", "palm", PALM_FILE)
    with pytest.raises(UserError, match="is the palm network, and no encoder"):
        load_encoder(PALM_FILE)
    assert not (folder / "fleet").exists()


def test_a_palm_network_of_another_shape_is_told(folder: Path) -> None:
    model = onnx.load(PALM_FILE)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 160
    onnx.save(model, folder / "palm.onnx")
    with pytest.raises(UserError, match=r"has picture \(N, 3, 160, 192\) where its spec says") as e:
        load_network(folder / "palm.onnx")
    assert str(e.value).endswith("python -m train.backbone.hand_networks")
    assert load_network(PALM_FILE)[1] is None and PALM.inputs == {"picture": (3, 192, 192)}
