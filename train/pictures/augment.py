"""One prepared hand as another camera, lamp and tracker would have given it."""

from __future__ import annotations

import cv2
import numpy as np

from train.pictures.prepared import MARGIN, STORED

# Standard deviations of what a tracker's square and a detector's joints are off by, from frame to
# frame: turn in radians, log zoom, shift in crop widths, each joint in crop widths and in metres.
TURN_SD, ZOOM_SD, SHIFT_SD, JOINT_SD, WORLD_SD = 0.07, 0.05, 0.02, 0.006, 0.0015


def as_stored(crop: np.ndarray, size: int) -> np.ndarray:
    """uint8 (STORED, STORED, 3) RGB → float32 (3, size, size) 0…1: the encoder's own crop."""
    return _cut(crop, np.eye(2), np.zeros(2), size)


def augmented(
    rng: np.random.Generator,
    crop: np.ndarray,
    landmarks: np.ndarray,
    world_landmarks: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A stored crop uint8 (STORED, STORED, 3) RGB with its landmarks float32 (21, 3) twice → crop
    float32 (3, size, size) 0…1 and landmarks, turned, zoomed, shifted and lit a little otherwise.
    """
    turn, zoom = rng.normal(0.0, TURN_SD), np.exp(rng.normal(0.0, ZOOM_SD))
    shift = rng.normal(0.0, SHIFT_SD, 2)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    to_old = rotation * zoom  # old = ½ + to_old (new − ½) + shift
    picture = _lit(rng, _cut(crop, to_old, shift, size))
    points = landmarks.astype(np.float64)
    points[:, :2] = (points[:, :2] - 0.5 - shift) @ np.linalg.inv(to_old).T + 0.5
    points[:, 2] /= zoom
    points[:, :2] += rng.normal(0.0, JOINT_SD, (21, 2))
    world = world_landmarks.astype(np.float64)
    world[:, :2] = world[:, :2] @ rotation  # the inverse turn
    world += rng.normal(0.0, WORLD_SD, (21, 3))
    return picture, points.astype(np.float32), world.astype(np.float32)


def _cut(crop: np.ndarray, to_old: np.ndarray, shift: np.ndarray, size: int) -> np.ndarray:
    """float32 (3, size, size) of the middle 1/MARGIN of a stored crop, seen through a map."""
    width = STORED / MARGIN  # of the encoder's crop, in stored pixels
    matrix = np.empty((2, 3))
    matrix[:, :2] = to_old * (width / size)
    matrix[:, 2] = STORED / 2 + shift * width - matrix[:, :2] @ (size / 2, size / 2)
    matrix[:, 2] += matrix[:, :2].sum(1) * 0.5 - 0.5  # cv2 has pixel centres at integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(crop, matrix, (size, size), flags=flags)
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / np.float32(255)


def _lit(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Other exposure, contrast, colour of light, focus and sensor noise, still 0…1."""
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
