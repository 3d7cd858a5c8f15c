"""The road goes one way: who may import whom, and which room each heavy dependency lives in."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engines", "calibration", "realtime", "train")
HOMES = {
    "onnxruntime": {"engines/onnx_session.py", "calibration/quantize.py"},
    "onnxruntime.quantization": {"calibration/quantize.py"},
    "tensorrt": {"engines/tensorrt_runtimes.py"},
    "tensorrt_lean": {"engines/tensorrt_runtimes.py"},
    "tensorrt_rtx": {"engines/tensorrt_runtimes.py"},
    "pycuda": {"engines/cuda_buffers.py"},
    "tritonclient": {"engines/triton_encoder.py"},
    "mediapipe": {"realtime/hands.py"},
    "pygame": {"realtime/window.py"},
    "matplotlib": {"train/plots.py"},
    "markdown_it": {"train/report.py"},
    "optuna": {"train/studies/face_sweep.py"},
    "sklearn": {"train/siamese/verification.py"},
}
TOP_LEVEL = {"run", "engine_commands", "quantize_command"}
TRAINING = {"torch", "lightning", "pytorch_metric_learning"}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Everything a file imports, at its head or inside its functions: a, then a.b, of a.b.c."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            parts = module.split(".")
            yield from (parts[0], ".".join(parts[:2]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_only_leftwards_and_heavy_packages_at_home(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    room = ROOMS.index(name.split("/")[0])
    names = set(imported(path))
    assert not names & set(ROOMS[room + 1 :]), "a room imports only from rooms to its left"
    assert not names & TOP_LEVEL
    for package, homes in HOMES.items():
        assert package not in names or name in homes, f"{package} lives in {homes}"
    assert room == ROOMS.index("train") or not names & TRAINING


def test_heavy_packages_load_on_first_use() -> None:
    code = (
        "import sys, run, realtime.live, realtime.evaluate, realtime.doctor, realtime.report\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'mediapipe', 'pygame'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_run_starts_without_numpy_or_cv2() -> None:
    """`--help` and `--version` answer at once, and even where nothing is installed."""
    code = "import sys, run; print(sorted({'numpy', 'cv2', 'rich'} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
