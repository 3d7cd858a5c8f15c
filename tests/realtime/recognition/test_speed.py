"""A hand that moves fast starts nothing, and goes on with what it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime.recognition.pipeline import FAST
from realtime.recognition.recognizer import Recognizer
from realtime.recognition.speed import LOOK_BACK_S, Trail
from realtime.settings import Settings
from realtime.types import Frame, Hand, Square
from tests.cli import hand_picture, teach

FPS = 30.0
SWEEP = np.linspace(120.0, 520.0, 30)  # 13 px a frame, about 2 crop widths a second


def hand(joints: np.ndarray, width: float = 100.0) -> Hand:
    square = Square(0.0, 0.0, width, 0.0)
    nothing = np.zeros((0,), np.float32)
    return Hand(nothing, joints, joints, "right", 1.0, nothing, False, 0, square)


@pytest.mark.parametrize("fps", [10, 30, 60])
def test_speed_is_in_crop_widths_a_second_at_any_rate(fps: int) -> None:
    trail, start = Trail(), np.random.default_rng(0).uniform(0, 90, (21, 3)).astype(np.float32)
    shift = np.array([120.0, -50.0, 0.0], np.float32)  # px a second, 130 in all
    speeds = [trail.speed(hand(start + shift * i / fps, 200.0), i / fps) for i in range(20)]
    assert speeds[0] == 0.0 and speeds[1:] == pytest.approx([130 / 200] * 19, rel=1e-4)


def test_speed_forgets_what_was_before() -> None:
    trail, still = Trail(), np.zeros((21, 3), np.float32)
    moves = [trail.speed(hand(still + 5 * min(i, 10)), i / FPS) for i in range(20)]
    assert min(moves[1:11]) > FAST and max(moves[11 + round(LOOK_BACK_S * FPS) :]) == 0.0


def test_a_clock_that_is_set_back_begins_anew() -> None:
    trail, still = Trail(), np.zeros((21, 3), np.float32)
    for i in range(5):
        trail.speed(hand(still), 100 + i / FPS)
    assert [trail.speed(hand(still + 9 + 2 * i), i / FPS) for i in range(3)] == pytest.approx(
        [0.0, *[np.sqrt(12) * FPS / 100] * 2], rel=1e-4
    )


def test_trembling_joints_are_no_speed() -> None:
    rng, trail = np.random.default_rng(1), Trail()
    noise = rng.normal(0.0, 0.5, (60, 21, 3)).astype(np.float32)  # 0.8 px, of 100
    speeds = [trail.speed(hand(joints), i / FPS) for i, joints in enumerate(noise)]
    assert max(speeds) < 0.5 * FAST


def test_a_gesture_starts_when_the_hand_slows_down_and_survives_a_sweep(tmp_path: Path) -> None:
    gallery = teach(tmp_path / "gestures", "Victory")
    places = [*SWEEP, *[SWEEP[-1]] * 15, *SWEEP[::-1]]
    with Recognizer(Settings(gallery=str(gallery))) as recognizer:
        results = [recognizer.step(frame(i, x)) for i, x in enumerate(places)]
    assert {r.hands[0].track for r in results} == {0}
    sweep, stop = len(SWEEP), len(SWEEP) + 15
    # Its shape is accepted all the time: without the bound it would start on the way.
    assert sum(r.matches[0].label == "Victory" for r in results[:sweep]) > 0.7 * sweep
    events = [(event.kind, event.frame) for r in results for event in r.events]
    [(kind, at)] = events
    assert kind == "start" and sweep < at < stop


def frame(index: int, x: float) -> Frame:
    return Frame(hand_picture("Victory", scale=800.0, centre=(x, 400.0)), index, index / FPS)
