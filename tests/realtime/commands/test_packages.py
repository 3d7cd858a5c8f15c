"""What `doctor` says of packages, and what a run says where one is only half there."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from engines.finding import Finding
from engines.selftest.machine import examine_machine
from realtime.doctor.packages import examine_packages
from tests.cli import environment, hand_picture, main_py, run_py, write_png


def known_to_pip(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """As if pip had installed those packages alone."""

    def version(name: str) -> str:
        if name not in packages:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(importlib.metadata, "version", version)


def finding(what: str) -> Finding:
    [found] = [each for each in examine_packages() if each.what == what]
    return found


@pytest.mark.parametrize(
    "package",
    [
        "opencv-python",
        "opencv-contrib-python",
        "opencv-python-headless",
        "opencv-contrib-python-headless",
    ],
)
def test_any_package_of_opencv_will_do(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    known_to_pip(monkeypatch, package)
    assert finding("OpenCV") == Finding("OpenCV", True, f"{cv2.__version__} ({package})")


def test_modules_that_pip_knows_nothing_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the system, or of conda."""
    known_to_pip(monkeypatch)
    found = list(examine_packages())
    assert [each.ok for each in found] == [True] * 5
    assert finding("OpenCV").found == f"{cv2.__version__} (not from pip)"
    [runtime] = [each for each in examine_machine(None) if each.what == "ONNX Runtime"]
    assert runtime.ok and "not from pip" in runtime.found and "cpu" in runtime.found


@pytest.mark.parametrize(
    ("what", "packages"),
    [
        ("OpenCV", ("opencv-python", "opencv-contrib-python")),
        ("pygame", ("pygame-ce", "pygame")),
    ],
)
def test_two_packages_of_one_module(
    monkeypatch: pytest.MonkeyPatch, what: str, packages: tuple[str, ...]
) -> None:
    """It works, and is no fault yet."""
    known_to_pip(monkeypatch, *packages)
    found = finding(what)
    assert found.ok is None and all(name in found.found for name in packages)
    assert found.advice.startswith(f"pip uninstall -y {packages[0]} ")


def test_opencv_that_reads_no_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "getBackends", lambda: (cv2.CAP_V4L2,))
    found = finding("OpenCV")
    assert found.ok is None and "without FFmpeg" in found.found


@pytest.fixture
def without_cv2(tmp_path: Path) -> dict[str, str]:
    """An environment in which one of two packages was uninstalled: a folder is left of cv2."""
    (tmp_path / "left" / "cv2").mkdir(parents=True)
    (tmp_path / "left" / "cv2" / "__init__.py").write_text("")
    return environment(PYTHONPATH=str(tmp_path / "left"))


def test_a_module_of_which_nothing_is_left(tmp_path: Path, without_cv2: dict[str, str]) -> None:
    image = write_png(tmp_path / "fist.png", hand_picture("Fist"))
    for words in (["record", "x", "--image", image], ["live", "--camera", image]):
        run = run_py(*words, cwd=tmp_path, env=without_cv2)
        assert run.returncode == 1 and "Traceback" not in run.stderr
        assert "error: the module cv2" in run.stderr and "pip uninstall -y opencv" in run.stderr
    examined = run_py("doctor", cwd=tmp_path, env=without_cv2).stdout
    assert "wrong  OpenCV: doesn't work" in examined and "fault of the program" not in examined


def test_a_mistake_of_the_program_is_none_of_a_package() -> None:
    """It keeps its traceback, for a bug report."""
    code = (
        "import run, realtime.commands.live as live\n"
        "live.run = lambda arguments: arguments.no_such_thing\n"
        "run.main(['live'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ},
        capture_output=True,
        text=True,
    )
    assert "Traceback" in run.stderr and "no_such_thing" in run.stderr


def test_doctor_names_the_packages(tmp_path: Path) -> None:
    said = main_py("doctor", cwd=tmp_path).stdout
    assert f"OpenCV: {cv2.__version__}" in said and "pygame: " in said
