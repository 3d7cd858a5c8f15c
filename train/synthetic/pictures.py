"""Upright crops of synthetic gestures, drawn with varied looks, light and tracking errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from realtime.drawn.hand import draw_hand, project
from realtime.drawn.pose import palm_axes
from realtime.drawn.random_look import random_look
from realtime.hands.geometry import crop_landmarks, cut, upright_square
from realtime.types import Square
from train.synthetic.gesture_pairs import Classes, rotations
from train.synthetic.looks import photograph, random_backdrop
from train.synthetic.samples import Samples, draw_samples

RESOLUTIONS = (0.6, 0.9, 1.2)  # drawn pixels over crop pixels: hands are far or near
DRAWING_MARGIN = 1.25  # width of the drawing over the part of it that the crop shows
# Standard deviations of the tracker's square.
SHIFT_SD = 0.02  # square widths
WIDTH_SD = 0.05  # of the logarithm
ANGLE_SD = 0.05  # radians


class SyntheticPictures(NamedTuple):
    """N pictures of synthetic gestures.

    Attributes:
        crops: uint8 (N, S, S, 3) RGB, the hand upright.
        landmarks: float32 (N, 21, 3), in widths of the encoder's crop, which is the inner
            1/margin of `crops`.
        angles: float32 (N,) radians by which each crop's up is turned clockwise from the camera's.
        samples: The drawn hands, joints in the camera's frame.
    """

    crops: np.ndarray
    landmarks: np.ndarray
    angles: np.ndarray
    samples: Samples


def draw_pictures(
    rng: np.random.Generator,
    classes: Classes,
    per_class: int,
    size: int = 200,
    margin: float = 1.25,
) -> SyntheticPictures:
    """Draw pictures of gestures.

    Args:
        rng: Source of randomness.
        classes: The gestures.
        per_class: Pictures of each gesture, each of another person.
        size: Width S of the crops, px.
        margin: Width of the crops over the encoder's crop.
    """
    hands = draw_samples(rng, classes, per_class)
    crops = np.empty((len(hands.joints), size, size, 3), np.uint8)
    landmarks = np.empty((len(crops), 21, 3), np.float32)
    angles = np.empty(len(crops), np.float32)
    for i, joints in enumerate(hands.joints):
        crops[i], landmarks[i], angles[i] = _draw_picture(rng, joints, size, margin)
    return SyntheticPictures(crops, landmarks, angles, hands)


def _draw_picture(
    rng: np.random.Generator, joints: np.ndarray, size: int, margin: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Draw one crop (S, S, 3); return it with its landmarks (21, 3) and its angle."""
    # Rolling the camera doesn't change how a hand looks, so it is drawn upright.
    square = upright_square(project(joints, scale=1000.0, centre=(0.0, 0.0)))
    angle = square.angle + rng.normal(0.0, ANGLE_SD)
    cos, sin = np.cos(angle), np.sin(angle)
    to_upright = np.array([[cos, sin], [-sin, cos]])
    upright = joints.astype(np.float64)
    upright[:, :2] = upright[:, :2] @ to_upright.T

    shown = int(size * rng.choice(RESOLUTIONS))
    side = int(shown * DRAWING_MARGIN)
    width = shown / margin * np.exp(rng.normal(0.0, WIDTH_SD))
    scale = 1000.0 * width / square.width
    middle = np.full(2, side / 2) + rng.normal(0.0, SHIFT_SD, 2) * width
    wrist = middle - to_upright @ (square.x, square.y) * scale / 1000.0
    look = random_look(rng, palm_seen=bool(palm_axes(joints)[1, 2] < 0))
    picture = draw_hand(
        upright,
        look,
        (side, side),
        scale,
        (float(wrist[0]), float(wrist[1])),
        backdrop=random_backdrop(rng, side),
        sink=tuple(to_upright @ (rng.normal(0.0, 0.15), rng.uniform(0.1, 0.7))),
    )
    points = np.empty((21, 3), np.float32)
    points[:, :2] = project(upright, (side, side), scale, (float(wrist[0]), float(wrist[1])))
    points[:, 2] = (upright[:, 2] - upright[0, 2]) * scale
    inner = Square(side / 2, side / 2, shown / margin, 0.0)
    outer = Square(side / 2, side / 2, float(shown), 0.0)
    crop = cut(photograph(rng, picture), outer, size, mirror=False)
    return crop, crop_landmarks(points, inner, mirror=False), angle


def to_upright(angles: np.ndarray) -> np.ndarray:
    """Compute rotations (N, 3, 3) from the camera's frame to crops turned clockwise by `angles`."""
    return rotations(np.stack([0 * angles, 0 * angles, -angles], -1))
