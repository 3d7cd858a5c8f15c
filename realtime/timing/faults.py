"""What goes wrong in a stream: one fault after another, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

CUT = "cut"  # the connection ends
STALL = "stall"  # nothing comes for STALL_S
UNREADABLE = "unreadable"  # a part that is no picture
DAMAGED = "damaged"  # a picture whose last bytes are wrong
SIZE = "size"  # pictures of OTHER_SIZE until the next fault
FAULTS = (CUT, STALL, UNREADABLE, DAMAGED, SIZE)
EVERY = 45  # pictures
STALL_S = 2.0
OTHER_SIZE = (800, 600)  # width, height


class Faults:
    """Decides what happens to each picture of a stream, over all its connections.

    Every kind comes once before one comes again.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._kinds = self._shuffle()
        self._last: str | None = None
        self._passed = 0  # pictures

    def next(self) -> str | None:
        """The fault that the next picture meets; None for most of them."""
        self._passed += 1
        if self._passed % EVERY:
            return None
        self._last = next(self._kinds)
        return self._last

    def resize(self, image: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, 3), in the size that is sent now."""
        return cv2.resize(image, OTHER_SIZE) if self._last == SIZE else image

    def spoil(self, data: bytes, fault: str | None) -> bytes:
        """A JPEG file after a fault; most faults leave it as it is."""
        if fault == UNREADABLE:
            return self._rng.bytes(len(data) // 4)
        if fault == DAMAGED:  # its stamp is at the top
            return data[: len(data) // 2] + self._rng.bytes(len(data) // 2)
        return data

    def _shuffle(self) -> Iterator[str]:
        while True:
            yield from (FAULTS[i] for i in self._rng.permutation(len(FAULTS)))


def damage_file(data: bytes, seed: int) -> bytes:
    """A video file with wrong bytes in a few places of its middle."""
    rng = np.random.default_rng(seed)
    spoilt = bytearray(data)
    for place in rng.integers(len(data) // 5, len(data) * 4 // 5, 6).tolist():
        spoilt[place : place + 16] = rng.bytes(16)
    return bytes(spoilt)
