"""Upright crops of drawn hands, as many and as varied as wanted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from realtime.drawn.hand import draw_hand, project
from realtime.drawn.pose import palm_axes
from realtime.hands.geometry import crop_landmarks, cut, upright_square
from realtime.types import Square
from train.synthetic.gesture_pairs import Classes, rotations
from train.synthetic.looks import photographed, random_backdrop, random_look
from train.synthetic.samples import Samples, samples

# Pictures are drawn with fewer or more pixels than the crop has, as hands are far or near.
RESOLUTIONS = (0.6, 0.9, 1.2)
ROOM = 1.25  # the drawn picture's width over the part of it that the crop is to show
# How a tracker's square is off: standard deviations in its widths, of its logarithm, in radians.
SHIFT_SD, WIDTH_SD, ANGLE_SD = 0.02, 0.05, 0.05


class Pictures(NamedTuple):
    """crops uint8 (N, S, S, 3) RGB, the hand upright; landmarks float32 (N, 21, 3) in widths of
    the encoder's crop, the inner 1/margin of these; angles float32 (N,): how far each crop's up
    is turned clockwise from the camera's; samples: the hands drawn, joints in the camera's frame.
    """

    crops: np.ndarray
    landmarks: np.ndarray
    angles: np.ndarray
    samples: Samples


def pictures(
    rng: np.random.Generator,
    classes: Classes,
    per_class: int,
    size: int = 200,
    margin: float = 1.25,
) -> Pictures:
    """`per_class` pictures of each class. size: S; margin: how much wider than the encoder's crop
    the stored ones are."""
    hands = samples(rng, classes, per_class)
    crops = np.empty((len(hands.joints), size, size, 3), np.uint8)
    landmarks = np.empty((len(crops), 21, 3), np.float32)
    angles = np.empty(len(crops), np.float32)
    for i, joints in enumerate(hands.joints):
        crops[i], landmarks[i], angles[i] = _picture(rng, joints, size, margin)
    return Pictures(crops, landmarks, angles, hands)


def _picture(
    rng: np.random.Generator, joints: np.ndarray, size: int, margin: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """One of `pictures`' crops (S, S, 3), its landmarks (21, 3) and its angle."""
    # Turned about the camera's axis a hand looks the same: it is drawn upright already.
    square = upright_square(project(joints, scale=1000.0, centre=(0.0, 0.0)))
    angle = square.angle + rng.normal(0.0, ANGLE_SD)
    cos, sin = np.cos(angle), np.sin(angle)
    to_upright = np.array([[cos, sin], [-sin, cos]])
    upright = joints.astype(np.float64)
    upright[:, :2] = upright[:, :2] @ to_upright.T

    shown = int(size * rng.choice(RESOLUTIONS))
    side = int(shown * ROOM)
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
    seen = Square(side / 2, side / 2, shown / margin, 0.0)
    stored = Square(side / 2, side / 2, float(shown), 0.0)
    crop = cut(photographed(rng, picture), stored, size, mirror=False)
    return crop, crop_landmarks(points, seen, mirror=False), angle


def to_upright(angles: np.ndarray) -> np.ndarray:
    """(N, 3, 3): from the camera's frame to that of crops turned clockwise by angles (N,)."""
    return rotations(np.stack([0 * angles, 0 * angles, -angles], -1))
