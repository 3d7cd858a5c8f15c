"""What a hand detector is, and how a single picture is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np

from realtime.hands.geometry import upright_square
from realtime.types import Detection, Frame, Hand

STILL_LOOKS = 3  # detections of a single picture; see HandDetector.detections
BORDERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the longer side: hands that fill a picture need one


class Detector(Protocol):
    """What finds hands. Use it as a context manager, or call close().

    Attributes:
        engine: What runs its networks, for people.
        skip_still: Whether tracked hands whose pixels haven't changed are passed over. It may be
            set at any time; a detector that has no such shortcut ignores it.
        stages_ms: Milliseconds of the last frame by stage, where it is known.
    """

    engine: str
    skip_still: bool
    stages_ms: dict[str, float]

    def detect(self, frame: Frame) -> list[Hand]:
        """Hands in one frame, the larger first."""
        ...

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        """Hands in uint8 (H, W, 3) BGR, untracked and uncut."""
        ...

    def close(self) -> None:
        """Free the networks."""
        ...

    def __enter__(self) -> Detector: ...

    def __exit__(self, *_: object) -> None: ...


def detect_picture(
    detector: Detector, image: np.ndarray, borders: Sequence[float] = BORDERS
) -> Detection | None:
    """Find the largest hand of a picture, if need be with a replicated border around it.

    Args:
        detector: A detector of single pictures.
        image: uint8 (H, W, 3) BGR.
        borders: Widths of the borders to try, as shares of the longer side.

    Returns:
        The hand, in the picture's pixels, or None.
    """
    found = detect_all(detector, image, borders)
    return max(found, key=lambda d: upright_square(d.landmarks).width, default=None)


def detect_all(
    detector: Detector, image: np.ndarray, borders: Sequence[float] = BORDERS
) -> list[Detection]:
    """As `detect_picture`, with all hands that are found at once."""
    for border in borders:
        pad = round(border * max(image.shape[:2]))
        padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        found = detector.detections(padded)
        if found:
            return [_without_border(each, pad) for each in found]
    return []


def _without_border(detection: Detection, pad: int) -> Detection:
    """A detection in a picture with a border of `pad` pixels → in the picture itself."""
    look = detection.look
    if look is not None:
        square = replace(look.square, x=look.square.x - pad, y=look.square.y - pad)
        look = replace(look, square=square)
    landmarks = detection.landmarks - np.array([pad, pad, 0], np.float32)
    return replace(detection, landmarks=landmarks, look=look)
