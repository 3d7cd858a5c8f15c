"""The self-test on this machine without a GPU, with a GPU's part played, and its report."""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import importlib.util
import json
import platform
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import run
from engines import files as atomic
from engines.encoder import ENCODERS
from engines.errors import UserError
from engines.finding import Finding
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.selftest import bug_report, machine
from engines.selftest import plans as selftest_plans
from engines.selftest.machine import Gpu, examine_machine, find_gpu
from engines.selftest.outputs import all_outputs
from engines.selftest.selftest import examine_encoder, examine_plan
from engines.selftest.trials import Effort
from engines.spec import EncoderInputs
from engines.tensorrt import build as tensorrt_build
from engines.tensorrt import gpu, sidecar
from engines.tensorrt.build import BuildOptions, build
from realtime.commands import doctor
from realtime.doctor import selftest as selftest_command
from realtime.measuring.drawn_crops import drawn_crops
from tests.engines.onnx_runtime.test_providers import quantised
from tests.engines.test_engines import PICTURE, hands, picture_model

DEFAULT = ENCODERS["default"]
RTX = "TensorRT for RTX"
CARD = Gpu("NVIDIA GeForce RTX 4090", "sm89", 24000, "13.0", "580.82")
EFFORT = Effort(hands=8, encodes=8, repeats=3, batches=(1, 2))
rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs TensorRT for RTX: pip install tensorrt-rtx-cu13",
)


def draw(size: int) -> EncoderInputs:
    return hands(EFFORT.hands, size)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a small encoder, and the same quantised."""
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    save_encoder(quantised(picture_model()), PICTURE, tmp_path / "e-int8.onnx")
    return tmp_path


def arguments(folder: Path, *words: str) -> argparse.Namespace:
    return run.parse(["doctor", "engine", *words, "--json", str(folder / "report.json")])


@rtx
def test_the_default_encoder_without_a_gpu(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(machine, "find_gpu", lambda: None)
    report = tmp_path / "report.json"
    assert selftest_command.self_test(DEFAULT, "default", None, report, EFFORT)
    found = {f["what"]: f for f in json.loads(report.read_text("utf-8"))["findings"]}
    assert found["GPU"]["ok"] is None and found["ONNX Runtime, cpu: two threads"]["ok"]
    assert list(found["ONNX Runtime, cpu: speed"]["figures"]["latency_ms"]) == ["1", "2"]
    for precision in ("fp32", "fp16"):
        built = found[f"{RTX}, {precision}: built"]
        assert built["ok"] and built["found"].endswith("s for sm89")
        assert built["figures"]["plan_bytes"] > 4e6
        run = found[f"{RTX}, {precision}"]
        assert run["ok"] is None and run["found"] == "not run: no NVIDIA GPU answers here"
    assert "no INT8 convolutions" in found[f"{RTX}, int8"]["found"]
    shown = capsys.readouterr().out
    assert f"ok     {RTX}, fp16: built: " in shown and "p95" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_the_command_line(files: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(machine, "find_gpu", lambda: None)
    monkeypatch.setattr("engines.selftest.trials.Effort", lambda: EFFORT)
    doctor.run(arguments(files, str(files / "e.onnx")))
    text = (files / "report.json").read_text("utf-8")
    found = {f["what"]: f for f in json.loads(text)["findings"]}
    assert found["ONNX Runtime, cpu, int8: right"]["ok"]  # the file beside it was taken
    assert "attach it to a bug report" in capsys.readouterr().err
    (files / "e.onnx").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="Something doesn't work that should"):
        doctor.run(arguments(files, str(files / "e.onnx")))
    shown = capsys.readouterr().out
    assert "wrong  encoder: doesn't work" in shown and "can't be opened as an ONNX file" in shown
    with pytest.raises(UserError, match=r"There is no none.plan to test"):
        doctor.run(arguments(files, "none.plan"))
    with pytest.raises(UserError, match=r"takes FILE.onnx or FILE.plan; got e.png"):
        doctor.run(arguments(files, "e.png"))
    bad = arguments(files, str(files / "e.onnx"))
    bad.json = files / "no" / "report.json"
    with pytest.raises(UserError, match="not a folder that you can write to"):
        doctor.run(bad)


def test_int8_that_is_too_far_off_is_found(files: Path, monkeypatch) -> None:
    save_encoder(
        picture_model(),
        dataclasses.replace(PICTURE, crop_mean=(0.1, 0.1, 0.9)),
        files / "e-int8.onnx",
    )
    found = list(
        examine_encoder(files / "e.onnx", files / "e-int8.onnx", draw, None, files, EFFORT)
    )
    [right] = [f for f in found if f.what == "ONNX Runtime, cpu, int8: right"]
    assert right.ok is False and right.figures["limit"] == 0.99


class Played(OnnxEncoder):
    """A plan's part, played by ONNX Runtime."""

    gpu_ms = 0.001

    def __init__(self, onnx: Path, scale: float = 1.0) -> None:
        super().__init__(onnx)
        self.scale = np.linspace(1.0, scale, PICTURE.dim, dtype=np.float32)

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        return super().encode(hands) * self.scale


