"""Synthetic gestures: a class is a pose and how the hand is turned, a sample one person making it.

Fingers are bent or straight, the thumb too: of these 32 regions of all poses a quarter is held
out, so that it can be measured what an encoder makes of poses unlike those it was trained on.
Joints are as in realtime.drawn.pose, of a right hand; x right, y down, z away from the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engines.bundles import join
from realtime.drawn.pose import joints_of_angles
from train.synthetic.contacts import HIGH, LOW, STANDARD, Hands, hold_contact
from train.synthetic.gesture_pairs import Classes, difference, pairs, rotations

PARTS = ("train", "held_out")
BENT = np.array([0.7, 1.2, 1.2, 1.2, 1.2])  # radians: a bent thumb (MCP + IP), fingers (MCP + PIP)
# Standard deviations in radians among people making one gesture: thumb, then each finger.
JOINT_SD = np.array([0.07, 0.07, 0.07, 0.09, 0.11] + [0.035, 0.09, 0.08, 0.06] * 4)
TOGETHER_SD = 0.05  # of all fingers' MCP and PIP together
TENDON = 0.5  # how far a finger's DIP follows its PIP
VIEW_SD = np.radians([17.0, 17.0, 12.0])  # yaw, pitch, roll


class Samples(NamedTuple):
    """joints float32 (N, 21, 3) metres, origin at the wrist, as the camera sees them; labels int
    (N,); persons: their hands; angles (N, 21) radians; turns (N, 3, 3) from hand to camera."""

    joints: np.ndarray
    labels: np.ndarray
    persons: Hands
    angles: np.ndarray
    turns: np.ndarray


def region(angles: np.ndarray) -> np.ndarray:
    """Which of 32 regions poses (..., 21) lie in: int (...), bit 0 for a bent thumb, 1 … 4 for a
    bent index … pinky."""
    fingers = angles[..., 5:].reshape(*angles.shape[:-1], 4, 4)
    bend = np.concatenate([angles[..., None, 3:5].sum(-1), fingers[..., 1:3].sum(-1)], -1)
    return (bend > BENT) @ (1 << np.arange(5))


def held_out(angles: np.ndarray) -> np.ndarray:
    """bool (...): whether poses (..., 21) lie in one of the eight regions kept from training.

    Each finger is bent in four of them; bending or straightening any one finger leads out.
    """
    thumb, index, middle, ring, pinky = (region(angles) >> i & 1 for i in range(5))
    return ((thumb ^ index ^ ring) == 1) & ((index ^ middle ^ pinky) == 0)


def draw_classes(rng: np.random.Generator, count: int, part: str) -> Classes:
    """`count` gestures of a part, "train" or "held_out", each different from all others.

    2i + 1 differs from 2i in one finger, the thumb or the orientation alone.
    """
    if part not in PARTS:
        raise ValueError(f"A part is one of {PARTS}, not {part!r}.")
    chosen = pairs(rng, 0)
    while len(chosen) < count:
        drawn = pairs(rng, count if part == "train" else 4 * count)
        fits = (held_out(drawn.angles) == (part == "held_out")).reshape(-1, 2).all(1)
        fits &= difference(drawn.take(slice(0, None, 2)), drawn.take(slice(1, None, 2))) >= 1
        for i in np.flatnonzero(fits):
            # Chance may have drawn a gesture that is there already.
            pair = drawn.take(slice(2 * i, 2 * i + 2))
            here, there = np.divmod(np.arange(2 * len(chosen)), max(len(chosen), 1))
            if difference(pair.take(here), chosen.take(there)).min(initial=1.0) >= 1:
                chosen = join([chosen, pair])
            if len(chosen) >= count:
                break
    return chosen.take(slice(count))


def samples(rng: np.random.Generator, classes: Classes, per_class: int) -> Samples:
    """`per_class` people making each gesture: C · per_class samples, class by class."""
    labels = np.repeat(np.arange(len(classes)), per_class)
    persons = random_hands(rng, len(labels))
    off = rng.normal(0.0, 1.0, (len(labels), 21)) * JOINT_SD
    fingers = off[:, 5:].reshape(-1, 4, 4)
    fingers[..., 1:3] += rng.normal(0.0, TOGETHER_SD, (len(labels), 1, 1))
    fingers[..., 3] += TENDON * fingers[..., 2]
    angles = np.clip(classes.angles[labels] + off, LOW, HIGH)
    angles = hold_contact(angles, persons, classes.angles, classes.touch)
    view = rotations(rng.normal(0.0, 1.0, (len(labels), 3)) * VIEW_SD)
    turns = view @ rotations(classes.orientation)[labels]
    joints = joints_of_angles(angles, *persons) @ turns.transpose(0, 2, 1).astype(np.float32)
    return Samples(joints, labels, persons, angles, turns)


def random_hands(rng: np.random.Generator, count: int) -> Hands:
    """`count` people's hands as realtime.drawn.pose.random_shape draws them, all at once."""
    size = rng.normal(1.0, 0.06, (count, 1, 1))
    palm = STANDARD.palm * size * (1.0 + rng.normal(0.0, (0.06, 0.03, 0.10), (count, 1, 3)))
    palm += rng.normal(0.0, 0.001, (count, 5, 3))
    finger = rng.normal(1.0, 0.03, (count, 1, 1)) * rng.normal(1.0, 0.03, (count, 5, 1))
    bones = STANDARD.bones * size * finger * rng.normal(1.0, 0.03, (count, 5, 3))
    return Hands(palm, np.maximum(bones, 0.012), STANDARD.fan + rng.normal(0.0, 0.02, (count, 4)))
