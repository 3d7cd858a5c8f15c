"""--detector and --hand-model, declared once for every command that looks at pictures."""

from __future__ import annotations

import pytest

import run
from engines.errors import UserError
from realtime.commands.options import settings_of, still_detector
from realtime.hands.engine_detector import EngineDetector
from realtime.settings import Settings

LIVE = {
    "live": [],
    "record": ["Yes"],
    "replay": ["jack.mp4", "jack.csv"],
}
STILL = {
    "embed": ["people", "--out", "x.npz"],
    "evaluate": ["people"],
    "calibrate": ["people"],
    "prepare": ["people", "--out", "x.npz"],
    "quantize": ["--onnx", "a.onnx", "--pictures", "people", "--out", "b.onnx"],
    "build": ["--onnx", "a.onnx", "--engine", "a.plan"],
}


@pytest.mark.parametrize(("command", "words"), [*LIVE.items(), *STILL.items()])
def test_each_command_takes_them(command: str, words: list[str], capsys) -> None:
    plain = run.parse([command, *words])
    assert plain.detector == Settings.detector and plain.hand_model is None
    chosen = run.parse([command, *words, "--detector", "engine", "--hand-model", "x.task"])
    assert (chosen.detector, chosen.hand_model) == ("engine", "x.task")
    with pytest.raises(SystemExit) as caught:
        run.parse([command, *words, "--detector", "psychic"])
    assert caught.value.code == 2 and "'psychic'" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "words"), LIVE.items())
def test_they_are_settings_of_the_live_loop(command: str, words: list[str]) -> None:
    options = ["--detector", "engine", "--hand-model", "x.task"]
    settings = settings_of(run.parse([command, *words, *options]))
    assert (settings.detector, settings.hand_model) == ("engine", "x.task")


@pytest.mark.parametrize(("command", "words"), STILL.items())
def test_they_open_a_detector_of_single_pictures(command: str, words: list[str]) -> None:
    open_detector = still_detector(run.parse([command, *words, "--detector", "engine"]))
    with open_detector() as detector, open_detector() as another:
        assert isinstance(detector, EngineDetector) and detector is not another
    missing = ["--detector", "mediapipe", "--hand-model", "nowhere.task"]
    with pytest.raises(UserError, match="nowhere.task"):
        still_detector(run.parse([command, *words, *missing]))()


def test_a_hand_model_is_not_for_the_engine() -> None:
    engine = ["--detector", "engine", "--hand-model", "x.task"]
    with pytest.raises(UserError, match="--hand-model x.task is for MediaPipe's detector"):
        still_detector(run.parse(["embed", *STILL["embed"], *engine]))()
