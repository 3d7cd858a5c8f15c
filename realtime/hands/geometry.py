"""Upright square crops from landmarks, and left hands mirrored to right ones."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from realtime.types import Square

# The joints that MediaPipe places its own landmark crop by: wrist, thumb, and each finger's
# knuckle and first joint. Without fingertips, bending a finger doesn't zoom the crop.
PALM_JOINTS = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
CROP_SCALE = 2.0  # crop width over the longer side of the palm joints' box
SHIFT_UP = 0.1  # of the height of that box: fingers need more room than the wrist


def crop_matrix(square: Square, size: int) -> np.ndarray:
    """Build the matrix, float64 (2, 3), from picture pixels to pixels of a crop `size` wide."""
    scale = size / square.width
    cos, sin = np.cos(square.angle) * scale, np.sin(square.angle) * scale
    rotation = np.array([[cos, sin], [-sin, cos]])
    offset = size / 2 - rotation @ (square.x, square.y)
    return np.column_stack([rotation, offset])


def upright_square(landmarks: np.ndarray) -> Square:
    """Compute the square around a hand in which the knuckles are above the wrist.

    As MediaPipe's hand_landmarks_to_rect: the palm joints' box in the turned frame, made square by
    its longer side, doubled, and shifted up by a tenth.

    Args:
        landmarks: float (21, ≥ 2), px.
    """
    points = landmarks[:, :2].astype(np.float64)
    knuckles = ((points[5] + points[13]) / 2 + points[9]) / 2
    dx, dy = knuckles - points[0]
    angle = float(np.arctan2(dx, -dy))
    cos, sin = np.cos(angle), np.sin(angle)
    to_picture = np.array([[cos, -sin], [sin, cos]])
    turned = points[PALM_JOINTS] @ to_picture  # coordinates in the hand's own frame
    low, high = turned.min(axis=0), turned.max(axis=0)
    height = high[1] - low[1]
    centre = (low + high) / 2 - (0.0, SHIFT_UP * height)
    x, y = to_picture @ centre
    width = max(float(CROP_SCALE * (high - low).max()), 1.0)
    return Square(float(x), float(y), width, angle)


def cut(image: np.ndarray, square: Square, size: int, mirror: bool) -> np.ndarray:
    """Cut a square out of a picture; outside the picture the crop repeats its border.

    As MediaPipe does: the corner of the square is mapped to the first pixel's centre, half a pixel
    off. Its hand network is used to that.

    Args:
        image: uint8 (H, W, 3) BGR.
        square: The square.
        size: Width of the crop, px.
        mirror: Whether to mirror the crop.

    Returns:
        uint8 (size, size, 3) RGB.
    """
    matrix = crop_matrix(square, size)
    if mirror:
        matrix = np.array([[-1.0, 0, size], [0, 1.0, 0]]) @ np.vstack([matrix, (0, 0, 1)])
    crop = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)


def crop_landmarks(landmarks: np.ndarray, square: Square, mirror: bool) -> np.ndarray:
    """Convert landmarks, float (21, 3) px, to crop widths, float32 (21, 3).

    x and y are 0…1 inside the crop; z has the same scale.
    """
    matrix = crop_matrix(square, 1)
    result = np.empty((21, 3), np.float32)
    result[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    result[:, 2] = landmarks[:, 2] / square.width
    if mirror:
        result[:, 0] = 1.0 - result[:, 0]
    return result


def canonical_world(world_landmarks: np.ndarray, mirror: bool) -> np.ndarray:
    """Negate x of world landmarks, float32 (21, 3) metres, if the hand is mirrored."""
    return world_landmarks * np.array([-1.0 if mirror else 1.0, 1.0, 1.0], np.float32)


def turns_of(squares: Sequence[Square]) -> np.ndarray:
    """Cosine and sine of the squares' angles, float32 (N, 2), as a one-pass encoder takes them."""
    angles = np.array([square.angle for square in squares])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def bounding_box(landmarks: np.ndarray) -> np.ndarray:
    """Compute the box, float32 (4,) x0 y0 x1 y1, of landmarks (21, ≥ 2), px."""
    return np.concatenate([landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)]).astype(
        np.float32
    )
