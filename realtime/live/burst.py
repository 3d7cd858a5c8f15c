"""Choose the moment to record: a countdown, then the best frame of a half-second burst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.types import Frame, Hand

BURST_S = 0.5
PATIENCE_S = 10.0  # for a hand to appear after the countdown
SMALLEST_PX = 90.0  # minimum crop width for reliable embeddings
BLURRED = 12.0  # variance of the Laplacian on a 224 px grey crop


@dataclass(frozen=True)
class Shot:
    """A frame and the hand in it that is to be recorded."""

    frame: Frame
    hand: Hand


class Burst:
    """A countdown and the frames after it. Times are the frames' own seconds.

    Attributes:
        shot: the chosen frame, once the burst is over. Of two hands the larger counts.
        given_up: no hand came within PATIENCE_S after the countdown.
    """

    def __init__(self, countdown_s: float) -> None:
        self.shot: Shot | None = None
        self.given_up = False
        self._countdown_s = countdown_s
        self._first_s: float | None = None
        self._burst_from_s: float | None = None
        self._shots: list[Shot] = []

    def seconds_left(self, time_s: float) -> float:
        """Seconds of the countdown that are left; 0 during the burst."""
        start = time_s if self._first_s is None else self._first_s
        return max(start + self._countdown_s - time_s, 0.0)

    def update(self, frame: Frame, hands: Sequence[Hand]) -> None:
        """Take in the next frame with its hands, the larger first."""
        if self._first_s is None:
            self._first_s = frame.time_s
        # Half a millisecond of grace: sums of frame times miss a bound by rounding.
        if self.seconds_left(frame.time_s) > 5e-4 or self.shot is not None:
            return
        if hands:
            self._shots.append(Shot(frame, hands[0]))
            if self._burst_from_s is None:
                self._burst_from_s = frame.time_s
        if self._burst_from_s is None:
            waited = frame.time_s - self._first_s - self._countdown_s
            self.given_up = waited > PATIENCE_S
        elif frame.time_s - self._burst_from_s >= BURST_S:
            self.finish()

    def finish(self) -> None:
        """Choose from the frames there are: the burst is complete, or the source is over."""
        if self.shot is None and self._shots:
            self.shot = self._shots[int(np.argmax(_steady_sharpness(self._shots)))]


def _steady_sharpness(shots: Sequence[Shot]) -> np.ndarray:
    """Sharpness of each shot's crop, reduced by how far its joints moved since the last shot."""
    values = np.array([sharpness(shot.hand.crop) for shot in shots])
    for i, shot in enumerate(shots):
        other = shots[i - 1] if i else shots[min(1, len(shots) - 1)]
        moved = np.linalg.norm(shot.hand.landmarks - other.hand.landmarks, axis=1).mean()
        values[i] *= np.exp(-moved / (0.02 * shot.hand.square.width))
    return values


def sharpness(crop: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco 2000) of a crop, uint8 (S, S, 3) RGB, at 224 px."""
    grey = cv2.cvtColor(
        cv2.resize(crop, (224, 224), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    )
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def find_faults(shot: Shot) -> list[str]:
    """What is wrong with a shot as a reference, a clause each; empty where nothing is."""
    found = []
    width = shot.hand.square.width
    if width < SMALLEST_PX:
        found.append(
            f"the hand is small ({width:.0f} px, at least {SMALLEST_PX:.0f} are good): come closer"
        )
    height, across = shot.frame.image.shape[:2]
    x, y = shot.hand.landmarks[:, 0], shot.hand.landmarks[:, 1]
    if x.min() < 0 or y.min() < 0 or x.max() >= across or y.max() >= height:
        found.append("the hand is cut off at the picture's edge: move it to the middle")
    if sharpness(shot.hand.crop) < BLURRED:
        found.append("the picture is blurred: hold still, or add light")
    return found
