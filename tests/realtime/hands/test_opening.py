"""Which detector opens for which encoder, and what is said of networks that don't fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engines import encoder
from engines.encoder import HAND_FILE, MODELS, PALM_FILE
from engines.errors import UserError
from engines.hand_networks import HAND, PALM
from realtime.hands.opening import open_detector
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings


def test_another_detector_is_refused(tmp_path: Path) -> None:
    settings = Settings(gallery=str(tmp_path), detector="psychic")
    with pytest.raises(UserError, match="--detector takes engine or mediapipe; got 'psychic'"):
        Recognizer(settings)


@pytest.mark.parametrize("role", [PALM.role, HAND.role])
def test_a_missing_or_wrong_network(tmp_path: Path, role: str, monkeypatch) -> None:
    path = tmp_path / f"{role}.onnx"
    monkeypatch.setattr(encoder, f"{role.upper()}_FILE", path)
    with pytest.raises(UserError, match=f"{role}.onnx can't be opened.*Make it again with"):
        open_detector("engine", video=False)
    other = {PALM.role: HAND_FILE, HAND.role: PALM_FILE}[role]
    for wrong in (MODELS / "landmarks.onnx", other):
        shutil.copy(wrong, path)
        with pytest.raises(UserError, match=f"is not the {role} network.*Make it again with"):
            open_detector("engine", video=False)
