"""Poses in which the thumb touches a finger: pinches, a thumb over or between shut fingers.

The place of contact distinguishes many gestures, and random joint angles hardly ever produce one.
A pool of touching poses is searched once for the standard hand; poses of hands of another build
are corrected to touch at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engines.bundles import Bundle
from realtime.drawn.pose import PALM_LENGTH, RADII, HandShape, joints_of_angles
from realtime.drawn.random_hand import random_angles

# Limits of joint angles (21,), radians.
LOW = np.array([-0.1, -0.15, -0.8, -0.35, -0.35] + [-0.35, -0.40, -0.08, -0.15] * 4)
HIGH = np.array([1.25, 1.1, 1.3, 1.25, 1.45] + [0.50, 1.75, 1.95, 1.35] * 4)
SHUT_FINGER = (0.0, 1.38, 1.63, 0.60)
SEARCHED_POSES = 3000  # about a third of them end with two contacts
DAMPING = 1e-5  # m² / rad²: keeps steps short where the joints line up
TOLERANCE = 0.003  # metres between the thumb's tip and its place
MIN_DISTANCE = 0.02  # metres between the two places of one hand's thumb


class HandShapes(NamedTuple):
    """Builds of one or many hands, as arrays; see realtime.drawn.pose.HandShape.

    Attributes:
        palm: (..., 5, 3) metres.
        bones: (..., 5, 3) metres.
        fan: (..., 4) radians.
    """

    palm: np.ndarray
    bones: np.ndarray
    fan: np.ndarray


STANDARD = HandShapes(
    *(np.array(part) for part in (HandShape.palm, HandShape.bones, HandShape.fan))
)


@dataclass(frozen=True)
class Touch(Bundle):
    """What the tip of the thumb touches in N poses.

    Attributes:
        joint: int (N,), the second joint, third joint or tip of a finger; 0 for nothing.
        side: (N,) radians about the finger: 0 is its inside, π/2 the side towards the thumb, π its
            back.
    """

    joint: np.ndarray
    side: np.ndarray

    @property
    def finger(self) -> np.ndarray:
        """The fingers, int (N,): 0 … 3 for index … pinky; negative for nothing."""
        return (self.joint - 5) // 4


def contact_error(angles: np.ndarray, hands: HandShapes, touch: Touch) -> np.ndarray:
    """Compute how far the tips of the thumbs are from where they should touch.

    Args:
        angles: (..., N, 21) radians.
        hands: One build or N.
        touch: N contacts, none of them with nothing.

    Returns:
        (..., N, 3) metres, from the place of contact to the tip.
    """
    rows = np.arange(angles.shape[-2])
    finger, along = touch.finger, (touch.joint - 5) % 4
    points = joints_of_angles(angles, *hands)
    own = angles[..., 5:].reshape(*angles.shape[:-1], 4, 4)[..., rows, finger, :]
    # Spread is positive away from the middle finger; lean is positive towards the thumb.
    fan = np.broadcast_to(hands.fan, (len(rows), 4))[rows, finger]
    lean = fan + np.where(finger < 2, 1, -1) * own[..., 0]
    # The skin over a joint faces the mean direction of the two bones that meet there.
    bend = np.cumsum(own[..., 1:], -1)
    bend = (bend[..., rows, along - 1] + bend[..., rows, np.minimum(along, 2)]) / 2
    to_thumb = np.stack([np.cos(lean), np.sin(lean), 0 * lean], -1)
    straight = np.stack([np.sin(lean), -np.cos(lean), 0 * lean], -1)
    inside = -np.sin(bend)[..., None] * straight - np.cos(bend)[..., None] * (0, 0, 1)
    out = np.cos(touch.side)[:, None] * inside + np.sin(touch.side)[:, None] * to_thumb
    size = np.linalg.norm(points[..., 9, :], axis=-1) / PALM_LENGTH
    gap = 0.85 * (RADII[0, 3] + RADII[1 + finger, along]) * size  # skin yields by 15 %
    return points[..., 4, :] - points[..., rows, touch.joint, :] - gap[..., None] * out


def restore_contact(
    angles: np.ndarray, hands: HandShapes, classes: np.ndarray, touch: Touch
) -> np.ndarray:
    """Correct poses of people's hands so that thumbs touch where their gestures say.

    Args:
        angles: (N, 21) radians, N / C poses of each gesture, one gesture after the other.
        hands: N builds.
        classes: (C, 21) radians, the gestures' own poses.
        touch: C contacts.

    Returns:
        (N, 21) radians.
    """
    touching = np.flatnonzero(touch.joint)
    per_class = len(angles) // max(len(classes), 1)
    rows = (touching[:, None] * per_class + np.arange(per_class)).ravel()
    # The derivative at a gesture's own pose serves for all people making it.
    steps = _steps(classes[touching], touch.take(touching), fingers=True).repeat(per_class, 0)
    place = touch.take(touching.repeat(per_class))
    person = HandShapes(*(part[rows] for part in hands))
    poses = angles[rows]
    for _ in range(3):
        poses = poses - (steps @ contact_error(poses, person, place)[..., None])[..., 0]
        poses = np.clip(poses, LOW, HIGH)
    result = angles.copy()
    result[rows] = poses
    return result


def draw_contacts(
    rng: np.random.Generator, count: int
) -> tuple[np.ndarray, np.ndarray, Touch, Touch]:
    """Draw pairs of touching poses that differ in the thumb alone.

    Returns:
        Poses (count, 21) radians in which the thumb touches a finger; the same poses with the
        thumb touching elsewhere; what it touches in the first and in the second.
    """
    first, second, touch, other = _pool()
    rows = rng.integers(0, len(first), count)
    touch, other = touch.take(rows), other.take(rows)
    # In 70 % of the pairs, fingers that are touched in neither pose are drawn anew.
    fingers = np.arange(4)
    idle = (fingers != touch.finger[:, None]) & (fingers != other.finger[:, None])
    idle &= rng.random((count, 1)) < 0.7
    anew = np.hstack([np.zeros((count, 5), bool), idle.repeat(4, 1)])
    anywhere = random_angles(rng, count)
    first, second = (np.where(anew, anywhere, pose[rows]) for pose in (first, second))
    return first, second, touch, other


@lru_cache(maxsize=1)
def _pool() -> tuple[np.ndarray, np.ndarray, Touch, Touch]:
    """Search the pairs of touching poses that `draw_contacts` draws from; deterministic."""
    rng = np.random.default_rng(0)
    first = random_angles(rng, SEARCHED_POSES)
    touch, shut = _draw_touches(rng, SEARCHED_POSES)
    first[shut, 5:] = np.tile(SHUT_FINGER, 4)
    first, found = _search(first, touch, fingers=True)
    first, touch = first[found], touch.take(found)
    second = np.hstack([random_angles(rng, len(first))[:, :5], first[:, 5:]])
    other, _ = _draw_touches(rng, len(first))
    second, found = _search(second, other, fingers=False)
    tips = (joints_of_angles(pose, *STANDARD)[:, 4] for pose in (first, second))
    found &= np.linalg.norm(np.subtract(*tips), axis=1) > MIN_DISTANCE
    return first[found], second[found], touch.take(found), other.take(found)


def _draw_touches(rng: np.random.Generator, count: int) -> tuple[Touch, np.ndarray]:
    """Draw contacts, and bool (count,): whether the fingers are shut for it."""
    finger = rng.choice(4, count, p=(0.4, 0.3, 0.2, 0.1))
    kind = rng.choice(4, count, p=(0.4, 0.25, 0.2, 0.15))  # tip, inside or side, back, between
    along = np.where(kind == 0, 3, rng.integers(1, 3, count))
    middle = np.array([0.2, np.pi / 4, np.pi, -np.pi / 2])[kind]
    side = middle + rng.normal(0.0, np.array([0.3, 0.5, 0.3, 0.2])[kind])
    return Touch(5 + 4 * finger + along, side), kind >= 2


def _search(angles: np.ndarray, touch: Touch, fingers: bool) -> tuple[np.ndarray, np.ndarray]:
    """Move poses (N, 21) until they touch; return them and bool (N,): whether they do."""
    for _ in range(8):
        step = _steps(angles, touch, fingers) @ contact_error(angles, STANDARD, touch)[..., None]
        angles = np.clip(angles - np.clip(step[..., 0], -0.4, 0.4), LOW, HIGH)
    return angles, np.linalg.norm(contact_error(angles, STANDARD, touch), axis=1) < TOLERANCE


def _steps(angles: np.ndarray, touch: Touch, fingers: bool) -> np.ndarray:
    """Compute damped least-squares steps (Levenberg-Marquardt) of the standard hand.

    Args:
        angles: (N, 21) radians.
        touch: N contacts.
        fingers: Whether the touched finger bends too, not the thumb alone.

    Returns:
        (N, 21, 3) radians to subtract per metre of contact error.
    """
    rows, nudge = np.arange(len(angles)), 1e-3
    free = np.zeros((len(angles), 21))
    free[:, :5] = 1.0
    if fingers:
        free[rows[:, None], 6 + 4 * touch.finger[:, None] + np.arange(3)] = 0.5
    moved = contact_error(angles + nudge * np.eye(21)[:, None], STANDARD, touch)  # (21, N, 3)
    jacobian = (moved - contact_error(angles, STANDARD, touch)) / nudge
    jacobian = jacobian.transpose(1, 2, 0) * free[:, None]  # (N, 3, 21)
    transposed = jacobian.transpose(0, 2, 1)
    return free[..., None] * (
        transposed @ np.linalg.inv(jacobian @ transposed + DAMPING * np.eye(3))
    )
