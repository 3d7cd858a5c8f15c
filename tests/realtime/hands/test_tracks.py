"""Which hand is which: numbers that stay, sides that don't waver."""

from __future__ import annotations

import math

import numpy as np
import pytest

from realtime.drawn.pose import GESTURES, joints
from realtime.hands.tracks import FORGET_S, Tracker
from realtime.types import Detection

HAND = joints(GESTURES["Open hand"])
DT = 1 / 30


def at(
    x: float, y: float = 200.0, side: str = "right", score: float = 0.9, px: float = 500.0
) -> Detection:
    points = HAND * np.float32(px) + np.array([x, y, 0], np.float32)
    return Detection(points, HAND, side, score)


def numbers(found: list[tuple[int, Detection]]) -> list[int]:
    return [number for number, _ in found]


def sides(found: list[tuple[int, Detection]]) -> list[str]:
    return [detection.side for _, detection in found]


@pytest.mark.parametrize("own", ["left", "right"])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_single_frames_of_the_other_side_change_nothing(own: str, every: int) -> None:
    tracker, other = Tracker(), {"left": "right", "right": "left"}[own]
    for i in range(200):
        said = other if i >= 10 and i % every == 0 and (i // every) % 2 else own
        found = tracker.update([at(300 + i, side=said)], i * DT)
        assert (numbers(found), sides(found)) == ([0], [own])


def test_the_surer_look_decides() -> None:
    tracker = Tracker()
    for i in range(31):  # wavering at every frame, the left looks being surer
        side, score = ("left", 0.95) if i % 2 else ("right", 0.55)
        found = tracker.update([at(300, side=side, score=score)], i * DT)
    assert side == "right" and sides(found) == ["left"]


def test_a_lasting_change_wins_once_it_outweighs_the_past() -> None:
    tracker = Tracker()
    for i in range(90):
        assert sides(tracker.update([at(300, side="left")], i * DT)) == ["left"]
    seen = [sides(tracker.update([at(300)], (90 + i) * DT))[0] for i in range(30)]
    changed = seen.index("right")
    assert seen == ["left"] * changed + ["right"] * (30 - changed)
    assert changed * DT == pytest.approx(FORGET_S * math.log(2), abs=1.5 * DT)


def test_only_the_side_of_a_detection_is_changed() -> None:
    tracker = Tracker()
    for i in range(10):
        tracker.update([at(300)], i * DT)
    given = at(301, side="left", score=0.6)
    ((_, got),) = tracker.update([given], 10 * DT)
    assert got.side == "right" and given.side == "left" and got.score == 0.6
    assert got.landmarks is given.landmarks and got.world_landmarks is given.world_landmarks


def test_a_hand_found_twice_is_one_and_the_surer_look_stays() -> None:
    tracker = Tracker()
    doubles = [at(300, score=0.6, side="left"), at(303, 202, score=0.9), at(297, score=0.7)]
    ((number, kept),) = tracker.update(doubles, 0.0)
    assert number == 0 and kept.score == 0.9 and kept.side == "right"
    apart = tracker.update([at(300), at(345)], DT)  # two hands that nearly touch are two
    assert len(apart) == 2 and len(set(numbers(apart))) == 2


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_hands_that_pass_each_other_keep_their_numbers(fps: int) -> None:
    tracker, rng = Tracker(), np.random.default_rng(fps)
    for i in range(fps * 2 + 1):  # 400 px in two seconds, one a hand's breadth above the other
        x = 100 + 200 * i / fps
        two = [at(x, 200, "right"), at(600 - x, 245, "left")]
        order = rng.permutation(2)
        found = tracker.update([two[k] for k in order], i / fps)
        assert len(found) == 2
        where = {d.side: (number, float(d.landmarks[0, 0])) for number, d in found}
        if i == 0:
            first = {side: number for side, (number, _) in where.items()}
        assert where["right"] == (first["right"], pytest.approx(x, abs=1e-3))
        assert where["left"] == (first["left"], pytest.approx(600 - x, abs=1e-3))


def test_the_nearest_is_taken_first() -> None:
    tracker = Tracker()
    tracker.update([at(100, score=0.9), at(200, score=0.8)], 0.0)
    # The first of these lies within reach of both, but belongs to the second hand.
    found = tracker.update([at(185, score=0.95), at(110, score=0.5)], DT)
    assert {n: float(d.landmarks[0, 0]) for n, d in found} == {1: 185.0, 0: 110.0}


def test_a_leap_is_another_hand() -> None:
    tracker = Tracker()
    size = float(np.ptp(HAND[:, :2] * 500, axis=0).max()) + 1
    assert numbers(tracker.update([at(100)], 0.0)) == [0]
    assert numbers(tracker.update([at(100 + 1.4 * size)], DT)) == [0]
    assert numbers(tracker.update([at(100 + 3.0 * size)], 2 * DT)) == [1]


@pytest.mark.parametrize(("gap", "number"), [(0.1, 0), (FORGET_S - 0.01, 0), (FORGET_S + 0.01, 1)])
def test_a_hand_away_for_half_a_second_is_forgotten(gap: float, number: int) -> None:
    tracker = Tracker()
    for i in range(10):
        tracker.update([at(300, side="left")], i * DT)
    last = 9 * DT
    tracker.update([], last + gap / 2)
    ((got, detection),) = tracker.update([at(300, side="right", score=0.8)], last + gap)
    assert got == number
    assert detection.side == ("left" if number == 0 else "right")  # the vote is forgotten as well


@pytest.mark.parametrize("fps", [3.0, 1.9, 1.0, 0.5, 0.1])
@pytest.mark.parametrize("jitter", [0.0, 0.4])
def test_a_slow_source_forgets_no_hand_between_two_frames(fps: float, jitter: float) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(1 - jitter, 1 + jitter, 40)) / fps
    tracker = Tracker()
    for i, time_s in enumerate(times):
        # Its side is now and then misjudged, and once it is missed altogether.
        side = "left" if i % 4 == 3 else "right"
        seen = [] if i == 20 else [at(300, side=side)]
        found = tracker.update(seen, float(time_s))
        assert numbers(found) == [0] * len(seen) and sides(found) == ["right"] * len(seen)


@pytest.mark.parametrize("fps", [30.0, 1.0])
def test_an_outage_is_no_slow_source(fps: float) -> None:
    tracker = Tracker()
    for i in range(10):
        tracker.update([at(300)], i / fps)
    assert numbers(tracker.update([at(300)], 9 / fps + 10 / fps + 1)) == [1]


def test_numbers_are_never_used_again() -> None:
    tracker, seen = Tracker(), []
    for i in range(5):  # a sixth of a second in view, then away for the rest of the second
        for frame in range(6):
            found = tracker.update([at(100), at(500)], i * 1.0 + frame * DT)
        seen += numbers(found)
    assert len(set(seen)) == len(seen) == 10
    assert tracker.update([], 6.0) == []
