"""Poses whose thumb touches a finger: pinches, a thumb laid over or put between shut fingers.

Where the thumb's tip touches tells many gestures apart, and random angles hardly ever meet. The
touching poses are searched once; hands of another build are brought to touch at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engines.bundles import Bundle
from realtime.drawn.pose import PALM_LENGTH, RADII, HandShape, joints_of_angles, random_angles

# Limits in radians of what a search, or a person's own way, may make of a pose.
LOW = np.array([-0.1, -0.15, -0.8, -0.35, -0.35] + [-0.35, -0.40, -0.08, -0.15] * 4)
HIGH = np.array([1.25, 1.1, 1.3, 1.25, 1.45] + [0.50, 1.75, 1.95, 1.35] * 4)
SHUT = (0.0, 1.38, 1.63, 0.60)
POOL = 3000  # poses a search starts from; about a third ends with two touches
DAMPING = 1e-5  # square metres per square radian: steps stay short where joints line up
CLOSE = 0.003  # metres that the thumb's tip may miss its place by
ELSEWHERE = 0.02  # metres between the two places of one hand's thumb


class Hands(NamedTuple):
    """Builds as in HandShape: palm (..., 5, 3), bones (..., 5, 3), fan (..., 4)."""

    palm: np.ndarray
    bones: np.ndarray
    fan: np.ndarray


STANDARD = Hands(*(np.array(part) for part in (HandShape.palm, HandShape.bones, HandShape.fan)))


@dataclass(frozen=True)
class Touch(Bundle):
    """What the thumb's tips of N poses touch.

    joint: int (N,), a finger's second joint, third joint or tip; 0 for nothing.
    side: (N,) radians about the finger: 0 its inside, π/2 the side towards the thumb, π its back.
    """

    joint: np.ndarray
    side: np.ndarray

    @property
    def finger(self) -> np.ndarray:
        """int (N,): 0 … 3 for index … pinky; negative for nothing."""
        return (self.joint - 5) // 4


def miss(angles: np.ndarray, hands: Hands, touch: Touch) -> np.ndarray:
    """(..., N, 3) metres from where the thumbs' tips belong to where they are.

    angles (..., N, 21) of hands of one build or of N; each touches something.
    """
    rows = np.arange(angles.shape[-2])
    finger, along = touch.finger, (touch.joint - 5) % 4
    points = joints_of_angles(angles, *hands)
    own = angles[..., 5:].reshape(*angles.shape[:-1], 4, 4)[..., rows, finger, :]
    # A finger leans to the thumb by its fan and spread, which leads away from the middle finger.
    fan = np.broadcast_to(hands.fan, (len(rows), 4))[rows, finger]
    lean = fan + np.where(finger < 2, 1, -1) * own[..., 0]
    # The skin at a joint faces the middle between the bones that meet there.
    bend = np.cumsum(own[..., 1:], -1)
    bend = (bend[..., rows, along - 1] + bend[..., rows, np.minimum(along, 2)]) / 2
    to_thumb = np.stack([np.cos(lean), np.sin(lean), 0 * lean], -1)
    straight = np.stack([np.sin(lean), -np.cos(lean), 0 * lean], -1)
    inside = -np.sin(bend)[..., None] * straight - np.cos(bend)[..., None] * (0, 0, 1)
    out = np.cos(touch.side)[:, None] * inside + np.sin(touch.side)[:, None] * to_thumb
    size = np.linalg.norm(points[..., 9, :], axis=-1) / PALM_LENGTH
    gap = 0.85 * (RADII[0, 3] + RADII[1 + finger, along]) * size  # skin gives way
    return points[..., 4, :] - points[..., rows, touch.joint, :] - gap[..., None] * out


def hold_contact(angles: np.ndarray, hands: Hands, classes: np.ndarray, touch: Touch) -> np.ndarray:
    """Poses (N, 21) of N hands, with the touching ones brought back to where they touch.

    classes (C, 21) and touch (C): the gestures meant, N / C poses of each, one after the other.
    """
    touching = np.flatnonzero(touch.joint)
    per_class = len(angles) // max(len(classes), 1)
    rows = (touching[:, None] * per_class + np.arange(per_class)).ravel()
    # One gesture's slopes do for all its people.
    steps = _steps(classes[touching], touch.take(touching), fingers=True).repeat(per_class, 0)
    place = touch.take(touching.repeat(per_class))
    person = Hands(*(part[rows] for part in hands))
    held = angles[rows]
    for _ in range(3):
        held = held - (steps @ miss(held, person, place)[..., None])[..., 0]
        held = np.clip(held, LOW, HIGH)
    result = angles.copy()
    result[rows] = held
    return result


def contact_poses(
    rng: np.random.Generator, count: int
) -> tuple[np.ndarray, np.ndarray, Touch, Touch]:
    """Poses (count, 21) in which the thumb touches a finger, the same (count, 21) with the thumb
    alone moved to touch elsewhere, and what it touches in the first and in the second."""
    first, second, touch, other = _searched()
    rows = rng.integers(0, len(first), count)
    touch, other = touch.take(rows), other.take(rows)
    # Mostly, the fingers touched in neither are anywhere.
    fingers = np.arange(4)
    idle = (fingers != touch.finger[:, None]) & (fingers != other.finger[:, None])
    idle &= rng.random((count, 1)) < 0.7
    anew = np.hstack([np.zeros((count, 5), bool), idle.repeat(4, 1)])
    anywhere = random_angles(rng, count)
    first, second = (np.where(anew, anywhere, pose[rows]) for pose in (first, second))
    return first, second, touch, other


@lru_cache(maxsize=1)
def _searched() -> tuple[np.ndarray, np.ndarray, Touch, Touch]:
    """About POOL / 3 pairs of poses as contact_poses gives them; the same every time."""
    rng = np.random.default_rng(0)
    first = random_angles(rng, POOL)
    touch, shut = _places(rng, POOL)
    first[shut, 5:] = np.tile(SHUT, 4)
    first, found = _search(first, touch, fingers=True)
    first, touch = first[found], touch.take(found)
    second = np.hstack([random_angles(rng, len(first))[:, :5], first[:, 5:]])
    other, _ = _places(rng, len(first))
    second, found = _search(second, other, fingers=False)
    tips = (joints_of_angles(pose, *STANDARD)[:, 4] for pose in (first, second))
    found &= np.linalg.norm(np.subtract(*tips), axis=1) > ELSEWHERE
    return first[found], second[found], touch.take(found), other.take(found)


def _places(rng: np.random.Generator, count: int) -> tuple[Touch, np.ndarray]:
    """Where thumbs may touch, and bool (count,): whether the fingers are to be shut for it."""
    finger = rng.choice(4, count, p=(0.4, 0.3, 0.2, 0.1))
    kind = rng.choice(4, count, p=(0.4, 0.25, 0.2, 0.15))  # tip, inside or side, back, between
    along = np.where(kind == 0, 3, rng.integers(1, 3, count))
    middle = np.array([0.2, np.pi / 4, np.pi, -np.pi / 2])[kind]
    side = middle + rng.normal(0.0, np.array([0.3, 0.5, 0.3, 0.2])[kind])
    return Touch(5 + 4 * finger + along, side), kind >= 2


def _search(angles: np.ndarray, touch: Touch, fingers: bool) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, 21) brought to touch, and bool (N,): where that came about."""
    for _ in range(8):
        step = _steps(angles, touch, fingers) @ miss(angles, STANDARD, touch)[..., None]
        angles = np.clip(angles - np.clip(step[..., 0], -0.4, 0.4), LOW, HIGH)
    return angles, np.linalg.norm(miss(angles, STANDARD, touch), axis=1) < CLOSE


def _steps(angles: np.ndarray, touch: Touch, fingers: bool) -> np.ndarray:
    """(N, 21, 3) radians per metre: what to take off poses (N, 21) of the standard hand for each
    metre missed by, least in all; `fingers`: by bending the touched finger too."""
    rows, nudge = np.arange(len(angles)), 1e-3
    free = np.zeros((len(angles), 21))
    free[:, :5] = 1.0
    if fingers:
        free[rows[:, None], 6 + 4 * touch.finger[:, None] + np.arange(3)] = 0.5
    moved = miss(angles + nudge * np.eye(21)[:, None], STANDARD, touch)  # (21, N, 3)
    slopes = (moved - miss(angles, STANDARD, touch)) / nudge
    slopes = slopes.transpose(1, 2, 0) * free[:, None]  # (N, 3, 21)
    back = slopes.transpose(0, 2, 1)
    return free[..., None] * (back @ np.linalg.inv(slopes @ back + DAMPING * np.eye(3)))
