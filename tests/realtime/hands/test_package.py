"""MediaPipe's package: everything but `--detector mediapipe` does without it."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

import pytest

from engines.errors import UserError
from realtime.doctor.examine import examine
from realtime.hands import package
from realtime.hands.opening import open_detector
from tests.cli import fault, fine, hand_picture, main_py, write_png


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    there = importlib.metadata.version

    def version(name: str) -> str:
        if name == "mediapipe":
            raise importlib.metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def machine(monkeypatch: pytest.MonkeyPatch, name: str, processor: str) -> None:
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(platform, "system", lambda: name.capitalize())
    monkeypatch.setattr(platform, "machine", lambda: processor)


def test_here_it_is_not_missed() -> None:
    pytest.importorskip("mediapipe")
    package.check_package()


@pytest.mark.parametrize(
    "words",
    [["--camera", "demo", "--view", "none"], ["embed", ".", "--out", "x.npz"]],
    ids=["live", "embed"],
)
@pytest.mark.usefixtures("no_package")
def test_one_sentence_names_the_package_and_the_command(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is fetched for it."""
    machine(monkeypatch, *package.WHEELS[0])
    write_png(tmp_path / "hand.png", hand_picture("L"))
    monkeypatch.setattr("realtime.hands.opening.hand_model", None)
    sentence = fault(main_py(*words, "--detector", "mediapipe", cwd=tmp_path))
    assert f"pip install mediapipe=={package.VERSION}" in sentence


@pytest.mark.usefixtures("no_package")
def test_where_there_is_no_wheel_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "linux", "aarch64")
    with pytest.raises(UserError) as caught:
        open_detector("mediapipe", video=False)
    sentence = str(caught.value)
    assert "no wheel for Linux on aarch64" in sentence and "--detector engine" in sentence
    assert "pip install" not in sentence


@pytest.mark.usefixtures("no_package")
def test_the_engine_does_without(tmp_path: Path) -> None:
    write_png(tmp_path / "hand.png", hand_picture("L"))
    options = ("--image", "hand.png", "--detector", "engine")
    fine(main_py("record", "L", *options, cwd=tmp_path))
    assert (tmp_path / "gestures" / "L").is_dir()


@pytest.mark.usefixtures("no_package")
def test_doctor_misses_it_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "linux", "aarch64")
    for detector, ok in (("engine", None), ("mediapipe", False)):
        found = {each.what: each for each in examine("default", "onnx", detector, None)}
        assert found["mediapipe"].ok is ok, detector
    assert "no wheel for Linux on aarch64" in found["mediapipe"].advice
    assert found["detector"].ok is not True


def test_a_hand_model_is_for_mediapipe() -> None:
    with pytest.raises(UserError, match="--hand-model some.task .* add --detector mediapipe"):
        open_detector("engine", video=False, model="some.task")
