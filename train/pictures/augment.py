"""Augmentation of a prepared hand: other tracking, other light, another camera."""

from __future__ import annotations

import cv2
import numpy as np

from train.pictures.prepared import MARGIN, STORED_SIZE

# Standard deviations of a tracker's square from frame to frame.
TURN_SD = 0.07  # radians
ZOOM_SD = 0.05  # of the logarithm
SHIFT_SD = 0.02  # crop widths


def centre_crop(crop: np.ndarray, size: int) -> np.ndarray:
    """Cut the encoder's crop out of the middle of a stored one, which has a margin around it.

    Args:
        crop: uint8 (STORED_SIZE, STORED_SIZE, 3) RGB.
        size: Width of the result, px.

    Returns:
        float32 (3, size, size) RGB, 0…1.
    """
    return _warp(crop, np.eye(2), np.zeros(2), size)


def augment(
    rng: np.random.Generator, crop: np.ndarray, angle: float, size: int
) -> tuple[np.ndarray, float]:
    """Turn, zoom, shift and relight a stored hand a little.

    Args:
        rng: Source of randomness.
        crop: uint8 (STORED_SIZE, STORED_SIZE, 3) RGB.
        angle: Radians by which the crop's up is turned clockwise from the camera's.
        size: Width of the resulting crop, px.

    Returns:
        The crop, float32 (3, size, size) RGB 0…1, and its angle.
    """
    turn, zoom = rng.normal(0.0, TURN_SD), np.exp(rng.normal(0.0, ZOOM_SD))
    shift = rng.normal(0.0, SHIFT_SD, 2)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    to_old = rotation * zoom  # old = ½ + to_old (new − ½) + shift
    return _relight(rng, _warp(crop, to_old, shift, size)), angle + turn


def _warp(crop: np.ndarray, to_old: np.ndarray, shift: np.ndarray, size: int) -> np.ndarray:
    """Cut the middle 1/MARGIN of a stored crop through the map old = ½ + to_old (new − ½) + shift.

    Args:
        crop: uint8 (STORED_SIZE, STORED_SIZE, 3) RGB.
        to_old: (2, 2), from new to old coordinates, in widths of the encoder's crop.
        shift: (2,), in widths of the encoder's crop.
        size: Width of the result, px.

    Returns:
        float32 (3, size, size) RGB, 0…1.
    """
    width = STORED_SIZE / MARGIN  # of the encoder's crop, in stored pixels
    matrix = np.empty((2, 3))
    matrix[:, :2] = to_old * (width / size)
    matrix[:, 2] = STORED_SIZE / 2 + shift * width - matrix[:, :2] @ (size / 2, size / 2)
    matrix[:, 2] += matrix[:, :2].sum(1) * 0.5 - 0.5  # OpenCV's pixel centres are integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(crop, matrix, (size, size), flags=flags)
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / np.float32(255)


def _relight(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Vary gamma, exposure, colour of light, brightness, focus and sensor noise, within 0…1."""
    picture = picture ** np.float32(np.exp(rng.normal(0.0, 0.25)))
    gains = np.exp(rng.normal(0.0, 0.1) + rng.normal(0.0, 0.08, (3, 1, 1)))
    picture = picture * gains.astype(np.float32) + np.float32(rng.normal(0.0, 0.03))
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(picture.transpose(1, 2, 0), (0, 0), rng.uniform(0.5, 1.5))
        picture = blurred.transpose(2, 0, 1)
    if rng.random() < 0.5:
        deviation = np.float32(rng.uniform(0.005, 0.03))
        picture = picture + deviation * rng.standard_normal(picture.shape, np.float32)
    return np.clip(picture, 0.0, 1.0)
