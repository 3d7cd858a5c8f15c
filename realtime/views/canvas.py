"""The picture that the window shows and the video saves, drawn once for both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

import cv2
import numpy as np

from realtime.live.state import State
from realtime.types import FrameResult
from realtime.views.overlay import SMALLEST, THUMBNAIL, count_thumbnails, draw, make_strip


class Canvas:
    """Draws each moment once, whichever thread asks first.

    Args:
        pictures: gives references' pictures by their ids, uint8 (K, K, 3) BGR; without what has
            gone.
    """

    def __init__(self, pictures: Callable[[Collection[str]], dict[str, np.ndarray]]) -> None:
        self._pictures = pictures
        self._lock = threading.Lock()
        self._drawn: tuple[FrameResult, State, np.ndarray] | None = None
        self._thumbnails: dict[str, np.ndarray] = {}
        self._strip: tuple[tuple[tuple[str, str], ...], int, np.ndarray] | None = None

    def draw(self, result: FrameResult, state: State) -> np.ndarray:
        """Return uint8 (H, W, 3) BGR, shared: who draws on it copies it first."""
        with self._lock:
            drawn = self._drawn
            if drawn is None or drawn[0] is not result or drawn[1] is not state:
                width = max(result.frame.image.shape[1], SMALLEST)
                picture = draw(result, state, self._make_strip(state.references, width))
                self._drawn = drawn = (result, state, picture)
            return drawn[2]

    def _make_strip(self, references: tuple[tuple[str, str], ...], width: int) -> np.ndarray:
        """The newest reference of each gesture, as many as there is room for.

        A reference is read once, when it is first shown.
        """
        if self._strip is None or self._strip[:2] != (references, width):
            shown = dict(references[: count_thumbnails(width)])
            new = [id for id in shown.values() if id not in self._thumbnails]
            if new:
                self._thumbnails |= {
                    id: _thumbnail(picture) for id, picture in self._pictures(new).items()
                }
            pairs = [(n, self._thumbnails[id]) for n, id in shown.items() if id in self._thumbnails]
            strip = make_strip(pairs, width, hidden=len(references) - len(shown))
            self._strip = (references, width, strip)
        return self._strip[2]


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """The middle half of a reference's picture, small, as the selfie view shows it."""
    quarter = picture.shape[0] // 4
    middle = picture[quarter : 3 * quarter + 1, quarter : 3 * quarter + 1]
    return cv2.flip(cv2.resize(middle, (THUMBNAIL, THUMBNAIL)), 1)
