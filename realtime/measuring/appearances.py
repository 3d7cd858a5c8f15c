"""How soon a hand is found that appears at a known frame: alone, then beside a tracked one.

The frames are composed of a video that shows one hand, twice as wide: the video on the left, its
mirror image on the right. First both halves are plain; then the left half shows the video, so that
a hand is there out of nothing; and a while later the right half shows its mirror image, so that a
second hand is there beside one that is tracked. That while differs from trial to trial, so that
the second hand appears at any moment between two searches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.hands.detector import Detector
from realtime.measuring.side_by_side import Seen
from realtime.types import Frame, Hand

PLAIN_S = 0.8  # nothing in view; tracks are forgotten sooner
ALONE_S = 1.0  # at least, of the first hand by itself
SPREAD_S = 0.5  # by which that differs
BOTH_S = 1.0  # of both hands
MOST_TRIALS = 40


@dataclass(frozen=True)
class Delay:
    """How many frames a hand was in view before it was found: 0 where in its first frame.

    Attributes:
        ours: By our own detector; None where it never was.
        theirs: By MediaPipe; None where it never was.
        most: For how many frames it could have been found.
    """

    ours: int | None
    theirs: int | None
    most: int


@dataclass(frozen=True)
class Trial:
    """The hand that appeared out of nothing, and the one that appeared beside it."""

    first: Delay
    second: Delay


def choose_trials(seen: Sequence[Seen], fps: float) -> list[range]:
    """Stretches of a video in which both detectors found one hand in every frame.

    Args:
        seen: Of the whole video.
        fps: Its frames per second.

    Returns:
        The frames of each trial, evenly spread, MOST_TRIALS of them at most.
    """
    spread = max(round(SPREAD_S * fps), 1)
    stretches: list[range] = []
    start = 0
    for index, each in enumerate(seen):
        length = _frames(ALONE_S, fps) + _frames(BOTH_S, fps) + len(stretches) % spread
        if (each.ours, each.theirs) != (1, 1):
            start = index + 1
        elif index + 1 - start == length:
            stretches.append(range(start, index + 1))
            start = index + 1
    count = min(len(stretches), MOST_TRIALS)
    return [stretches[i * len(stretches) // count] for i in range(count)]


def try_all(
    frames: Iterable[Frame], trials: Sequence[range], fps: float, ours: Detector, theirs: Detector
) -> Iterator[Trial]:
    """Run the trials, one after the other.

    Args:
        frames: The video's.
        trials: Of `choose_trials`.
        fps: Frames per second.
        ours: Our own detector, for video, opened for these trials.
        theirs: MediaPipe's.
    """
    left, time_s = iter(trials), 0.0
    trial = next(left, None)
    images: list[np.ndarray] = []
    for frame in frames:
        if trial is not None and frame.index in trial:
            images.append(frame.image)
            if len(images) == len(trial):
                yield _try(images, time_s, fps, ours, theirs)
                time_s += PLAIN_S + 1 + len(images) / fps
                trial, images = next(left, None), []


def _try(
    images: Sequence[np.ndarray], time_s: float, fps: float, ours: Detector, theirs: Detector
) -> Trial:
    colour = images[0].mean(axis=(0, 1))
    gap, alone = _frames(PLAIN_S, fps), len(images) - _frames(BOTH_S, fps)
    found: dict[tuple[int, str], int] = {}
    for index in range(gap + len(images)):
        shown = index - gap
        image = images[max(shown, 0)]  # they may differ in size
        plain, middle = np.empty_like(image), image.shape[1]
        plain[:] = colour
        left = image if shown >= 0 else plain
        right = cv2.flip(left, 1) if shown >= alone else plain
        frame = Frame(np.hstack([left, right]), index, time_s + index / fps)
        for who, detector in enumerate((ours, theirs)):
            for hand in detector.detect(frame):
                if 0 <= shown < alone and _x(hand) < middle:
                    found.setdefault((who, "first"), shown)
                if shown >= alone and _x(hand) >= middle:
                    found.setdefault((who, "second"), shown - alone)
    first, second = (
        Delay(found.get((0, which)), found.get((1, which)), most)
        for which, most in (("first", alone), ("second", len(images) - alone))
    )
    return Trial(first, second)


def _frames(seconds: float, fps: float) -> int:
    return max(round(seconds * fps), 1)


def _x(hand: Hand) -> float:
    return float(hand.landmarks[:, 0].mean())
