"""What a hand detector is, and how a single picture is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np

from realtime.hands.geometry import upright_square
from realtime.picture_files import shrink
from realtime.types import Detection, Frame, Hand

STILL_LOOKS = 3  # detections of a single picture; see HandDetector.detections
BORDERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the longer side: hands that fill a picture need one
MOST_PADDED = 3072  # px a side of what is looked at, with its border


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
        # A large picture is looked at smaller: with a border it could take gigabytes, and OpenCV
        # aborts the process where a side has 32767 pixels or more.
        most = round(MOST_PADDED / (1 + 2 * border))
        small = shrink(image, most)
        pad = round(border * max(small.shape[:2]))
        padded = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        found = detector.detections(padded)
        if found:
            scale = max(image.shape[:2]) / max(small.shape[:2])
            return [_in_picture(each, pad, scale) for each in found]
    return []


def scaled(detection: Detection, scale: float) -> Detection:
    """A detection in a picture → in the same picture with `scale` times as many pixels a side."""
    if scale == 1:
        return detection
    look = detection.look
    if look is not None:
        x, y, width = (scale * each for each in (look.square.x, look.square.y, look.square.width))
        look = replace(look, square=replace(look.square, x=x, y=y, width=width))
    return replace(detection, landmarks=detection.landmarks * np.float32(scale), look=look)


def _in_picture(detection: Detection, pad: int, scale: float) -> Detection:
    """A detection in a smaller picture with a border of `pad` pixels → in the picture itself."""
    look = detection.look
    if look is not None:
        square = replace(look.square, x=look.square.x - pad, y=look.square.y - pad)
        look = replace(look, square=square)
    landmarks = detection.landmarks - np.array([pad, pad, 0], np.float32)
    return scaled(replace(detection, landmarks=landmarks, look=look), scale)
