"""Draws the joints of a hand as a picture of a hand, shaded well enough for hand detectors.

The hand is built of tapered round limbs whose front surfaces are merged into one height map (pixels
towards the camera). Shading, contours, soft shadows and folds all come from that map, so fingers
that cross or lie in the palm look the way they should without any special case.

Joints are (21, 3) metres in MediaPipe's order, x right, y down, z away from the camera, wrist near
the origin; see hand_pose. Pictures are uint8 BGR (height, width, 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

SIZE = (640, 480)  # width, height
_DISTANCE = 0.55  # metres from the camera to the wrist; sets how strong the perspective is
_EMPTY = -1e4  # height where there is no hand
_PALM_LENGTH = 0.094  # metres, wrist to middle knuckle, of the hand the radii below belong to

# Radii in metres at knuckle, two joints and tip of thumb, index, middle, ring and pinky.
_RADII = np.array(
    [
        [0.0150, 0.0118, 0.0103, 0.0078],
        [0.0108, 0.0096, 0.0083, 0.0068],
        [0.0112, 0.0099, 0.0086, 0.0070],
        [0.0106, 0.0094, 0.0081, 0.0067],
        [0.0092, 0.0080, 0.0070, 0.0058],
    ]
)


@dataclass(frozen=True)
class HandLook:
    """How the drawn hand and its surroundings look. Colours are BGR, 0..255."""

    skin: tuple[int, int, int] = (138, 168, 216)
    cloth: tuple[int, int, int] = (112, 78, 58)
    wall: tuple[int, int, int] = (176, 182, 184)
    scenery: int = 1  # seed of the blurred shapes in the background
    light: tuple[float, float, float] = (-0.45, -0.60, 0.66)  # towards the lamp; z to the camera
    contrast: float = 1.0  # strength of the shading
    creases: float = 1.0  # strength of the lines in palm and fingers
    thickness: float = 1.0  # how stout the fingers are
    sleeve: float = 0.075  # metres from the wrist to the cuff
    grain: float = 1.0  # strength of skin texture and camera noise


def random_look(rng: np.random.Generator) -> HandLook:
    """Some person's skin and clothes, somewhere."""
    tone = rng.random()
    skin = (1 - tone) * np.array([160, 185, 228]) + tone * np.array([52, 78, 122])
    return HandLook(
        tuple(map(int, skin + rng.normal(0, 6, 3))),
        tuple(map(int, rng.uniform(30, 200, 3))),
        tuple(map(int, rng.uniform(60, 215) + rng.normal(0, 10, 3))),
        int(rng.integers(1 << 30)),
        (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.9, 0.1)), 0.7),
        float(rng.uniform(0.8, 1.2)),
        float(rng.uniform(0.5, 1.3)),
        float(rng.normal(1.0, 0.06)),
        float(rng.uniform(0.05, 0.15)),
    )


def project(
    joints_m: np.ndarray,
    size: tuple[int, int] = SIZE,
    scale: float = 1700.0,
    centre: tuple[float, float] | None = None,
) -> np.ndarray:
    """Where joints (n, 3) in metres appear: (n, 2) float32 pixels.

    scale: pixels per metre at the wrist's depth; centre: the pixel of the origin (the wrist), by
    default in the middle of the lower part of the picture.
    """
    return _to_view(joints_m, size, scale, centre)[0][:, :2].astype(np.float32)


def _to_view(joints_m, size, scale, centre) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) pixels with z as height towards the camera, and (n,) pixels per metre there."""
    if centre is None:
        centre = (size[0] / 2, size[1] * 0.78)
    points = np.asarray(joints_m, np.float64)
    zoom = scale * _DISTANCE / np.maximum(_DISTANCE + points[:, 2], 0.1)
    view = points * zoom[:, None]
    view[:, :2] += centre
    view[:, 2] *= -1
    return view, zoom


@lru_cache(maxsize=16)
def _backdrop(wall: tuple[int, int, int], scenery: int, size: tuple[int, int]) -> np.ndarray:
    """A wall with a gradient and a few out-of-focus things in front of it; uint8 BGR."""
    rng = np.random.default_rng(scenery)
    width, height = size
    small = np.ones((height // 4, width // 4, 3), np.float32) * wall
    for _ in range(5):
        x, y = rng.uniform(0, width / 4), rng.uniform(0, height / 4)
        half = rng.uniform(8, 30, 2)
        colour = np.clip(np.array(wall) * rng.uniform(0.72, 1.12) + rng.normal(0, 9, 3), 0, 255)
        corner = (int(x - half[0]), int(y - half[1])), (int(x + half[0]), int(y + half[1]))
        cv2.rectangle(small, *corner, colour.tolist(), -1)
    small = cv2.GaussianBlur(small, (0, 0), 5)
    across = np.linspace(-1, 1, width // 4, dtype=np.float32)
    down = np.linspace(-1, 1, height // 4, dtype=np.float32)[:, None]
    small *= (1 - 0.07 * (across * rng.uniform(-1, 1) + down) - 0.05 * across**2)[..., None]
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _texture(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Skin mottling (height, width) float32 around 0, and camera noise, int8-like float32."""
    rng = np.random.default_rng(7)
    width, height = size
    fine = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.2)
    broad = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 9)
    return fine / fine.std() * 0.008 + broad / broad.std() * 0.014, fine