@pytest.fixture
def card(monkeypatch) -> None:
    monkeypatch.setattr(tensorrt_build, "compute_capability", lambda: "sm89")
    monkeypatch.setattr(machine, "find_installed", lambda: {})  # said elsewhere


@rtx
def test_plans_that_run_are_compared_and_timed(card, files: Path, monkeypatch) -> None:
    opened = []

    def open_plan(plan: Path) -> Played:
        opened.append(plan.name)
        return Played(files / "e.onnx", scale=0.0 if "fp16" in plan.name else 1.0)

    monkeypatch.setattr(selftest_plans, "_open_plan", open_plan)
    findings = examine_encoder(files / "e.onnx", None, draw, CARD, files, EFFORT)
    found = {finding.what: finding for finding in findings}
    assert opened == ["tensorrt-rtx-fp32.plan", "tensorrt-rtx-fp16.plan"]
    assert found["GPU"].ok and "sm89" in found["GPU"].found and "580.82" in found["driver"].found
    assert found[f"{RTX}, fp32: right"].ok and found[f"{RTX}, fp32: two threads"].ok
    speed = found[f"{RTX}, fp32: speed"].figures["latency_ms"]["1"]
    assert speed["gpu_p50"] == 0.001 and speed["host_p50"] == pytest.approx(
        speed["p50"] - 0.001, abs=2e-4
    )
    wrong = found[f"{RTX}, fp16: right"]
    assert wrong.ok is False and wrong.figures["limit"] == 0.999
    assert found[f"{RTX}, fp16: speed"].ok is not False  # and the rest went on


@rtx
@pytest.mark.parametrize("fault", [UserError("It can't be built."), MemoryError("no room")])
def test_a_build_that_fails_does_not_end_it(fault, files: Path, monkeypatch) -> None:
    def fails(onnx: Path, plan: Path, options: BuildOptions) -> sidecar.Sidecar:
        if options.precision == "fp32":
            raise fault
        return build(onnx, plan, options)

    monkeypatch.setattr(selftest_plans, "build", fails)
    findings = examine_encoder(files / "e.onnx", None, draw, None, files, EFFORT)
    found = {finding.what: finding for finding in findings}
    failed = found[f"{RTX}, fp32: built"]
    assert failed.ok is False and str(fault) in failed.found + failed.advice
    assert found[f"{RTX}, fp16: built"].ok


@pytest.mark.parametrize(
    ("runtime", "precision", "gpu", "quantised_file", "text"),
    [
        ("tensorrt-rtx", "int8", CARD, True, "no INT8 convolutions"),
        ("tensorrt-rtx", "fp16", dataclasses.replace(CARD, capability="sm75"), True, "for sm75"),
        ("tensorrt-rtx", "fp16", dataclasses.replace(CARD, capability="sm120"), True, None),
        ("tensorrt", "fp16", None, True, "builds on the GPU that will run the plan"),
        ("tensorrt", "fp16", CARD, True, None),
        ("tensorrt", "int8", CARD, False, "no quantised ONNX file"),
        ("tensorrt", "int8", CARD, True, None),
    ],
)
def test_what_a_gpu_allows(runtime, precision, gpu, quantised_file: bool, text) -> None:
    onnx = Path("e.onnx") if quantised_file else None
    why_not = selftest_plans._why_not(runtime, precision, onnx, gpu)
    assert why_not is None if text is None else text in (why_not or "")


