"""A frame goes one way: who may import whom, and where each heavy dependency is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engines", "calibration", "realtime", "train")
# Sub-rooms from left to right; each imports only from those before it. A name without a folder
# is a module of the room itself. What isn't listed comes before all that is.
SUB_ROOMS = {
    "engines": ("text", "say", "tensorrt", "onnx_runtime", "triton", "encoder", "selftest"),
    "calibration": ("int8",),
    "realtime": (
        "drawn",
        "text",
        "hands",
        "sources",
        "gallery",
        "recognition",
        "live",
        "measuring",
        "alarms",
        "views",
        "timing",
        "doctor",
        "commands",
    ),
    "train": (
        "reports",
        "runs",
        "pictures",
        "synthetic",
        "backbone",
        "siamese",
        "encoder",
        "evaluation",
        "studies",
        "commands",
    ),
}
MOST_FILES = 13
EXEMPT = {"train/siamese"}  # one network family, and it reads as one
HOMES = {
    "onnxruntime": {"engines/onnx_runtime/session.py", "calibration/int8/quantize.py"},
    "onnxruntime.quantization": {"calibration/int8/quantize.py"},
    "tensorrt": {"engines/tensorrt/runtimes.py"},
    "tensorrt_lean": {"engines/tensorrt/runtimes.py"},
    "tensorrt_rtx": {"engines/tensorrt/runtimes.py"},
    "pycuda": {"engines/tensorrt/cuda_buffers.py"},
    "tritonclient": {"engines/triton/encoder.py"},
    "mediapipe": {"realtime/hands/mediapipe_detector.py"},
    "av": {"realtime/sources/video_file.py"},
    "pygame": {"realtime/views/window.py", "realtime/text/fonts.py"},
    "bidi": {"realtime/text/runs.py"},
    "matplotlib": {"train/reports/plots.py"},
    "markdown_it": {"train/reports/report.py"},
    "optuna": {"train/studies/face_sweep.py", "train/runs/sweep_storage.py"},
    "pi_heif": {"realtime/picture_files.py"},
    "sklearn": {"train/siamese/verification.py"},
}
TRAINING = {"torch", "lightning", "pytorch_metric_learning"}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Everything a file imports, at its head or inside its functions, in full: a.b.c."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rank(name: str) -> tuple[int, int]:
    """A module's place on the way, by room, then sub-room: `realtime.hands.detector` → (2, 2)."""
    room, *rest = name.split(".")
    order = SUB_ROOMS[room]
    return ROOMS.index(room), order.index(rest[0]) + 1 if rest and rest[0] in order else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_only_leftwards_and_heavy_packages_at_home(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    own = rank(".".join(path.relative_to(ROOT).with_suffix("").parts))
    names = set(imported(path))
    ours = {each for each in names if each.split(".")[0] in ROOMS}
    wrong = [each for each in ours if rank(each) > own]
    assert wrong == [], "imports go leftwards only"
    tops = {part for each in names for part in (each.split(".")[0], ".".join(each.split(".")[:2]))}
    assert "run" not in tops
    for package, homes in HOMES.items():
        assert package not in tops or name in homes, f"{package} lives in {homes}"
    assert own[0] == ROOMS.index("train") or not tops & TRAINING


def test_no_module_imports_itself_by_a_detour() -> None:
    """Within a folder, too, imports have no cycle."""
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in FILES}
    edges = {
        name: {each if each in modules else each.rpartition(".")[0] for each in imported(path)}
        for name, path in modules.items()
    }
    left = {name: each & modules.keys() for name, each in edges.items()}
    while leaves := {name for name, each in left.items() if not each & left.keys()}:
        left = {name: each for name, each in left.items() if name not in leaves}
    assert left == {}


def test_sub_rooms_are_those_there_are() -> None:
    for room, order in SUB_ROOMS.items():
        folders = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
        modules = {path.stem for path in (ROOT / room).glob("*.py")}
        assert folders <= set(order) <= folders | modules, room


def test_no_folder_holds_more_than_one_looks_through() -> None:
    folders = {path.parent for path in [*FILES, *(ROOT / "tests").rglob("*.py")]}
    counts = {f.relative_to(ROOT).as_posix(): len(list(f.glob("*.py"))) for f in folders}
    crowded = {
        name: count
        for name, count in counts.items()
        if count > MOST_FILES and name.removeprefix("tests/") not in EXEMPT
    }
    assert crowded == {}


def test_heavy_packages_load_on_first_use() -> None:
    code = (
        "import sys, run, realtime.views.live, realtime.measuring.evaluate\n"
        "import realtime.doctor.examine, realtime.measuring.report\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'mediapipe', 'pygame', 'av'}\n"
        "print(sorted(heavy & set(sys.modules)))"
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
