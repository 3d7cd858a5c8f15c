"""`run.py calibrate`: what its file says beside the fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from calibration.threshold import Calibration, default_calibration, load
from tests.cli import fine, main_py

REPORT = {"false_accepts": 0.01, "correct_accepts": 0.5, "ece_before": 0.1, "ece_after": 0.01}


@pytest.mark.parametrize(("source", "detector"), [("people", "engine"), ("people.npz", "")])
def test_the_file_says_what_found_the_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, detector: str
) -> None:
    """In embeddings that isn't known any more."""

    def fit(*_: object) -> Calibration:
        return dataclasses.replace(default_calibration("cosine", "f"), report=REPORT)

    monkeypatch.setattr("realtime.measuring.evaluate.calibrate", fit)
    (tmp_path / "people").mkdir()
    options = ("--encoder", "landmarks", "--detector", "engine", "--out", "c.json")
    fine(main_py("calibrate", source, *options, cwd=tmp_path))
    assert load(tmp_path / "c.json", "f").detector == detector