@pytest.fixture
def plan(files: Path) -> Path:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx-cu13")
    build(
        files / "e.onnx", files / "e.plan", BuildOptions("tensorrt-rtx", "fp32", (1, 2), ("sm89",))
    )
    return files / "e.plan"


def examined(plan: Path, gpu: Gpu | None, onnx: str = "e.onnx") -> dict[str, Finding]:
    found = list(examine_plan(plan, plan.with_name(onnx), draw, gpu, EFFORT))
    return {
        f"{finding.what} {finding.found}" if finding.what == "plan" else finding.what: finding
        for finding in found
    }


def test_a_plan_without_a_gpu(plan: Path) -> None:
    found = examined(plan, None)
    assert found["plan fp32 for sm89, run by TensorRT for RTX"].ok
    assert found["plan not run: no NVIDIA GPU answers here"].ok is None
    plan.write_bytes(plan.read_bytes()[:-1])
    [wrong] = [f for f in examined(plan, None).values() if f.what == "plan"]
    assert wrong.ok is False and "copy it again whole" in wrong.advice


def test_a_plan_of_another_gpu(plan: Path) -> None:
    other = dataclasses.replace(CARD, capability="sm120")
    [wrong] = [f for f in examined(plan, other).values() if f.what == "plan"]
    assert wrong.ok is False and "built for sm89 and the GPU here is sm120" in wrong.advice


def test_a_plan_with_a_gpu(plan: Path, monkeypatch) -> None:
    onnx = plan.with_name("e.onnx")
    monkeypatch.setattr(selftest_plans, "_open_plan", lambda path: Played(onnx))
    found = examined(plan, CARD)
    assert found["plan: right"].ok and found["plan: speed"].figures["latency_ms"]["2"]
    spec = dataclasses.replace(PICTURE, name="other-1")
    save_encoder(picture_model(), spec, plan.with_name("other.onnx"))
    found = examined(plan, CARD, "other.onnx")
    assert found["plan: right"].ok is None and "--encoder" in found["plan: right"].advice
    assert found["plan: two threads"].ok and found["plan: speed"].figures
    found = examined(plan, CARD, "none.onnx")  # not even a reference
    assert found["encoder"].ok is False and found["plan: two threads"].ok
    fault = UserError("The GPU's memory is full.")

    def full(path: Path) -> Played:
        raise fault

    monkeypatch.setattr(selftest_plans, "_open_plan", full)
    assert examined(plan, CARD)["plan doesn't work"].advice == str(fault)


def test_hands_are_drawn_apart_from_each_other() -> None:
    """Else a plan that mixes them up, or looks at nothing, would pass."""
    encoder = OnnxEncoder(DEFAULT)
    crops = drawn_crops(16, encoder.spec.crop_size)
    alike = all_outputs(encoder, crops, 8)["embedding"]
    alike = alike @ alike.T - np.eye(16)
    assert alike.max() < 0.99


class Driver:
    """libcuda and NVML with one GPU."""

    def __getattr__(self, name: str):
        values = {"cuDriverGetVersion": 13000, "cuDeviceTotalMem_v2": 24 * 2**30}
        texts = {"cuDeviceGetName": b"NVIDIA RTX", "nvmlSystemGetDriverVersion": b"580.82"}

        def call(*given: Any) -> int:
            if name == "cuDeviceGetAttribute":
                given[0]._obj.value = {75: 12, 76: 0}[given[1]]
            elif name in values:
                given[0]._obj.value = values[name]
            elif name in texts:
                given[0].value = texts[name]
            return 0

        return call


