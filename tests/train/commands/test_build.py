"""`run.py build` with Triton's repository: what it joins, and what it refuses before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import run
from engines.onnx_file import is_quantised, load_encoder, save_encoder
from engines.tensorrt import build as tensorrt_build
from engines.tensorrt.runtimes import InstalledRuntime
from engines.tensorrt.sidecar import Sidecar
from tests.calibration.int8.int8_files import small_encoder, write_prepared
from tests.engines.test_engines import PICTURE, picture_model

onnx_file = "e.onnx"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_encoder(picture_model(), PICTURE, Path(onnx_file))
    return tmp_path


def test_an_onnx_file_goes_into_a_repository_without_tensorrt(capsys, monkeypatch) -> None:
    monkeypatch.setattr(tensorrt_build, "find_installed", dict)
    asked = ["build", "--onnx", onnx_file, "--triton", "fleet", "--batch", "1,4"]
    assert run.main(asked) == 0
    assert Path("fleet/e/1/model.onnx").read_bytes() == Path(onnx_file).read_bytes()
    assert "max_batch_size: 4" in Path("fleet/e/config.pbtxt").read_text()
    said = capsys.readouterr()
    assert said.out == "" and "python run.py --engine triton://localhost:8001/e" in said.err


@pytest.mark.parametrize("file", ["hände.onnx", "my hands.onnx", ".hidden.onnx", "-x.onnx"])
def test_a_model_is_named_where_the_file_s_name_is_none_for_triton(file: str, capsys) -> None:
    Path(onnx_file).rename(file)
    words = ["build", f"--onnx={file}", "--triton", "fleet"]
    assert run.main(words) == 1
    [said] = capsys.readouterr().err.splitlines()
    assert repr(file.removesuffix(".onnx")) in said
    assert said.endswith("Choose one with --model NAME.") and not Path("fleet").exists()
    assert run.main([*words, "--model", "hands"]) == 0
    assert Path("fleet/hands/1/model.onnx").read_bytes() == Path(file).read_bytes()
    assert "triton://localhost:8001/hands" in capsys.readouterr().err


def test_a_model_s_name_is_checked_before_a_checkpoint_is_exported(here: Path, capsys) -> None:
    Path("mine.pt").touch()
    words = ["build", "--checkpoint", "mine.pt", "--triton", "fleet", "--model", "my hands"]
    assert run.main(words) == 1
    assert "got 'my hands'" in capsys.readouterr().err
    assert run.main(["build", "--onnx", onnx_file, "--engine", "e.plan", "--model", "hands"]) == 1
    assert "--model names a model in a repository" in capsys.readouterr().err
    assert sorted(p.name for p in here.iterdir()) == [onnx_file, "mine.pt"]


def test_neither_a_plan_nor_a_repository(here: Path, capsys) -> None:
    assert run.main(["build", "--onnx", onnx_file]) == 1
    assert "build makes --engine FILE.plan, a model in --triton DIR" in capsys.readouterr().err


def test_a_plan_that_triton_cannot_run_is_not_built(here: Path, capsys, monkeypatch) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX needs requirements-gpu.txt")
    asked = [
        "build",
        "--onnx",
        onnx_file,
        "--engine",
        "e.plan",
        "--triton",
        "fleet",
        "--runtime",
        "tensorrt-rtx",
        "--target",
        "sm89",
    ]
    assert run.main(asked) == 1
    assert "Triton runs plans of the classic TensorRT only" in capsys.readouterr().err
    assert [p.name for p in here.iterdir()] == [onnx_file]


def test_int8_needs_a_quantised_file(here: Path, monkeypatch) -> None:
    """Told before TensorRT is asked for anything: its module is only named here."""
    monkeypatch.setattr(
        tensorrt_build, "find_installed", lambda: {"tensorrt": InstalledRuntime("11.4", "13")}
    )
    monkeypatch.setattr(tensorrt_build, "compute_capability", lambda: "sm90")
    monkeypatch.setattr(tensorrt_build, "load", lambda name: None)
    options = tensorrt_build.BuildOptions("tensorrt", "int8")
    with pytest.raises(Exception, match="e.onnx isn't quantised, as --precision int8 needs: name"):
        tensorrt_build.build(Path(onnx_file), Path("e.plan"), options)


def test_int8_is_quantised_with_the_pictures_first(here: Path, capsys, monkeypatch) -> None:
    """TensorRT itself, which needs a GPU, is stood in for by a note of what it was given."""
    built: list[tuple[Path, Path]] = []

    def note(onnx: Path, plan: Path, options: tensorrt_build.BuildOptions) -> Sidecar:
        built.append((onnx, plan))
        _, spec, mark = load_encoder(onnx)
        return Sidecar(
            "tensorrt",
            "11.4",
            "13",
            "",
            ("sm90",),
            "int8",
            False,
            "",
            mark,
            spec,
            (1, 2),
            1.0,
            1,
            "",
        )

    monkeypatch.setattr(
        tensorrt_build, "resolve_options", lambda options: replace(options, runtime="tensorrt")
    )
    monkeypatch.setattr(tensorrt_build, "build", note)
    small_encoder(here / "small.onnx")
    names = [("set", who, label) for who in "abcd" for label in "pqrstu" for _ in range(9)]
    write_prepared(here / "hands.npz", names)
    asked = [
        "build",
        "--onnx",
        "small.onnx",
        "--engine",
        "small8.plan",
        "--precision",
        "int8",
        "--pictures",
        "hands.npz",
    ]
    assert run.main(asked) == 0
    assert built == [(Path("small8.onnx"), Path("small8.plan"))]
    assert is_quantised(load_encoder(Path("small8.onnx"))[0])
    assert Path("small8.manifest.json").exists() and Path("small8.report.json").exists()
    before = Path("small8.onnx").read_bytes()
    assert run.main(asked) == 1
    assert "small8.onnx is there, where the encoder in 8 bits goes" in capsys.readouterr().err
    assert Path("small8.onnx").read_bytes() == before
    assert run.main([*asked[:5], "--pictures", "hands.npz"]) == 1
    assert "--pictures are what --precision int8 is calibrated with" in capsys.readouterr().err
