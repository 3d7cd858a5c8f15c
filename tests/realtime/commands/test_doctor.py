"""`run.py doctor`: each thing that the live loop needs, whether it is well, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from calibration.threshold import calibration_path
from engines.encoder import ENCODERS
from tests.cli import environment, fault, fine, run_py, said

MEDIAPIPE = ("--detector", "mediapipe", "--hand-model")


def test_doctor(tmp_path: Path, hand_model_path: Path) -> None:
    run = fine(run_py("doctor", *MEDIAPIPE, hand_model_path, cwd=tmp_path))
    rows = [row.split(":")[0].split(maxsplit=1) for row in run.stdout.splitlines()]
    found = {what: mark for mark, what in rows if mark != "→"}
    for what in ("Python", "numpy", "mediapipe", "hand model", "detector", "encoder"):
        assert found[what] == "ok", run.stdout
    assert found["display"] == "–"


def test_doctor_says_which_detector_runs(tmp_path: Path) -> None:
    """MediaPipe's hand model is not looked for where our engine finds hands."""
    env = environment(XDG_CACHE_HOME=str(tmp_path), GESTURES_HAND_MODEL=None)
    rows = {}
    for detector in ("engine", "mediapipe"):
        run = run_py("doctor", "--detector", detector, cwd=tmp_path, env=env)
        lines = [row.split(":", 1) for row in run.stdout.splitlines() if "→" not in row]
        rows[detector] = {what.split(maxsplit=1)[1]: (what.split()[0], row) for what, row in lines}
    mark, words = rows["engine"]["detector"]
    assert (
        mark == "ok" and words.startswith(" engine, ") and "palm network on ONNX Runtime" in words
    )
    assert (
        rows["engine"]["hand model"][0] == "–" and "not needed" in rows["engine"]["hand model"][1]
    )
    mark, words = rows["mediapipe"]["detector"]
    assert mark == "–" and words.startswith(" mediapipe, ") and "hand model isn't here" in words
    assert "not fetched" in rows["mediapipe"]["hand model"][1] and list(tmp_path.iterdir()) == []


def test_doctor_finds_what_is_wrong(tmp_path: Path, hand_model_path: Path) -> None:
    (tmp_path / "broken.onnx").write_text("not ONNX")
    run = run_py("doctor", "--encoder", "broken.onnx", cwd=tmp_path)
    assert run.returncode == 1
    [sentence] = said(run)
    assert sentence.startswith("error: ") and "marked wrong" in sentence
    rows = run.stdout.splitlines()
    [at] = [i for i, row in enumerate(rows) if "  encoder: " in row]
    assert rows[at].startswith("wrong  ") and "doesn't work" in rows[at]
    assert "→" in rows[at + 1] and "broken.onnx" in rows[at + 1]


def test_an_edited_encoder_is_told(tmp_path: Path) -> None:
    """Its fingerprint, and so its calibration, is still that of the encoder that it was."""
    model = onnx.load(ENCODERS["landmarks"])
    weights = max(model.graph.initializer, key=lambda weight: len(weight.raw_data))
    weights.raw_data = weights.raw_data[::-1]
    onnx.save(model, tmp_path / "e.onnx")
    shutil.copy(calibration_path(ENCODERS["landmarks"]), tmp_path / "e.calibration.json")
    for words in (("--encoder", "e.onnx"), ("engine", "e.onnx")):
        run = run_py("doctor", *words, cwd=tmp_path)
        assert run.returncode == 1 and "marked wrong" in said(run)[-1]
        rows = run.stdout.splitlines()
        [at] = [i for i, row in enumerate(rows) if "  encoder: " in row]
        assert rows[at].startswith("wrong  ") and "e.onnx was edited after" in rows[at + 1]


@pytest.mark.parametrize("engine", ["mine.plan", "models/default.onnx"])
def test_doctor_tests_a_file_by_another_command(engine: str, tmp_path: Path) -> None:
    sentence = fault(run_py("doctor", "--engine", engine, cwd=tmp_path))
    assert f"run.py doctor engine {engine}" in sentence
