"""A plan's sidecar: written, read, and compared with the machine, each mismatch one sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import pytest

from engines import files as atomic
from engines.errors import UserError
from engines.tensorrt import gpu
from engines.tensorrt import runtimes as tensorrt_runtimes
from engines.tensorrt.plan_check import Machine, check_plan
from engines.tensorrt.runtimes import InstalledRuntime
from engines.tensorrt.sidecar import Sidecar, load, save, sidecar_path, this_system
from tests.engines.test_engines import PICTURE

PLAN = b"a plan" * 100
RTX = Sidecar(
    runtime="tensorrt-rtx",
    runtime_version="1.7.1.116",
    cuda="13",
    system=this_system(),
    targets=("sm89", "sm120"),
    precision="fp16",
    portable=False,
    onnx_sha256="0" * 64,
    fingerprint="ab" * 32,
    spec=PICTURE,
    batches=(1, 8),
    build_s=1.25,
    plan_bytes=len(PLAN),
    plan_sha256=hashlib.sha256(PLAN).hexdigest(),
)
CLASSIC = dataclasses.replace(
    RTX, runtime="tensorrt", runtime_version="10.16.1.11", cuda="12", targets=("sm86",)
)
PORTABLE = dataclasses.replace(CLASSIC, portable=True)
HERE = Machine({"tensorrt-rtx": InstalledRuntime("1.7.1.116", "13")}, "sm89", RTX.fingerprint)


def having(gpu: str | None = "sm86", **versions: str) -> Machine:
    """A machine with these runtimes, `tensorrt_lean="11.4"` for tensorrt-lean."""
    there = {name.replace("_", "-"): InstalledRuntime(v, "13") for name, v in versions.items()}
    return Machine(there, gpu)


def refused(sidecar: Sidecar, here: Machine, plan: bytes = PLAN) -> str:
    with pytest.raises(UserError) as caught:
        check_plan(sidecar, Path("x.plan"), plan, here)
    text = str(caught.value)
    assert text.startswith("x.plan ") and "\n" not in text and ". " not in text
    return text


def test_it_comes_back_from_the_file(tmp_path: Path) -> None:
    plan = tmp_path / "x.plan"
    save(RTX, plan)
    assert load(plan) == RTX
    assert [p.name for p in tmp_path.iterdir()] == ["x.plan.json"]
    fields = json.loads(sidecar_path(plan).read_text())
    assert fields["targets"] == ["sm89", "sm120"] and fields["spec"]["name"] == "picture-1"


def test_a_full_disk_leaves_the_old_one(tmp_path: Path, monkeypatch) -> None:
    save(RTX, tmp_path / "x.plan")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save(CLASSIC, tmp_path / "x.plan")
    assert load(tmp_path / "x.plan") == RTX and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "has format 2; this program reads 1"),
        ({"format": None}, "has format None"),
        ({"runtime": "onnx"}, "doesn't say what a plan was built for"),
        ({"batches": []}, "doesn't say"),
        ({"batches": [0]}, "doesn't say"),
        ({"batches": 3}, "doesn't say"),
        ({"targets": [89]}, "doesn't say"),
        ({"targets": None}, "doesn't say"),
        ({"plan_bytes": "many"}, "doesn't say"),
        ({"fingerprint": 12}, "doesn't say"),
        ({"runtime_version": 1.7}, "doesn't say"),
        ({"more": 1}, "doesn't say"),
        ({"spec": {"version": 3}}, "x.plan.json doesn't say"),
        ({"spec": None}, "x.plan.json doesn't say"),
        ({"targets": []}, "doesn't say"),
        ({"batches": [8, 2, 1]}, "doesn't say"),
        ({"portable": "no"}, "doesn't say"),
        ({"precision": "fp8"}, "doesn't say"),
        ({"cuda": 13}, "doesn't say"),
        ({"system": None}, "doesn't say"),
    ],
)
def test_a_sidecar_that_is_none_is_told(change, sentence: str, tmp_path: Path) -> None:
    plan = tmp_path / "x.plan"
    save(RTX, plan)
    fields = json.loads(sidecar_path(plan).read_text()) | change
    sidecar_path(plan).write_text(json.dumps(fields))
    with pytest.raises(UserError, match=sentence):
        load(plan)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\udcff"])
def test_a_file_that_is_no_sidecar_is_told(text: str, tmp_path: Path) -> None:
    sidecar_path(tmp_path / "x.plan").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match="doesn't say .*python run.py build --onnx FILE.onnx"):
        load(tmp_path / "x.plan")


def test_no_sidecar_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no x.plan.json beside it.*run.py build"):
        load(tmp_path / "x.plan")
    sidecar_path(tmp_path / "x.plan").mkdir()
    with pytest.raises(UserError, match="can't be read .*Build the plan again"):
        load(tmp_path / "x.plan")


@pytest.mark.parametrize(
    ("sidecar", "here", "runtime"),
    [
        (RTX, HERE, "tensorrt-rtx"),
        (RTX, dataclasses.replace(HERE, gpu="sm120", fingerprint=None), "tensorrt-rtx"),
        (CLASSIC, having(tensorrt="10.16.1.11"), "tensorrt"),
        (PORTABLE, having(tensorrt="10.17.0.1"), "tensorrt"),
        (PORTABLE, having(tensorrt_lean="10.16.1.11"), "tensorrt-lean"),
        (PORTABLE, having(tensorrt="10.9.0.1", tensorrt_lean="10.16.2.1"), "tensorrt-lean"),
    ],
)
def test_a_plan_at_home_runs(sidecar: Sidecar, here: Machine, runtime: str) -> None:
    assert check_plan(sidecar, Path("x.plan"), PLAN, here) == runtime


BUILD = "python run.py build --onnx FILE.onnx --engine x.plan --precision fp16 --runtime "


@pytest.mark.parametrize(
    ("sidecar", "here", "fault", "command"),
    [
        pytest.param(
            RTX,
            dataclasses.replace(HERE, gpu="sm86"),
            "and the GPU here is sm86",
            BUILD + "tensorrt-rtx --batch 1,8 --target sm86",
            id="wrong GPU",
        ),
        pytest.param(
            CLASSIC,
            having("sm89", tensorrt="10.16.1.11"),
            "the GPU here is sm89",
            BUILD + "tensorrt --batch 1,8",
            id="wrong GPU for the classic runtime",
        ),
        pytest.param(
            RTX,
            dataclasses.replace(HERE, gpu=None),
            "needs an NVIDIA GPU with its driver",
            "--engine onnx",
            id="no GPU",
        ),
        pytest.param(
            RTX,
            having("sm89", tensorrt_rtx="1.8.0.1"),
            "by TensorRT for RTX 1.7.1.116 and here is 1.8.0.1",
            BUILD + "tensorrt-rtx --batch 1,8 --target sm89,sm120, or: pip install "
            "tensorrt-rtx-cu13==1.7.1.116",
            id="other version",
        ),
        pytest.param(
            PORTABLE,
            having(tensorrt="10.15.9.9"),
            "here is 10.15.9.9",
            BUILD + "tensorrt --batch 1,8 --portable, or: pip install tensorrt-cu12==10.16.1.11",
            id="portable, but older",
        ),
        pytest.param(
            PORTABLE,
            having(tensorrt_lean="11.4.0.106"),
            "here is 11.4.0.106",
            "pip install tensorrt-cu12==10.16.1.11",
            id="portable, but of the next generation",
        ),
        pytest.param(
            RTX,
            having(tensorrt="10.16.1.11"),
            "and here is TensorRT;",
            BUILD + "tensorrt --batch 1,8, or: pip install tensorrt-rtx-cu13==1.7.1.116",
            id="other runtime",
        ),
        pytest.param(
            CLASSIC,
            HERE,
            "and here is TensorRT for RTX;",
            BUILD + "tensorrt-rtx --batch 1,8 --target sm89, or: pip",
            id="the other way round",
        ),
        pytest.param(
            dataclasses.replace(CLASSIC, precision="int8"),
            HERE,
            "and here is TensorRT for RTX;",
            BUILD + "tensorrt-rtx --batch 1,8 --target sm89",
            id="INT8, which RTX can't",
        ),
        pytest.param(
            dataclasses.replace(CLASSIC, cuda=None),
            having(tensorrt="10.13.0.1"),
            "here is 10.13.0.1",
            "or: take TensorRT 10.16.1.11, which came with the system",
            id="from a Jetson",
        ),
        pytest.param(
            dataclasses.replace(CLASSIC, system="Windows AMD64"),
            having(tensorrt="10.16.1.11"),
            "was built on Windows AMD64 and this is",
            BUILD + "tensorrt",
            id="other system",
        ),
        pytest.param(
            CLASSIC,
            having(tensorrt_lean="10.16.1.11"),
            "which isn't installed here",
            "pip install tensorrt-cu12==10.16.1.11",
            id="only the lean one, and not portable",
        ),
        pytest.param(
            RTX,
            having(),
            "needs TensorRT for RTX 1.7.1.116, which isn't installed here",
            "pip install tensorrt-rtx-cu13==1.7.1.116",
            id="missing library",
        ),
        pytest.param(
            RTX,
            dataclasses.replace(HERE, fingerprint="cd" * 32),
            "holds the encoder abababababab and not the one asked for, cdcdcdcdcdcd",
            BUILD + "tensorrt-rtx",
            id="other encoder",
        ),
    ],
)
def test_a_plan_from_elsewhere_is_told(sidecar, here, fault: str, command: str) -> None:
    text = refused(sidecar, here)
    assert fault in text and command in text


def test_a_truncated_plan_is_told() -> None:
    text = refused(RTX, HERE, PLAN[:-1])
    assert "has 599 bytes where 600 were written; copy it again whole" in text and BUILD in text
    assert "has 0 bytes" in refused(RTX, HERE, b"")
    assert "isn't the plan that x.plan.json describes" in refused(RTX, HERE, PLAN[:-1] + b"?")


def test_what_is_installed_is_known_by_its_package(monkeypatch) -> None:
    packages = {"tensorrt-cu12": "10.16.1.11", "tensorrt-rtx": "1.7.1.116", "tensorrt": "9"}

    def version(package: str) -> str:
        if package not in packages:
            raise tensorrt_runtimes.importlib.metadata.PackageNotFoundError(package)
        return packages[package]

    monkeypatch.setattr(tensorrt_runtimes.importlib.metadata, "version", version)
    assert tensorrt_runtimes.find_installed() == {
        "tensorrt": InstalledRuntime("10.16.1.11", "12"),
        "tensorrt-rtx": InstalledRuntime("1.7.1.116", None),
    }


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-lean", "tensorrt-rtx"])
def test_a_missing_or_broken_package_is_told(name: str, monkeypatch, tmp_path: Path) -> None:
    module = name.replace("-", "_")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"isn't installed here; .*: pip install {name}-cu13$"):
        tensorrt_runtimes.load(name)
    monkeypatch.delitem(sys.modules, module)
    text = "raise ImportError('libnvinfer.so.11: cannot open shared object file')"
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"can't be loaded \(libnvinfer.so.11: cannot open"):
        tensorrt_runtimes.load(name)


def test_another_runtime_is_refused() -> None:
    with pytest.raises(UserError, match="one of tensorrt, tensorrt-lean, tensorrt-rtx; got 'trt'"):
        tensorrt_runtimes.load("trt")


class Driver:
    """libcuda, with a GPU of compute capability 8.9, or none."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGet(self, device, index: int) -> int:
        return 0 if self.there else 101  # CUDA_ERROR_INVALID_DEVICE

    def cuDeviceGetAttribute(self, number, attribute: int, device) -> int:
        number._obj.value = {75: 8, 76: 9}[attribute]
        return 0


@pytest.mark.parametrize(("there", "answer"), [(True, "sm89"), (False, None)])
def test_the_gpu_is_asked_of_the_driver(there: bool, answer, monkeypatch) -> None:
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: Driver(there))
    assert gpu.compute_capability() == answer


def test_no_driver_is_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(gpu, "DRIVER", "libnothing.so.1")
    assert gpu.compute_capability() is None
