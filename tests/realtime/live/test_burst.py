"""The moment to record: countdown, burst, the best frame of it, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import itertools
import math

import cv2
import numpy as np
import pytest

from realtime.drawn.pose import GESTURES, joints
from realtime.hands.cutting import cut_hand
from realtime.hands.geometry import upright_square
from realtime.live.burst import (
    BURST_S,
    PATIENCE_S,
    SMALLEST_PX,
    Burst,
    Shot,
    find_faults,
    sharpness,
)
from realtime.types import Detection, Frame, Hand

JOINTS = joints(GESTURES["Open hand"])
COUNTDOWN = 3.0
NOISE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def shot(
    time_s: float = 0.0, blur: float = 0.0, at: tuple[float, float] = (320, 300), px: float = 1000
) -> Shot:
    """A hand over a noisy picture, blurred by `blur` pixels."""
    image = cv2.GaussianBlur(NOISE, (0, 0), blur) if blur else NOISE
    points = JOINTS * np.float32(px) + np.array([*at, 0], np.float32)
    hand = cut_hand(image, Detection(points, JOINTS, "right", 0.9), 224, True)
    return Shot(Frame(image, round(time_s * 1000), time_s), hand)


SHARP, SOFT, MUSH = shot(), shot(blur=1.0), shot(blur=8.0)


def chosen(burst: Burst) -> Shot | None:
    """The only view of a burst that is over."""
    if burst.showing is None:
        return None
    (one,) = burst.showing.shots
    return one


def again(one: Shot, time_s: float, shift: float = 0.0) -> tuple[Frame, list[Hand]]:
    """The same crop at another time, its joints moved by `shift` pixels."""
    moved = one.hand.landmarks + np.array([shift, 0, 0], np.float32)
    hand = dataclasses.replace(one.hand, landmarks=moved)
    return Frame(one.frame.image, round(time_s * 1000), time_s), [hand]


@pytest.mark.parametrize("fps", [15, 30, 60])
@pytest.mark.parametrize("countdown", [COUNTDOWN, 0.0, 1 / 3])
def test_the_burst_lasts_half_a_second_after_the_countdown(fps: int, countdown: float) -> None:
    burst, end = Burst(countdown, keep=1), None
    times = itertools.accumulate([0.0, *[1 / fps] * (fps * 5)])  # rounding adds up, as it does live
    for i, now in enumerate(times):
        # The sharpest frames come too early and too late: they must not be taken.
        early, late = i / fps < countdown - 1e-6, i / fps > countdown + BURST_S + 1.5 / fps
        assert burst.seconds_left(now) == pytest.approx(max(countdown - i / fps, 0), abs=1e-9)
        burst.update(*again(SHARP if early or late else SOFT, now))
        if chosen(burst) is not None and end is None:
            end = i / fps
    assert end is not None and 0 <= end - countdown - BURST_S <= 1 / fps + 1e-6
    one = chosen(burst)
    assert one is not None and one.hand.crop is SOFT.hand.crop
    # All of these are as sharp, so it is the first of them.
    assert one.frame.time_s == pytest.approx(countdown, abs=1e-6)
    assert not burst.given_up


def run(shots: list[tuple[Shot, float]], fps: int = 30) -> int:
    """The place of the chosen one among shots with their shifts."""
    burst = Burst(0.0, keep=1)
    for i, (one, shift) in enumerate(shots):
        burst.update(*again(one, i / fps, shift))
    burst.finish()
    best = chosen(burst)
    assert best is not None
    return round(best.frame.time_s * fps)


@pytest.mark.parametrize("best", [0, 1, 5, 10])
def test_the_sharpest_frame_is_taken(best: int) -> None:
    assert run([(SHARP if i == best else SOFT, 0.0) for i in range(11)]) == best


def test_a_steady_frame_is_preferred_to_a_moving_one() -> None:
    width = upright_square(SHARP.hand.landmarks).width
    # The hand comes in by a tenth of its crop a frame, and rests from the sixth on.
    shifts = [min(i - 5, 0) * width / 10 for i in range(11)]
    assert run([(SHARP, shift) for shift in shifts]) == 6
    # A little sway costs less than blur does.
    sway = [0.002 * width * (i % 2) for i in range(11)]
    assert run([(SHARP if i == 3 else SOFT, s if i < 5 else 0) for i, s in enumerate(sway)]) == 3


def best_of_all(shots: list[Shot]) -> Shot:
    """The choice among all shots at once, as the formula says it: slow, and all are kept."""
    values = []
    for i, one in enumerate(shots):
        other = shots[1 if i == 0 and len(shots) > 1 else max(i - 1, 0)]
        moved = np.linalg.norm(one.hand.landmarks - other.hand.landmarks, axis=1).mean()
        values.append(sharpness(one.hand.crop) * np.exp(-moved / (0.02 * one.hand.square.width)))
    return shots[int(np.argmax(values))]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("keep", [1, 5])
def test_the_first_view_is_the_best_of_the_half_second(seed: int, keep: int) -> None:
    rng = np.random.default_rng(seed)
    burst, held = Burst(0.0, keep), []
    for i in range(int(rng.integers(1, 40))):
        kind = (SHARP, SOFT, MUSH)[rng.integers(3)]
        frame, hands = again(kind, i / 30, float(rng.choice([0, 0, 1, 3, 8])))
        burst.update(frame, hands)
        if i / 30 <= BURST_S:
            held.append(Shot(frame, hands[0]))
    burst.finish()
    assert burst.showing is not None
    assert burst.showing.shots[0].frame is best_of_all(held).frame


def test_the_first_of_two_hands_counts() -> None:
    burst, (frame, hands) = Burst(0.0, keep=1), again(SOFT, 0.0)
    burst.update(frame, [*hands, SHARP.hand])
    burst.finish()
    one = chosen(burst)
    assert one is not None and one.hand is hands[0] and one.frame is frame


def test_the_burst_waits_for_a_hand_and_counts_from_it() -> None:
    burst = Burst(COUNTDOWN, keep=1)
    for i in range(30 * 6):
        burst.update(Frame(NOISE, i, i / 30), [])
    assert chosen(burst) is None and not burst.given_up
    for i in range(30):
        burst.update(*again(SOFT, 6 + i / 30))
        assert (chosen(burst) is None) == (i / 30 < BURST_S - 1e-9)
    assert not burst.given_up


@pytest.mark.parametrize("fps", [2.0, 1.0, 0.4, 0.05])
@pytest.mark.parametrize(("keep", "frames"), [(1, 2), (5, 5)])
def test_a_slow_source_has_frames_to_choose_from(fps: float, keep: int, frames: int) -> None:
    burst = Burst(0.0, keep)
    for i in range(frames):
        assert burst.showing is None
        burst.update(*again(SHARP if i == 1 else SOFT, i / fps))
    assert burst.showing is not None
    assert burst.showing.shots[0].hand.crop is SHARP.hand.crop


def test_a_slow_source_has_time_to_see_a_hand() -> None:
    burst = Burst(0.0, keep=1)
    burst.update(Frame(NOISE, 0, 0.0), [])
    burst.update(Frame(NOISE, 1, 20.0), [])
    assert not burst.given_up
    for i in range(2, 6):
        burst.update(Frame(NOISE, i, 20.0 * i), [])
    assert burst.given_up


def test_patience_ends() -> None:
    burst, gave_up = Burst(COUNTDOWN, keep=1), None
    for i in range(30 * 15):
        burst.update(Frame(NOISE, i, i / 30), [])
        if burst.given_up and gave_up is None:
            gave_up = i / 30
    assert gave_up is not None and 0 < gave_up - COUNTDOWN - PATIENCE_S <= 2 / 30
    assert chosen(burst) is None


def test_a_source_that_ends_early_gives_what_there_is() -> None:
    burst = Burst(COUNTDOWN, keep=1)
    burst.finish()
    assert chosen(burst) is None and burst.seconds_left(100.0) == COUNTDOWN
    burst.update(*again(SHARP, 0.0))
    burst.update(*again(SOFT, COUNTDOWN))
    burst.finish()
    one = chosen(burst)
    assert one is not None and one.hand.crop is SOFT.hand.crop
    burst.update(*again(SHARP, COUNTDOWN + 0.1))
    burst.finish()
    assert chosen(burst) is one


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (224, 224), np.uint8)
    padded = np.pad(grey.astype(int), 1, mode="reflect").tolist()
    edges = [
        padded[y - 1][x] + padded[y + 1][x] + padded[y][x - 1] + padded[y][x + 1] - 4 * padded[y][x]
        for y in range(1, 225)
        for x in range(1, 225)
    ]
    mean = sum(edges) / len(edges)
    variance = sum((e - mean) ** 2 for e in edges) / len(edges)
    crop = np.repeat(grey[..., None], 3, axis=2)
    assert sharpness(crop) == pytest.approx(variance, rel=1e-4)
    assert sharpness(np.full((64, 64, 3), 99, np.uint8)) == 0
    assert sharpness(SHARP.hand.crop) > sharpness(SOFT.hand.crop) > sharpness(MUSH.hand.crop)
    # What counts is the picture, not how large the encoder wants its crops.
    larger = cv2.resize(MUSH.hand.crop, (448, 448), interpolation=cv2.INTER_CUBIC)
    assert sharpness(larger) == pytest.approx(sharpness(MUSH.hand.crop), rel=0.3)


def test_a_good_picture_has_no_find_faults() -> None:
    assert find_faults(SHARP) == []


def test_each_fault_has_its_clause() -> None:
    (small,) = find_faults(shot(px=200))
    width = upright_square(shot(px=200).hand.landmarks).width
    assert small == f"the hand is small ({width:.0f} px, at least 90 are good): come closer"
    just = 200 * SMALLEST_PX / width
    assert find_faults(shot(px=just * 1.01)) == [] != find_faults(shot(px=just * 0.99))
    (blurred,) = find_faults(MUSH)
    assert blurred == "the picture is blurred: hold still, or add light"
    assert len(find_faults(shot(px=200, at=(0, 0), blur=20))) == 3


def test_a_hand_over_any_edge_is_cut_off() -> None:
    x, y = JOINTS[:, 0] * 1000, JOINTS[:, 1] * 1000
    for edge, inside, outside in (
        ("left", (1 - x.min(), 300), (-1 - x.min(), 300)),
        ("right", (639 - x.max(), 300), (641 - x.max(), 300)),
        ("top", (320, 1 - y.min()), (320, -1 - y.min())),
        ("bottom", (320, 479 - y.max()), (320, 481 - y.max())),
    ):
        assert find_faults(shot(at=inside)) == [], edge
        (cut_off,) = find_faults(shot(at=outside))
        assert cut_off.startswith("the hand is cut off at the picture's edge"), edge
    assert math.isfinite(sharpness(shot(at=(-2000, 0)).hand.crop))
