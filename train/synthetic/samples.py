"""Synthetic gestures: a class is a pose with an orientation, a sample is one person making it.

Thumb and fingers are each bent or straight, which divides the poses into 32 regions. A quarter of
them is held out from training, to measure an encoder on poses unlike those it was trained on.
Joints are those of a right hand in the camera's frame: x right, y down, z away from the camera;
their order is that of realtime.drawn.pose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engines.bundles import join
from realtime.drawn.pose import joints_of_angles
from train.synthetic.contacts import HIGH, LOW, STANDARD, HandShapes, restore_contact
from train.synthetic.gesture_pairs import (
    Classes,
    difference,
    draw_gesture_pairs,
    rotations,
)

PARTS = ("train", "held_out")
# From these sums of angles on, in radians, thumb (MCP + IP) and fingers (MCP + PIP) are bent.
MIN_BEND = np.array([0.7, 1.2, 1.2, 1.2, 1.2])
# Standard deviations in radians among people making one gesture: thumb, then each finger.
JOINT_SD = np.array([0.07, 0.07, 0.07, 0.09, 0.11] + [0.035, 0.09, 0.08, 0.06] * 4)
COMMON_SD = 0.05  # radians, of the MCP and PIP of all fingers together
DIP_PER_PIP = 0.5  # how far a finger's DIP follows its PIP
VIEW_SD = np.radians([17.0, 17.0, 12.0])  # yaw, pitch, roll


class Samples(NamedTuple):
    """N samples of gestures.

    Attributes:
        joints: float32 (N, 21, 3) metres in the camera's frame, origin at the wrist.
        labels: int (N,), the gestures' numbers.
        persons: The N people's hands.
        angles: (N, 21) joint angles, radians.
        turns: (N, 3, 3) rotations from the hand's to the camera's frame.
    """

    joints: np.ndarray
    labels: np.ndarray
    persons: HandShapes
    angles: np.ndarray
    turns: np.ndarray


def region(angles: np.ndarray) -> np.ndarray:
    """Number the regions of poses (..., 21): int (...), bits 0 … 4 for a bent thumb … pinky."""
    fingers = angles[..., 5:].reshape(*angles.shape[:-1], 4, 4)
    bend = np.concatenate([angles[..., None, 3:5].sum(-1), fingers[..., 1:3].sum(-1)], -1)
    return (bend > MIN_BEND) @ (1 << np.arange(5))


def is_held_out(angles: np.ndarray) -> np.ndarray:
    """Whether poses (..., 21) lie in one of the eight regions held out from training: bool (...).

    Each finger is bent in four of the eight, and changing any one finger leaves the eight.
    """
    thumb, index, middle, ring, pinky = (region(angles) >> i & 1 for i in range(5))
    return ((thumb ^ index ^ ring) == 1) & ((index ^ middle ^ pinky) == 0)


def draw_classes(rng: np.random.Generator, count: int, part: str) -> Classes:
    """Draw gestures that all differ from each other.

    Args:
        rng: Source of randomness.
        count: Number of gestures. 2i + 1 differs from 2i in one finger, the thumb or the
            orientation alone.
        part: "train" or "held_out" regions of pose space.
    """
    if part not in PARTS:
        raise ValueError(f"A part is one of {PARTS}, not {part!r}.")
    chosen = draw_gesture_pairs(rng, 0)
    while len(chosen) < count:
        drawn = draw_gesture_pairs(rng, count if part == "train" else 4 * count)
        fits = (is_held_out(drawn.angles) == (part == "held_out")).reshape(-1, 2).all(1)
        fits &= difference(drawn.take(slice(0, None, 2)), drawn.take(slice(1, None, 2))) >= 1
        for i in np.flatnonzero(fits):
            # Skip pairs with a gesture that has been drawn before.
            pair = drawn.take(slice(2 * i, 2 * i + 2))
            here, there = np.divmod(np.arange(2 * len(chosen)), max(len(chosen), 1))
            if difference(pair.take(here), chosen.take(there)).min(initial=1.0) >= 1:
                chosen = join([chosen, pair])
            if len(chosen) >= count:
                break
    return chosen.take(slice(count))


def draw_samples(rng: np.random.Generator, classes: Classes, per_class: int) -> Samples:
    """Draw `per_class` people making each gesture: C · per_class samples, class by class."""
    labels = np.repeat(np.arange(len(classes)), per_class)
    persons = random_hands(rng, len(labels))
    off = rng.normal(0.0, 1.0, (len(labels), 21)) * JOINT_SD
    fingers = off[:, 5:].reshape(-1, 4, 4)
    fingers[..., 1:3] += rng.normal(0.0, COMMON_SD, (len(labels), 1, 1))
    fingers[..., 3] += DIP_PER_PIP * fingers[..., 2]
    angles = np.clip(classes.angles[labels] + off, LOW, HIGH)
    angles = restore_contact(angles, persons, classes.angles, classes.touch)
    view = rotations(rng.normal(0.0, 1.0, (len(labels), 3)) * VIEW_SD)
    turns = view @ rotations(classes.orientation)[labels]
    joints = joints_of_angles(angles, *persons) @ turns.transpose(0, 2, 1).astype(np.float32)
    return Samples(joints, labels, persons, angles, turns)


def random_hands(rng: np.random.Generator, count: int) -> HandShapes:
    """Draw `count` people's hands at once, distributed as by `random_shape`."""
    size = rng.normal(1.0, 0.06, (count, 1, 1))
    palm = STANDARD.palm * size * (1.0 + rng.normal(0.0, (0.06, 0.03, 0.10), (count, 1, 3)))
    palm += rng.normal(0.0, 0.001, (count, 5, 3))
    finger = rng.normal(1.0, 0.03, (count, 1, 1)) * rng.normal(1.0, 0.03, (count, 5, 1))
    bones = STANDARD.bones * size * finger * rng.normal(1.0, 0.03, (count, 5, 3))
    fan = STANDARD.fan + rng.normal(0.0, 0.02, (count, 4))
    return HandShapes(palm, np.maximum(bones, 0.012), fan)
