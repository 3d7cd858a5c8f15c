"""What one frame may cost beside the networks: no slow copies, nothing computed twice.

Costs are compared with cv2.flip of the same frame, measured in the same moment, so that a slow or
busy machine changes neither the ratio nor the verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import realtime.hands.cutting
import realtime.hands.geometry
from realtime.hands.cutting import encoder_inputs
from realtime.hands.mediapipe_detector import HandDetector
from realtime.live.state import State
from realtime.types import Frame, FrameResult
from realtime.views.overlay import draw, make_strip
from tests.cli import hand_picture

FRAME = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)


def processor_s(work: Callable[[], object]) -> float:
    """The least processor time of this thread over a few runs, in seconds."""
    times = []
    for _ in range(15):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


def flips(work: Callable[[], object]) -> float:
    """The cost of `work` in flips of a 1080p frame."""
    return processor_s(work) / processor_s(lambda: cv2.flip(FRAME, 1))


def test_drawing_copies_the_frame_once() -> None:
    result = FrameResult(Frame(FRAME, 0, 0.0), (), (), (), (), {})
    state, strip = State("gestures", far=0.01), make_strip(())
    assert flips(lambda: draw(result, state, strip)) < 25  # two reversed slices: about 65


def test_the_detector_gets_its_colours_without_a_slow_copy(hand_model_path: Path) -> None:
    with HandDetector(hand_model_path, video=False) as detector:
        landmarker = detector._landmarker
        nothing = SimpleNamespace(handedness=[], hand_landmarks=[], hand_world_landmarks=[])
        detector._landmarker = SimpleNamespace(detect_for_video=lambda picture, time_ms: nothing)
        try:
            assert flips(lambda: detector.detections(FRAME)) < 8  # a reversed slice: about 33
        finally:
            detector._landmarker = landmarker


def test_the_square_of_a_hand_is_computed_once(
    hand_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(landmarks: np.ndarray) -> object:
        calls.append(1)
        return realtime.hands.geometry.upright_square(landmarks)

    monkeypatch.setattr(realtime.hands.cutting, "upright_square", counted)
    with HandDetector(hand_model_path, video=False) as detector:
        hands = detector.detect(Frame(hand_picture("Victory"), 0, 0.0))
        encoder_inputs(hands)
    assert len(hands) == 1 and len(calls) == 1
