"""A showing becomes one reference, with a view of each shot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from realtime.hands.detector import detect_picture
from realtime.live.burst import Shot
from realtime.live.enrol import enrol
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.types import Frame
from tests.cli import hand_picture


@pytest.fixture
def recognizer(tmp_path: Path) -> Iterator[Recognizer]:
    with Recognizer(Settings(gallery=str(tmp_path / "g")), video=False) as recognizer:
        yield recognizer


def shot(recognizer: Recognizer, pose: str, yaw: float = 0.0, scale: float = 1580.0) -> Shot:
    image = hand_picture(pose, yaw=yaw, scale=scale)
    detection = detect_picture(recognizer.detector, image)
    assert detection is not None
    return Shot(Frame(image, round(30 * yaw), yaw), recognizer.cut(image, detection))


def test_all_shots_are_one_reference(recognizer: Recognizer) -> None:
    shots = [shot(recognizer, "L", yaw) for yaw in (0.2, 0.0, 0.4)]
    assert enrol(recognizer, shots, "ell") == []
    (reference,) = recognizer.gallery.references()
    assert recognizer.gallery.labels() == {"ell": 1}
    assert [view.time_s for view in reference.views] == [0.2, 0.0, 0.4], "as they were given"
    for view, its in zip(reference.views, shots, strict=True):
        moved = its.hand.landmarks - view.landmarks
        np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-3)
        assert view.twin is not None
    assert recognizer.index.labels == ("ell",) * 6
    assert recognizer.index.sides == ("right", "left") * 3
    for its in shots:
        assert recognizer.match(its.hand).score > 0.99


def test_warnings_are_of_the_best_shot_and_of_any_near_twin(recognizer: Recognizer) -> None:
    good, poor = shot(recognizer, "Fist"), shot(recognizer, "Fist", scale=560)
    assert enrol(recognizer, [good, poor], "Fist") == []
    (complaint,) = enrol(recognizer, [poor, good], "Fist", replace=True)
    assert "the picture is blurred" in complaint
    assert recognizer.gallery.labels() == {"Fist": 1}
    assert enrol(recognizer, [shot(recognizer, "Victory")], "two") == []
    (complaint,) = enrol(recognizer, [shot(recognizer, "L"), shot(recognizer, "Fist")], "ell")
    assert "this looks like your gesture 'Fist'" in complaint
