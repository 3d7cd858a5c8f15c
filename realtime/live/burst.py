"""The moment to record: a countdown, the best frame while the hand holds still, and further views
while it turns a little."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.live.likeness import difference, same_gesture
from realtime.pace import Pace
from realtime.recognition.speed import Trail
from realtime.types import Frame, Hand

BURST_S = 0.5  # of holding still, for the first view
CLIP_S = 2.0  # with the turning after it, for the others
PATIENCE_S = 10.0  # for a hand to appear after the countdown
# And steps between frames, where these take longer.
BURST_FRAMES, CLIP_FRAMES, PATIENCE_FRAMES = 1, 4, 3
SMALLEST_PX = 90.0  # minimum crop width for reliable embeddings
BLURRED = 12.0  # variance of the Laplacian on a 224 px grey crop
# A blur of one pixel in the crop's 224 takes half of the sharpness of a drawn hand.
SOFTER = 0.5  # least sharpness of a further view, as a share of the first's
# A drawn hand that turns by 25° in 1.5 s moves by 0.05, 0.17 at most; a person's that is held up by
# 0.14 at the median; one that changes its gesture in 0.3 s by up to 0.7.
STEADY = 0.25  # crop widths a second, mean of the joints: a further view moves by no more
# A still hand's joints differ from frame to frame by 0.003 at the median and 0.010 at most; those
# of one turned by 10° by 0.015.
NEWS = 0.012  # difference that makes a frame another view
LEAVING_S = 0.2  # for which a hand on its way to another gesture still passes for this one


@dataclass(frozen=True)
class Shot:
    """A frame and the hand in it that is to be recorded."""

    frame: Frame
    hand: Hand


@dataclass(frozen=True)
class Showing:
    """A gesture shown once.

    Attributes:
        shots: its views, at least one: the best first, then by how much each adds.
    """

    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Progress:
    """How far the recording of several views is.

    Attributes:
        share: 0…1 of CLIP_S.
        kept: views so far; 0 while the hand should hold still.
        keep: views at most.
    """

    share: float
    kept: int
    keep: int


class Burst:
    """A countdown and the frames after it. Times are the frames' own seconds.

    What isn't chosen is let go at once: never more than `keep` + 2 frames are held.

    Args:
        countdown_s: seconds before the burst.
        keep: views at most. With 1, the burst ends after BURST_S, else after CLIP_S.

    Attributes:
        showing: what was recorded, once the burst is over. Of two hands the larger counts.
        progress: of a burst of several views, once it sees a hand; else None.
        given_up: no hand came within PATIENCE_S after the countdown.
    """

    def __init__(self, countdown_s: float, keep: int) -> None:
        self.showing: Showing | None = None
        self.progress: Progress | None = None
        self.given_up = False
        self._countdown_s = countdown_s
        self._keep = keep
        self._pace = Pace()
        self._first_s: float | None = None
        self._burst_from_s: float | None = None
        self._steadiest = _Steadiest()
        self._views: _Views | None = None  # once the hand may turn

    def seconds_left(self, time_s: float) -> float:
        """Seconds of the countdown that are left; 0 during the burst."""
        start = time_s if self._first_s is None else self._first_s
        return max(start + self._countdown_s - time_s, 0.0)

    def update(self, frame: Frame, hands: Sequence[Hand]) -> None:
        """Take in the next frame with its hands, the larger first."""
        self._pace.update(frame.time_s)
        if self._first_s is None:
            self._first_s = frame.time_s
        # Half a millisecond of grace: sums of frame times miss a bound by rounding.
        if self.seconds_left(frame.time_s) > 5e-4 or self.showing is not None:
            return
        if self._burst_from_s is None:
            if not hands:
                waited = frame.time_s - self._first_s - self._countdown_s
                self.given_up = waited > self._pace.at_least(PATIENCE_S, PATIENCE_FRAMES)
                return
            self._burst_from_s = frame.time_s
        self._look(frame, hands, frame.time_s - self._burst_from_s)

    def finish(self) -> None:
        """Choose from the frames there are: the burst is complete, or the source is over."""
        if self.showing is not None or self._steadiest.best is None:
            return
        shots = [self._steadiest.best] if self._views is None else self._views.in_order()
        self.showing = Showing(tuple(shots))

    def _look(self, frame: Frame, hands: Sequence[Hand], seconds: float) -> None:
        if self._views is not None:
            self._views.consider(frame, hands)
        elif hands:
            self._steadiest.consider(Shot(frame, hands[0]))
        hold_s = self._pace.at_least(BURST_S, BURST_FRAMES)
        length_s = hold_s if self._keep == 1 else self._pace.at_least(CLIP_S, CLIP_FRAMES)
        if self._views is None and seconds >= hold_s and self._keep > 1:
            self._views = _Views(self._steadiest, self._keep)
        if self._keep > 1:
            kept = 0 if self._views is None else len(self._views.shots)
            self.progress = Progress(min(seconds / length_s, 1.0), kept, self._keep)
        if seconds >= length_s:
            self.finish()


class _Steadiest:
    """The shot of the greatest sharpness, reduced by how far its joints moved since the last one.

    Attributes:
        best: the first of the best ones so far; None before the first.
        last: the newest one.
    """

    def __init__(self) -> None:
        self.best: Shot | None = None
        self.last: Shot | None = None
        self._value = 0.0
        self._alone = True

    def consider(self, shot: Shot) -> None:
        value = sharpness(shot.hand.crop)
        if self.last is None:
            self.best, self._value = shot, value
        else:
            if self._alone:  # the first has no earlier one to be compared with
                self._value *= _steadiness(self.last, shot)
                self._alone = False
            value *= _steadiness(shot, self.last)
            if value > self._value:
                self.best, self._value = shot, value
        self.last = shot


class _Views:
    """The first view and those most different from it and from one another, at most `keep`.

    Whether a frame is one of them is decided when it comes. Where there are too many, the less
    sharp of the two that are most alike goes.

    Attributes:
        shots: the views, the first view first.
    """

    def __init__(self, held: _Steadiest, keep: int) -> None:
        assert held.best is not None and held.last is not None
        self.shots = [held.best]
        self._keep = keep
        self._sharp_enough = max(BLURRED, SOFTER * sharpness(held.best.hand.crop))
        self._trail = Trail()
        self._trail.speed(held.last.hand, held.last.frame.time_s)

    def consider(self, frame: Frame, hands: Sequence[Hand]) -> None:
        first = self.shots[0].hand
        same_side = [hand for hand in hands if hand.side == first.side]
        if not same_side:
            return
        # A hand that goes and comes back is a new track.
        shot = Shot(frame, min(same_side, key=lambda hand: hand.track != first.track))
        speed = self._trail.speed(shot.hand, frame.time_s)
        if not same_gesture(shot.hand, first):
            since = frame.time_s - LEAVING_S
            self.shots[1:] = [other for other in self.shots[1:] if other.frame.time_s < since]
        elif (
            speed <= STEADY
            and not is_cut_off(shot)
            and min(difference(shot.hand, other.hand) for other in self.shots) >= NEWS
            and sharpness(shot.hand.crop) >= self._sharp_enough
        ):
            self.shots.append(shot)
            if len(self.shots) > self._keep:
                self._drop_one()

    def in_order(self) -> list[Shot]:
        """The first view, then always the one most different from those before it."""
        ordered, left = self.shots[:1], self.shots[1:]
        while left:
            distances = [min(difference(s.hand, o.hand) for o in ordered) for s in left]
            ordered.append(left.pop(int(np.argmax(distances))))
        return ordered

    def _drop_one(self) -> None:
        pairs = itertools.combinations(range(len(self.shots)), 2)
        a, b = min(pairs, key=lambda p: difference(self.shots[p[0]].hand, self.shots[p[1]].hand))
        soft = min(a, b, key=lambda i: math.inf if i == 0 else sharpness(self.shots[i].hand.crop))
        del self.shots[soft]


def _steadiness(shot: Shot, other: Shot) -> float:
    """1 for a shot whose joints are where another's are, less the farther away they are."""
    moved = _mean_distance(shot.hand.landmarks, other.hand.landmarks)
    return float(np.exp(-moved / (0.02 * shot.hand.square.width)))


