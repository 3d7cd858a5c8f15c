"""Which of a video's frames the networks have to see: only those where something has changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.hands.geometry import reach
from realtime.types import Detection, Square

SEARCH_S = 0.33  # most seconds until a change is searched; without a hand, between searches
LONGEST_S = 2.0  # most seconds between searches while a hand is tracked
SAMPLES = 80  # pixels that are compared along the picture's longer side
LEVELS = 20  # of 255; a pixel that differs by less is noise
FEWEST = 6  # changed pixels; the smallest hands that are found cover about 36
LOOK_S = 0.15  # most seconds until a tracked hand is looked at again; a gesture starts after 0.25
# A camera's noise alone changes the brightest cell by 3 to 5 levels of 255, a hand that moves by a
# hundredth of its width by 10 and more. Below 8 the embedding of a real hand changes as much as it
# does on a hand at rest under noise (1 - cosine of 0.003, 95th percentile 0.009).
STILL_LEVELS = 8
SETTLED = 0.03  # of the square's width, and radians: so near is the next square on a hand at rest
CELLS = 28  # along a sample's side


class SearchTimer:
    """Says in which frames of a video the palm network has to look for new hands.

    A hand that comes into view changes pixels outside the tracked hands and their arms. What
    changes slowly adds up, since a frame is compared with the one that was searched last.
    """

    def __init__(self) -> None:
        self._searched: np.ndarray | None = None  # every n-th pixel of that frame
        self._shape: tuple[int, ...] = ()
        self._searched_s = 0.0
        self._seen_s = 0.0

    def is_due(self, image: np.ndarray, time_s: float, squares: Sequence[Square]) -> bool:
        """Whether to search a frame.

        Args:
            image: uint8 (H, W, 3) BGR.
            time_s: time of the frame, seconds.
            squares: of the hands that are tracked.
        """
        since, frame_s = time_s - self._searched_s, time_s - self._seen_s
        self._seen_s = time_s
        if image.shape != self._shape or not 0 <= since < (LONGEST_S if squares else SEARCH_S):
            return True
        if squares and since + frame_s < SEARCH_S:  # the next frame is still soon enough
            return False
        return self._has_changed(image, squares)

    def searched(self, image: np.ndarray, time_s: float) -> None:
        """Take in that a frame was searched."""
        self._searched, self._shape, self._searched_s = _sample(image).copy(), image.shape, time_s

    def _has_changed(self, image: np.ndarray, squares: Sequence[Square]) -> bool:
        """Whether enough pixels beside the tracked hands differ from the frame searched last."""
        assert self._searched is not None
        difference = np.abs(_sample(image).astype(np.int16) - self._searched).max(axis=2)
        changed = difference > LEVELS
        if int(changed.sum()) < FEWEST:
            return False
        step = _step(image)
        rows, columns = (np.arange(count)[:, None] * step for count in changed.shape)
        for square in squares:
            changed &= ~_covers(square, columns.T, rows)
        return int(changed.sum()) >= FEWEST


def _covers(square: Square, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether pixels are in a hand's square or below it, seen from the hand: where its arm is."""
    cos, sin = math.cos(square.angle), math.sin(square.angle)
    across = np.abs((x - square.x) * cos + (y - square.y) * sin)
    down = (y - square.y) * cos - (x - square.x) * sin
    return (across < square.width / 2) & (down > -square.width / 2)


def _step(image: np.ndarray) -> int:
    return max(max(image.shape[:2]) // SAMPLES, 1)


def _sample(image: np.ndarray) -> np.ndarray:
    step = _step(image)
    return image[::step, ::step]


@dataclass(frozen=True, eq=False)
class Seen:
    """A hand as the network saw it, and what the picture looked like there.

    Attributes:
        detection: what it saw.
        next_square: where to look for the hand next.
        square: where the network looked.
        sample: of the picture there; None where the hand's place isn't settled yet.
        time_s: of the frame, seconds.
    """

    detection: Detection
    next_square: Square
    square: Square
    sample: np.ndarray | None
    time_s: float

    def holds(self, image: np.ndarray, time_s: float) -> bool:
        """Whether the network would see the same again: the hand's pixels haven't changed.

        Frames are compared with the one that the network saw, so that slow changes add up.
        """
        if self.sample is None or not 0 < time_s - self.time_s < LOOK_S:
            return False
        sample = sample_square(image, self.square)
        return sample is not None and int(cv2.absdiff(sample, self.sample).max()) < STILL_LEVELS


def settled(square: Square, following: Square) -> bool:
    """Whether a hand's landmarks lead to nearly the square by which they were found."""
    moved = max(abs(following.x - square.x), abs(following.y - square.y))
    resized, turned = abs(following.width - square.width), abs(following.angle - square.angle)
    return max(moved, resized) < SETTLED * square.width and turned < SETTLED


def sample_square(image: np.ndarray, square: Square) -> np.ndarray | None:
    """The part of a picture that a square's crop reads, as means of its cells.

    Args:
        image: uint8 (H, W, 3) BGR.
        square: the square.

    Returns:
        uint8 (CELLS, CELLS, 3); None where the square is outside the picture.
    """
    left, top, right, bottom = reach(image, square)
    part = image[top:bottom, left:right]
    if left >= right or top >= bottom:
        return None
    # First to four pixels a cell each way, of 2 × 2 each: means of all pixels take six times as
    # long and are hardly less noisy.
    few = cv2.resize(part, (4 * CELLS, 4 * CELLS), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(few, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
