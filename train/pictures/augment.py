"""Augmentation of a prepared hand: other tracking, other light, another camera.

Sets of pictures differ in style (grey, coarse, compressed, over-exposed). Each picture is shown in
random styles, so that the style says nothing about the gesture.
"""

from __future__ import annotations

import cv2
import numpy as np

from train.pictures.prepared import MARGIN, STORED_SIZE

VERSION = 2  # increase it when the augmentation changes
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
    """Turn, zoom and shift a stored hand a little, and show it by another light and camera.

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
    picture = _relight(rng, _warp(crop, to_old, shift, size))
    return _degrade(rng, picture), angle + turn


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


def _degrade(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Show a picture, float32 (3, S, S) 0…1, as old or cheap cameras do, and in harder light.

    Each step happens at random: grey, coarse pixels, JPEG, wrong exposure, light from one side.
    """
    size = picture.shape[1]
    image = np.ascontiguousarray((255 * picture.transpose(1, 2, 0)).astype(np.uint8))
    if rng.random() < 0.35:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.4:
        coarse = int(rng.uniform(48, 120))
        image = cv2.resize(image, (coarse, coarse), interpolation=cv2.INTER_AREA)
        kind = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
        image = cv2.resize(image, (size, size), interpolation=kind)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
        assert decoded is not None
        image = decoded
    if rng.random() < 0.25:
        gamma, gain = np.exp(rng.normal(0.0, 0.5)), np.exp(rng.normal(0.0, 0.25))
        levels = 255 * np.linspace(0.0, 1.0, 256) ** gamma * gain
        image = cv2.LUT(image, levels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.2:
        across, down = rng.normal(0.0, 0.35, 2)
        at = np.linspace(-1.0, 1.0, size)
        light = np.exp(across * at[None, :] + down * at[:, None])[..., None]
        image = (image * light).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)