def _mean_distance(joints: np.ndarray, others: np.ndarray) -> np.floating:
    """The mean distance of two times 21 joints, float32 (21, 3) px."""
    return np.linalg.norm(joints - others, axis=1).mean()


def sharpness(crop: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco 2000) of a crop, uint8 (S, S, 3) RGB, at 224 px."""
    grey = cv2.cvtColor(
        cv2.resize(crop, (224, 224), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    )
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def is_cut_off(shot: Shot) -> bool:
    """Whether joints are outside the frame."""
    height, across = shot.frame.image.shape[:2]
    x, y = shot.hand.landmarks[:, 0], shot.hand.landmarks[:, 1]
    return bool(x.min() < 0 or y.min() < 0 or x.max() >= across or y.max() >= height)


def find_faults(shot: Shot) -> list[str]:
    """What is wrong with a shot as a reference, a clause each; empty where nothing is."""
    found = []
    width = shot.hand.square.width
    if width < SMALLEST_PX:
        found.append(
            f"the hand is small ({width:.0f} px, at least {SMALLEST_PX:.0f} are good): come closer"
        )
    if is_cut_off(shot):
        found.append("the hand is cut off at the picture's edge: move it to the middle")
    if sharpness(shot.hand.crop) < BLURRED:
        found.append("the picture is blurred: hold still, or add light")
    return found
