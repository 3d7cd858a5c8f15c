"""A hand whose pixels stay as they were isn't looked at again; any that matter are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from realtime.drawn.pose import GESTURES, mix
from realtime.hands.geometry import upright_square
from realtime.hands.search import CELLS, LOOK_S, sample_square, settled
from realtime.sources.demo import FPS
from realtime.types import Square
from tests.cli import hand_picture
from tests.realtime.hands.test_engine_detector import WALL, Counting, two_hands

HAND = hand_picture("Victory")
SETTLING = 6  # frames until a hand that appeared has been looked at by its own square


def passes(detector: Counting, frames: Iterator[np.ndarray], start: int = 0) -> list[int]:
    """How many hands the network looks at in each frame."""
    counts = []
    for index, image in enumerate(frames, start):
        before = detector.runs["hand"]
        detector.detections(image, index / FPS)
        counts.append(detector.runs["hand"] - before)
    return counts


def noisy(image: np.ndarray, level: float, seed: int = 0) -> Iterator[np.ndarray]:
    """The picture as a camera with noise gives it, as JPEG."""
    rng = np.random.default_rng(seed)
    while True:
        taken = np.clip(image + rng.normal(0, level, image.shape), 0, 255).astype(np.uint8)
        data = cv2.imencode(".jpg", taken, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        yield np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


@pytest.mark.parametrize("level", [0.0, 3.0, 6.0])
def test_a_hand_at_rest_is_looked_at_now_and_then(level: float) -> None:
    frames = list(itertools.islice(noisy(HAND, level), SETTLING + 30))
    with Counting(video=True) as detector:
        counts = passes(detector, iter(frames))[SETTLING:]
    steps = np.diff(np.flatnonzero(counts)) / FPS
    assert sum(counts) <= 30 / 4 and steps.max() <= LOOK_S + 1.5 / FPS
    with Counting(video=True, every_frame=True) as detector:
        assert passes(detector, iter(frames[:8]))[1:] == [1] * 7 and detector.runs["palm"] == 8


def test_what_is_not_looked_at_again_is_what_would_be_seen() -> None:
    frames = list(itertools.islice(noisy(HAND, 3.0), SETTLING + 12))
    with Counting(video=True) as skips, Counting(video=True, every_frame=True) as looks:
        for index, image in enumerate(frames):
            (one,), (other,) = (d.detections(image, index / FPS) for d in (skips, looks))
            if index > SETTLING:
                width = upright_square(other.landmarks).width
                assert np.abs(one.landmarks - other.landmarks)[:, :2].max() < 0.025 * width
    assert skips.runs["hand"] < 0.6 * looks.runs["hand"]


@pytest.mark.parametrize("to", ["Fist", "Point", "Three"])
def test_a_finger_that_moves_is_seen_in_the_same_frame(to: str) -> None:
    still = list(itertools.islice(noisy(HAND, 3.0), SETTLING + 4))
    # Of the way from one gesture to the other. A twentieth changes the embedding as noise does.
    for share in (0.15, 0.3):
        moved = next(noisy(hand_picture(mix(GESTURES["Victory"], GESTURES[to], share)), 3.0, 1))
        with Counting(video=True) as detector:
            passes(detector, iter(still))
            assert passes(detector, iter([moved]), len(still)) == [1], share


def test_slow_motion_adds_up() -> None:
    """No frame differs much from the one before it, and yet the hand is never far off."""
    frames = [hand_picture("Victory", centre=(318 + 0.15 * i, 374)) for i in range(60)]
    with Counting(video=True) as detector:
        for index, image in enumerate(frames):
            (found,) = detector.detections(image, index / FPS)
        with Counting(video=True, every_frame=True) as looks:
            for index in (57, 58, 59):
                (right,) = looks.detections(frames[index], index / FPS)
    width = upright_square(right.landmarks).width
    assert abs(found.landmarks - right.landmarks)[:, 0].mean() < 0.01 * width
    assert detector.runs["hand"] < len(frames)


def test_only_the_hand_that_moves_is_looked_at() -> None:
    """The right hand rests while the left one turns."""
    with Counting(video=True) as detector:
        frames = (two_hands(8 * index)[:, :640] for index in itertools.count())
        rest = two_hands(0)[:, 640:]
        counts = passes(detector, (np.hstack([f, rest]) for f in itertools.islice(frames, 26)))
    assert set(counts[SETTLING:]) == {1, 2} and counts[SETTLING:].count(1) >= 12


def test_a_hand_that_goes_is_lost_in_the_same_frame() -> None:
    with Counting(video=True) as detector:
        passes(detector, itertools.repeat(HAND, SETTLING + 2))
        assert detector.detections(WALL, (SETTLING + 2) / FPS) == []


def test_time_that_stands_still_spares_nothing() -> None:
    with Counting(video=True) as detector:
        for _ in range(8):
            detector.detections(HAND, 1.0)
        assert detector.runs["hand"] == 8


def test_a_square_is_settled_where_its_landmarks_lead_back_to_it() -> None:
    square = Square(100.0, 80.0, 200.0, 0.3)
    assert settled(square, square)
    for change in ({"x": 107.0}, {"y": 73.0}, {"width": 207.0}, {"angle": 0.34}):
        assert not settled(square, dataclasses.replace(square, **change))


def test_a_sample_is_of_the_square_alone() -> None:
    image = np.full((480, 640, 3), 90, np.uint8)
    square = Square(200.0, 200.0, 100.0, 0.2)
    before = sample_square(image, square)
    assert before is not None and before.shape == (CELLS, CELLS, 3) and (before == 90).all()
    image[300:], image[:, 300:] = 255, 255
    after = sample_square(image, square)
    assert after is not None and np.array_equal(after, before)
    image[190:194, 190:194] = 255
    changed = sample_square(image, square)
    assert changed is not None and changed.max() > 110
    assert sample_square(image, Square(900.0, 200.0, 100.0, 0.0)) is None