def test_the_gpu_is_described_by_its_driver(monkeypatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert find_gpu() == Gpu("NVIDIA RTX", "sm120", 24576, "13.0", "580.82")
    monkeypatch.setattr(gpu, "DRIVER", "libnothing.so.1")

    def none(name: str) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert find_gpu() is None and machine._driver_release() is None


def test_a_runtime_that_cannot_be_loaded_is_wrong(monkeypatch) -> None:
    here = SimpleNamespace(version="10.16.1.11", cuda="13")
    monkeypatch.setattr(machine, "find_installed", lambda: {"tensorrt": here})

    def fails(name: str) -> None:
        raise UserError("TensorRT is installed but can't be loaded (libnvinfer.so.10).")

    monkeypatch.setattr(machine, "load", fails)
    found = {finding.what: finding for finding in examine_machine(CARD)}
    assert found["TensorRT"].ok is False and "libnvinfer.so.10" in found["TensorRT"].advice
    other = SimpleNamespace(__version__="10.9.0.34")
    monkeypatch.setattr(machine, "load", lambda name: other)
    found = {finding.what: finding for finding in examine_machine(CARD)}
    assert "what loads is 10.9.0.34" in found["TensorRT"].advice
    monkeypatch.setattr(machine, "find_installed", lambda: {})
    found = {finding.what: finding for finding in examine_machine(CARD)}
    assert found["TensorRT"].ok is None and "pip install tensorrt-cu13" in found["TensorRT"].advice


def test_a_report_names_no_people_and_no_folders(tmp_path: Path, monkeypatch) -> None:
    home = tmp_path / "Jane Doe"
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(platform, "node", lambda: "janesbox")
    monkeypatch.setattr(bug_report.getpass, "getuser", lambda: "jdoe")
    named = [home / "my hands" / "e.plan", Path("plans/jdoe/f.onnx")]
    hidden = bug_report.collect_private(named)
    again = "build it again: python run.py build --engine {} --batch 1,2"
    texts = {
        f"{named[0]} has 3 bytes": "e.plan has 3 bytes",
        f"{named[0]}.json can't be read": "e.plan.json can't be read",
        f"{named[1]} is not an ONNX file": "f.onnx is not an ONNX file",
        f"see {home}/other/x.so.": "see x.so.",
        f"in {home}": "in ~",
        "no /usr/lib/x86/libfoo.so.1: cannot": "no libfoo.so.1: cannot",
        r"no C:\Users\jdoe\AppData\foo.dll": "no foo.dll",
        "jdoe on janesbox": "… on …",
        "jdoes, 12 ms/hand, 24/7, and/or": "jdoes, 12 ms/hand, 24/7, and/or",
        f"{sys.prefix}/lib/x.py, line 3": "x.py, line 3",
        again.format("/a/b/e.plan"): again.format("e.plan"),
    }
    for text, clean in texts.items():
        assert bug_report.scrub({"a": [text, 1.5, None, True]}, hidden) == {
            "a": [clean, 1.5, None, True]
        }


def test_a_report_is_whole_or_as_it_was(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("the old one")
    hidden = bug_report.collect_private([])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(UserError, match=r"can't write .*report.json \(No space left"):
        bug_report.write(path, {}, [Finding("a", True, "b")], hidden, True)
    assert path.read_text() == "the old one" and len(list(tmp_path.iterdir())) == 1


def test_what_was_found_survives_the_program(tmp_path: Path, monkeypatch) -> None:
    """A driver may take the process with it."""

    def dies(*_: object):
        yield Finding("GPU", True, "there")
        raise SystemExit(139)

    monkeypatch.setattr(selftest_command, "_findings", dies)
    with pytest.raises(SystemExit):
        selftest_command.self_test(DEFAULT, "default", None, tmp_path / "r.json", EFFORT)
    left = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert left["finished"] is False and [f["what"] for f in left["findings"]] == ["GPU"]
    assert left["tested"] == "default.onnx" and left["machine"]["packages"]["onnxruntime"]
