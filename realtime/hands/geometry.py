"""Upright square crops from landmarks, and left hands mirrored to right ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from realtime.types import Square

# The joints that MediaPipe places its own landmark crop by: wrist, thumb, and each finger's
# knuckle and first joint. Without fingertips, bending a finger doesn't zoom the crop.
PALM_JOINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
LARGEST_PART = 8  # crop areas; copying a larger part takes longer than it saves
MOST_WARPED = 1 << 14  # px a side; OpenCV's warps abort the process from 32767 on
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
    points = landmarks[:, :2].tolist()  # so few that plain numbers are quicker than arrays
    knuckles = [((points[5][i] + points[13][i]) / 2 + points[9][i]) / 2 for i in (0, 1)]
    angle = math.atan2(knuckles[0] - points[0][0], points[0][1] - knuckles[1])
    cos, sin = math.cos(angle), math.sin(angle)
    # In the hand's own frame: u to its right, v down from its fingers to the wrist.
    u = [points[joint][0] * cos + points[joint][1] * sin for joint in PALM_JOINTS]
    v = [points[joint][1] * cos - points[joint][0] * sin for joint in PALM_JOINTS]
    across, height = max(u) - min(u), max(v) - min(v)
    middle = (max(u) + min(u)) / 2, (max(v) + min(v)) / 2 - SHIFT_UP * height
    x, y = middle[0] * cos - middle[1] * sin, middle[0] * sin + middle[1] * cos
    return Square(x, y, max(CROP_SCALE * max(across, height), 1.0), angle)


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
    left, top, right, bottom = reach(image, square)
    part = image[top:bottom, left:right]
    if part.shape[0] * part.shape[1] > LARGEST_PART * size * size or not part.size:
        image, step = thin(image)
        matrix[:, :2] *= step
        crop = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
    # OpenCV warps four channels in less than half the time that three take.
    part = cv2.cvtColor(part, cv2.COLOR_BGR2RGBA)
    matrix = np.column_stack([matrix[:, :2], matrix @ (left, top, 1)])
    crop = cv2.warpAffine(part, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB)


def thin(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Every n-th pixel of an image that is too large for OpenCV's warps, and n; 1 for others."""
    step = -(-max(image.shape[:2]) // MOST_WARPED)
    return (image if step == 1 else np.ascontiguousarray(image[::step, ::step])), step


def reach(image: np.ndarray, square: Square) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, px, of the part of a picture that a crop reads."""
    height, width = image.shape[:2]
    half = square.width * math.sqrt(0.5) + 2
    return (
        max(math.floor(square.x - half), 0),
        max(math.floor(square.y - half), 0),
        min(math.ceil(square.x + half) + 1, width),
        min(math.ceil(square.y + half) + 1, height),
    )


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


def turns_of(angles: Sequence[float] | np.ndarray) -> np.ndarray:
    """Compute turns as a one-pass encoder takes them.

    Args:
        angles: (N,) radians by which crops' up is turned clockwise from the camera's.

    Returns:
        float32 (N, 2), cosine and sine.
    """
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def bounding_box(landmarks: np.ndarray) -> np.ndarray:
    """Compute the box, float32 (4,) x0 y0 x1 y1, of landmarks (21, ≥ 2), px."""
    return np.concatenate([landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)]).astype(
        np.float32
    )
