"""When to search a video's frames for new hands: only where something has changed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from realtime.types import Square

SEARCH_S = 0.33  # most seconds until a change is searched, while a hand is tracked
LONGEST_S = 2.0  # most seconds without one, whatever the picture shows
SAMPLES = 80  # pixels that are compared along the picture's longer side
LEVELS = 20  # of 255; a pixel that differs by less is noise
FEWEST = 6  # changed pixels; the smallest hands that are found cover about 36


class SearchTimer:
    """Says in which frames of a video the palm network has to look for new hands.

    A hand that comes into view changes pixels outside the hands that are tracked already. What
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
        """Whether enough pixels outside the squares differ from the frame searched last."""
        assert self._searched is not None
        difference = np.abs(_sample(image).astype(np.int16) - self._searched).max(axis=2)
        changed = difference > LEVELS
        step = _step(image)
        for square in squares:
            half = square.width / 2
            x0, y0 = (max(math.ceil((at - half) / step), 0) for at in (square.x, square.y))
            x1, y1 = (max(math.ceil((at + half) / step), 0) for at in (square.x, square.y))
            changed[y0:y1, x0:x1] = False
        return int(changed.sum()) >= FEWEST


def _step(image: np.ndarray) -> int:
    return max(max(image.shape[:2]) // SAMPLES, 1)


def _sample(image: np.ndarray) -> np.ndarray:
    step = _step(image)
    return image[::step, ::step]
