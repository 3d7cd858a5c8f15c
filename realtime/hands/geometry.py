"""Landmarks → upright square crop, and the canonical right hand. Pure arrays; cv2 only warps."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.types import Square

# The joints that MediaPipe frames its own landmark crop by: wrist, thumb, and each finger's
# knuckle and first joint. Fingertips stay out, so that bending a finger doesn't zoom the crop.
PALM = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
SCALE = 2.0  # crop width over the longer side of the palm joints' box
SHIFT_UP = 0.1  # of the palm joints' box height: fingers need more room than the wrist


def crop_matrix(square: Square, size: int) -> np.ndarray:
    """float64 (2, 3): picture pixels → crop pixels of a crop `size` wide."""
    scale = size / square.width
    cos, sin = np.cos(square.angle) * scale, np.sin(square.angle) * scale
    rotation = np.array([[cos, sin], [-sin, cos]])
    offset = size / 2 - rotation @ (square.x, square.y)
    return np.column_stack([rotation, offset])


def upright_square(landmarks: np.ndarray) -> Square:
    """The square around a hand that makes wrist → knuckles point up.

    landmarks float (21, ≥2) pixels. After MediaPipe's hand_landmarks_to_rect: the palm joints'
    box in the turned frame, made square by its longer side, doubled, shifted up by a tenth.
    """
    points = landmarks[:, :2].astype(np.float64)
    knuckles = ((points[5] + points[13]) / 2 + points[9]) / 2
    dx, dy = knuckles - points[0]
    angle = float(np.arctan2(dx, -dy))
    cos, sin = np.cos(angle), np.sin(angle)
    to_picture = np.array([[cos, -sin], [sin, cos]])
    turned = points[PALM] @ to_picture  # coordinates along the hand's own right and down
    low, high = turned.min(axis=0), turned.max(axis=0)
    height = high[1] - low[1]
    centre = (low + high) / 2 - (0.0, SHIFT_UP * height)
    x, y = to_picture @ centre
    width = max(float(SCALE * (high - low).max()), 1.0)
    return Square(float(x), float(y), width, angle)


def cut(image: np.ndarray, square: Square, size: int, mirror: bool) -> np.ndarray:
    """uint8 (H, W, 3) BGR → upright crop uint8 (size, size, 3) RGB; black outside the picture."""
    matrix = crop_matrix(square, size)
    if mirror:
        matrix = np.array([[-1.0, 0, size], [0, 1.0, 0]]) @ np.vstack([matrix, (0, 0, 1)])
    # Pixel centres lie at half-integers in `matrix` and at integers in cv2.
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2].sum(axis=1) * 0.5 - 0.5
    crop = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)


def crop_landmarks(landmarks: np.ndarray, square: Square, mirror: bool) -> np.ndarray:
    """float (21, 3) pixels → float32 (21, 3) in crop widths: 0…1 inside the crop, z as x and y."""
    matrix = crop_matrix(square, 1)
    result = np.empty((21, 3), np.float32)
    result[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    result[:, 2] = landmarks[:, 2] / square.width
    if mirror:
        result[:, 0] = 1.0 - result[:, 0]
    return result


def canonical_world(world_landmarks: np.ndarray, mirror: bool) -> np.ndarray:
    """float32 (21, 3) metres, x negated where the hand is to be seen as the other one."""
    return world_landmarks * np.array([-1.0 if mirror else 1.0, 1.0, 1.0], np.float32)


def bounding_box(landmarks: np.ndarray) -> np.ndarray:
    """float32 (4,) x0 y0 x1 y1 of (21, ≥2) pixels."""
    return np.concatenate([landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)]).astype(
        np.float32
    )
