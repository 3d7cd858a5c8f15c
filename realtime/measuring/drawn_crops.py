"""Drawn hands as inputs of an encoder, with their true joints, so that no detector is needed."""

from __future__ import annotations

import numpy as np

from engines.spec import EncoderInputs
from realtime.drawn.hand import HandLook, draw_hand, project
from realtime.drawn.pose import joints, view_rotation
from realtime.drawn.random_hand import random_pose, random_shape
from realtime.hands.geometry import crop_landmarks, cut, turns_of, upright_square

LOOKS = (
    HandLook(),
    HandLook(skin=(84, 112, 168), scenery=3, thickness=1.1),
    HandLook(skin=(170, 196, 236), wall=(96, 104, 120), scenery=7, creases=0.6),
)


def drawn_crops(count: int, size: int, seed: int = 0) -> EncoderInputs:
    """Draw random hands as Encoder.encode takes them.

    Args:
        count: Number N of hands.
        size: Width S of the crops, px.
        seed: Seed of the hands.
    """
    rng = np.random.default_rng(seed)
    crops, landmarks, worlds, squares = [], [], [], []
    for i in range(count):
        view = view_rotation(*rng.uniform(-0.4, 0.4, 3))
        points = joints(random_pose(rng), random_shape(rng)) @ view.T
        picture = draw_hand(points, LOOKS[i % len(LOOKS)])
        seen = np.column_stack([project(points), points[:, 2] * 1600.0]).astype(np.float32)
        square = upright_square(seen)
        squares.append(square)
        crops.append(cut(picture, square, size, False))
        landmarks.append(crop_landmarks(seen, square, False))
        worlds.append((points - points.mean(axis=0)).astype(np.float32))
    turns = turns_of([square.angle for square in squares])
    return EncoderInputs(np.stack(crops), np.stack(landmarks), np.stack(worlds), turns)
