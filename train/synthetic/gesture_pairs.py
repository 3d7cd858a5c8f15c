"""Pairs of similar gestures: they differ in one finger, in the thumb, or in the orientation.

Poses are of three kinds: the thumb touches a finger; each finger is straight or shut, straight ones
spread, side by side or crossed; or the joint angles are random within plausible limits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engines.bundles import Bundle, join
from realtime.drawn.pose import GESTURES, joints_of_angles
from realtime.drawn.random_hand import random_angles
from train.synthetic.contacts import HIGH, LOW, STANDARD, Touch, draw_contacts

POSE_ODDS = (0.40, 0.35, 0.25)  # touching; straight or shut; random
CHANGE_ODDS = (0.4, 0.4, 0.2)  # a finger; the thumb; the orientation
# Differences from which on two gestures count as two; see `difference`.
MIN_CURL, MIN_SPREAD, MIN_THUMB, MIN_BEND, MIN_TURN = 0.5, 0.2, 0.02, 0.8, np.radians(60)
KNOWN_THUMBS = np.unique([pose.thumb for pose in GESTURES.values()], axis=0)
ORIENTATIONS = (  # (yaw, pitch, roll) in degrees, and its weight
    ((0, 0, 0), 8),  # upright, palm to the camera
    ((180, 0, 0), 3),  # upright, back to the camera
    ((60, 0, 0), 2),  # upright, edge to the camera
    ((-70, 0, 0), 2),
    ((0, 0, -80), 1),  # fingers to either side, palm to the camera
    ((0, 0, 80), 1),
    ((180, 0, -80), 1),  # and back to the camera
    ((180, 0, 80), 1),
    ((0, 0, 170), 1),  # fingers down
    ((180, 0, 180), 1),
    ((0, 60, 0), 1),  # fingers to the camera
    ((180, -60, 0), 1),
)


@dataclass(frozen=True)
class Classes(Bundle):
    """C gestures.

    Attributes:
        angles: (C, 21) joint angles, radians.
        orientation: (C, 3) yaw, pitch and roll, radians; see realtime.drawn.pose.view_rotation.
        touch: What the tip of the thumb touches in each.
    """

    angles: np.ndarray
    orientation: np.ndarray
    touch: Touch

    @property
    def fingers(self) -> np.ndarray:
        """Angles of index … pinky, (C, 4, 4) radians: spread, MCP, PIP, DIP."""
        return self.angles[:, 5:].reshape(-1, 4, 4)


def rotations(orientation: np.ndarray) -> np.ndarray:
    """Compute rotations (..., 3, 3) from yaw, pitch and roll (..., 3), as `view_rotation` does."""
    cy, cp, cr = np.moveaxis(np.cos(orientation), -1, 0)
    sy, sp, sr = np.moveaxis(np.sin(orientation), -1, 0)
    rows = (
        (cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp),
        (cp * sr, cp * cr, -sp),
        (cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def difference(a: Classes, b: Classes) -> np.ndarray:
    """Measure how different gestures a and b are, row by row.

    Returns:
        (C,); from 1 on the two count as different gestures. It is the largest difference of: a
        finger's angle at one joint, over MIN_CURL; the spread of a finger that is straight in
        both, over MIN_SPREAD; the place of the thumb's tip, over MIN_THUMB metres; the thumb's
        bend, over MIN_BEND; the orientation of the hand, over MIN_TURN.
    """
    apart = np.abs(a.fingers - b.fingers)
    bend = np.maximum(a.fingers[..., 1:3].sum(-1), b.fingers[..., 1:3].sum(-1))
    tips = [joints_of_angles(part.angles, *STANDARD)[:, 4] for part in (a, b)]
    trace = np.einsum("nij,nij->n", rotations(a.orientation), rotations(b.orientation))
    measures = (
        apart[..., 1:3].max((1, 2)) / MIN_CURL,
        (apart[..., 0] * (bend < 0.8)).max(1) / MIN_SPREAD,
        np.linalg.norm(tips[0] - tips[1], axis=1) / MIN_THUMB,
        np.abs((a.angles - b.angles)[:, 3:5].sum(1)) / MIN_BEND,
        np.arccos(np.clip((trace - 1) / 2, -1, 1)) / MIN_TURN,
    )
    return np.max(measures, 0)


def draw_gesture_pairs(rng: np.random.Generator, count: int) -> Classes:
    """Draw 2 · count gestures: 2i + 1 is 2i with a finger, the thumb or the orientation changed.

    A change may turn out too small to make another gesture; see `difference`.
    """
    first, thumb_changed = _draw_gestures(rng, count)
    turned = replace(first, orientation=_draw_orientations(rng, count))
    second = _choose_each(rng, CHANGE_ODDS, _change_finger(rng, first), thumb_changed, turned)
    return join([first, second]).take(np.arange(2 * count).reshape(2, count).T.ravel())


def _choose_each(rng: np.random.Generator, odds: tuple[float, ...], *options: Classes) -> Classes:
    """Draw each row from one of the options."""
    rows = np.arange(len(options[0]))
    chosen = rng.choice(len(odds), len(rows), p=odds)
    return join(options).take(chosen * len(rows) + rows)


def _draw_gestures(rng: np.random.Generator, count: int) -> tuple[Classes, Classes]:
    """Draw gestures, and the same gestures with another thumb."""
    orientation = _draw_orientations(rng, count)
    touching, elsewhere, touch, touch_elsewhere = draw_contacts(rng, count)
    nothing = Touch(np.zeros(count, int), np.zeros(count))
    either, anything = _draw_straight_or_shut(rng, count), random_angles(rng, count)
    rows = rng.choice(len(POSE_ODDS), count, p=POSE_ODDS) * count + np.arange(count)

    def gestures(angles: list[np.ndarray], touch: Touch) -> Classes:
        parts = zip(angles, (touch, nothing, nothing), strict=True)
        return join([Classes(each, orientation, at) for each, at in parts]).take(rows)

    first = gestures([touching, either, anything], touch)
    others = [np.hstack([_draw_thumbs(rng, count), pose[:, 5:]]) for pose in (either, anything)]
    return first, gestures([elsewhere, *others], touch_elsewhere)


def _change_finger(rng: np.random.Generator, first: Classes) -> Classes:
    """Make one finger (not the thumb) of each gesture straight, shut or bent, or move it aside."""
    rows, count = np.arange(len(first)), len(first)
    finger = rng.integers(0, 4, count)
    old = first.fingers[rows, finger]
    poses = _draw_straight_or_shut(rng, count), random_angles(rng, count)
    new = np.where(
        rng.random((count, 1)) < 0.6,
        *(pose[:, 5:].reshape(-1, 4, 4)[rows, finger] for pose in poses),
    )
    aside = old.copy()
    aside[:, 0] += rng.choice((-1, 1), count) * rng.uniform(MIN_SPREAD, 0.35, count)
    sideways = (old[:, 1:3].sum(1) < 0.8) & (rng.random(count) < 0.6)
    angles = first.angles.copy()
    angles[:, 5:].reshape(-1, 4, 4)[rows, finger] = np.clip(
        np.where(sideways[:, None], aside, new), LOW[5:9], HIGH[5:9]
    )
    lost = first.touch.finger == finger
    touch = Touch(np.where(lost, 0, first.touch.joint), first.touch.side)
    return Classes(angles, first.orientation, touch)


def _draw_thumbs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw thumbs, (count, 5) radians: half as in well-known gestures, half random."""
    rows = rng.integers(0, len(KNOWN_THUMBS), count)
    known = KNOWN_THUMBS[rows] + rng.normal(0.0, 0.05, (count, 5))
    return np.where(rng.random((count, 1)) < 0.5, known, random_angles(rng, count)[:, :5])


