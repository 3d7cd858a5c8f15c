"""What every source of frames is to the loop: polled by one thread, closed by any."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TypeVar

import cv2
import numpy as np

from realtime.types import Frame

PICTURE_FPS = 30.0  # for what has no time of its own
LATE_S = 0.5  # a paced source that falls behind by more drops the lost time
SLICE_S = 0.25  # Windows notices Ctrl-C only between two waits

AnySource = TypeVar("AnySource", bound="Source")


class Source(ABC):
    """Frames in order. Poll or iterate in one thread; close it from any, or use `with`.

    Attributes:
        name: for messages, without a URL's password.
        live: only the newest frame is kept, older ones are dropped.
        unrelated: the pictures stand alone, they are no video.
        fps: nominal frames per second; None where it isn't known.
    """

    live = False
    unrelated = False

    def __init__(self, name: str, fps: float | None, mirrored: bool) -> None:
        self.name = name
        self.fps = fps
        self._mirrored = mirrored
        self._closed = threading.Event()

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether no frame will come any more."""

    @abstractmethod
    def poll(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None where none came in time or the source is over.

        Raises UserError where the source fails for good.
        """

    def close(self) -> None:
        self._closed.set()

    def __iter__(self) -> Iterator[Frame]:
        while not self.over:
            frame = self.poll(SLICE_S)
            if frame is not None:
                yield frame

    def __enter__(self: AnySource) -> AnySource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frame(self, image: np.ndarray, index: int, time_s: float) -> Frame:
        return Frame(cv2.flip(image, 1) if self._mirrored else image, index, time_s)


class WaitingSource(Source):
    """A source that waits for whoever takes its frames: a file, a folder, the demo.

    realtime: a frame comes no earlier than it would from a camera, and none is left out.
    """

    def __init__(self, name: str, fps: float | None, mirrored: bool, realtime: bool) -> None:
        super().__init__(name, fps, mirrored)
        self._realtime = realtime
        self._next: Frame | None = None  # read, but not due yet
        self._frames = self.read()
        self._exhausted = False
        self._began_s: float | None = None  # when the frame at time 0 was due

    @abstractmethod
    def read(self) -> Iterator[Frame]:
        """Yield the frames one after the other, as fast as they are asked for."""

    @property
    def over(self) -> bool:
        return self._exhausted or self._closed.is_set()

    def poll(self, timeout_s: float) -> Frame | None:
        if self.over:
            return None
        if self._next is None:
            self._next = next(self._frames, None)
            self._exhausted = self._next is None
        frame = self._next
        if frame is None or (self._realtime and not self._due(frame.time_s, timeout_s)):
            return None
        self._next = None
        return frame

    def _due(self, time_s: float, timeout_s: float) -> bool:
        """Wait until a frame is due, for timeout_s at most. Time lost in a pause isn't made up."""
        now_s = time.monotonic()
        self._began_s = max(self._began_s or now_s - time_s, now_s - time_s - LATE_S)
        left_s = self._began_s + time_s - now_s
        if left_s > 0:
            self._closed.wait(min(left_s, timeout_s))
        return left_s <= timeout_s and not self._closed.is_set()