def _draw_straight_or_shut(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw poses, (count, 21) radians, whose fingers are straight or shut.

    Straight fingers are spread, side by side or crossed.
    """
    straight = rng.random((count, 4)) < 0.6
    fingers = np.where(straight[..., None], (0.0, 0.03, 0.06, 0.04), (0.0, 1.40, 1.63, 0.60))
    spread = np.where(
        rng.random((count, 4)) < 0.5,
        rng.uniform((0.12, -0.3, 0.12, 0.12), (0.32, 0.3, 0.32, 0.32), (count, 4)),
        rng.uniform((-0.10, -0.03, -0.10, -0.10), 0.02, (count, 4)),
    )
    fingers[..., 0] = spread * straight
    fingers[..., 1:] += rng.normal(0.0, 0.05, (count, 4, 3))
    crossed = straight[:, :2].all(1) & (rng.random(count) < 0.2)
    crossing = rng.uniform((-0.32, 0.10, 0.25), (-0.25, 0.18, 0.35), (count, 3))[crossed]
    fingers[crossed, 0, 0], fingers[crossed, 1, 0] = crossing[:, 0], crossing[:, 1]
    fingers[crossed, 1, 1] = crossing[:, 2]  # the middle finger in front
    return np.hstack([_draw_thumbs(rng, count), fingers.reshape(count, 16)])


def _draw_orientations(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw yaw, pitch and roll, (count, 3) radians."""
    weights = np.array([weight for _, weight in ORIENTATIONS], float)
    chosen = rng.choice(len(ORIENTATIONS), count, p=weights / weights.sum())
    base = np.array([degrees for degrees, _ in ORIENTATIONS], float)[chosen]
    return np.radians(base + rng.normal(0.0, 10.0, (count, 3)))
