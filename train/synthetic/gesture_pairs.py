"""Pairs of gestures that are nearly alike: one finger, the thumb or the hand's turning differs.

Poses are of three kinds: the thumb touches a finger; each finger is straight or shut, straight ones
spread, side by side or crossed; or joint angles are anything plausible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engines.bundles import Bundle, join
from realtime.drawn.pose import GESTURES, joints_of_angles, random_angles
from train.synthetic.contacts import HIGH, LOW, STANDARD, Touch, contact_poses

KINDS = (0.40, 0.35, 0.25)  # how common: touching; straight or shut; anything
EDITS = (0.4, 0.4, 0.2)  # what the second of a pair has changed: a finger, the thumb, its turning
CURL, SPREAD, THUMB, BEND, TURN = 0.5, 0.2, 0.02, 0.8, np.radians(60)  # see `difference`
THUMBS = np.unique([pose.thumb for pose in GESTURES.values()], axis=0)
# How hands are turned to the camera: yaw, pitch, roll in degrees, and how common that is.
ORIENTATIONS = (
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

    angles: (C, 21) radians; orientation: (C, 3) yaw, pitch, roll in radians as in view_rotation;
    touch: what the thumb's tip touches.
    """

    angles: np.ndarray
    orientation: np.ndarray
    touch: Touch

    @property
    def fingers(self) -> np.ndarray:
        """(C, 4, 4) radians: spread, MCP, PIP, DIP of index … pinky."""
        return self.angles[:, 5:].reshape(-1, 4, 4)


def rotations(orientation: np.ndarray) -> np.ndarray:
    """(..., 3, 3): view_rotation of many yaw, pitch, roll (..., 3) at once."""
    cy, cp, cr = np.moveaxis(np.cos(orientation), -1, 0)
    sy, sp, sr = np.moveaxis(np.sin(orientation), -1, 0)
    rows = (
        (cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp),
        (cp * sr, cp * cr, -sp),
        (cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def difference(a: Classes, b: Classes) -> np.ndarray:
    """(C,): how different gestures a and b are, row by row; from 1 on they count as two.

    The largest of: a finger's bend at one joint, over CURL; the spread of a finger that is
    straight in both, over SPREAD; the thumb tip's place in metres, over THUMB; the thumb's bend,
    over BEND; how the hand is turned, over TURN.
    """
    apart = np.abs(a.fingers - b.fingers)
    bend = np.maximum(a.fingers[..., 1:3].sum(-1), b.fingers[..., 1:3].sum(-1))
    tips = [joints_of_angles(part.angles, *STANDARD)[:, 4] for part in (a, b)]
    trace = np.einsum("nij,nij->n", rotations(a.orientation), rotations(b.orientation))
    measures = (
        apart[..., 1:3].max((1, 2)) / CURL,
        (apart[..., 0] * (bend < 0.8)).max(1) / SPREAD,
        np.linalg.norm(tips[0] - tips[1], axis=1) / THUMB,
        np.abs((a.angles - b.angles)[:, 3:5].sum(1)) / BEND,
        np.arccos(np.clip((trace - 1) / 2, -1, 1)) / TURN,
    )
    return np.max(measures, 0)


def pairs(rng: np.random.Generator, count: int) -> Classes:
    """2 · count gestures: 2i + 1 is 2i with one finger, the thumb or the orientation changed,
    though by chance too little to be another gesture."""
    first, thumb_changed = _gestures(rng, count)
    turned = replace(first, orientation=_orientations(rng, count))
    second = _one_each(rng, EDITS, _finger_changed(rng, first), thumb_changed, turned)
    return join([first, second]).take(np.arange(2 * count).reshape(2, count).T.ravel())


def _one_each(rng: np.random.Generator, odds: tuple[float, ...], *options: Classes) -> Classes:
    """Of each row one of the options."""
    rows = np.arange(len(options[0]))
    chosen = rng.choice(len(odds), len(rows), p=odds)
    return join(options).take(chosen * len(rows) + rows)


def _gestures(rng: np.random.Generator, count: int) -> tuple[Classes, Classes]:
    """`count` gestures, and the same with another thumb."""
    orientation = _orientations(rng, count)
    touching, elsewhere, touch, touch_elsewhere = contact_poses(rng, count)
    nothing = Touch(np.zeros(count, int), np.zeros(count))
    either, anything = _straight_or_shut(rng, count), random_angles(rng, count)
    rows = rng.choice(len(KINDS), count, p=KINDS) * count + np.arange(count)

    def gestures(angles: list[np.ndarray], touch: Touch) -> Classes:
        parts = zip(angles, (touch, nothing, nothing), strict=True)
        return join([Classes(each, orientation, at) for each, at in parts]).take(rows)

    first = gestures([touching, either, anything], touch)
    others = [np.hstack([_thumbs(rng, count), pose[:, 5:]]) for pose in (either, anything)]
    return first, gestures([elsewhere, *others], touch_elsewhere)


def _finger_changed(rng: np.random.Generator, first: Classes) -> Classes:
    """Each gesture with one finger (not the thumb) straight, shut, half bent or moved sideways."""
    rows, count = np.arange(len(first)), len(first)
    finger = rng.integers(0, 4, count)
    old = first.fingers[rows, finger]
    poses = _straight_or_shut(rng, count), random_angles(rng, count)
    new = np.where(
        rng.random((count, 1)) < 0.6,
        *(pose[:, 5:].reshape(-1, 4, 4)[rows, finger] for pose in poses),
    )
    aside = old.copy()
    aside[:, 0] += rng.choice((-1, 1), count) * rng.uniform(SPREAD, 0.35, count)
    sideways = (old[:, 1:3].sum(1) < 0.8) & (rng.random(count) < 0.6)
    angles = first.angles.copy()
    angles[:, 5:].reshape(-1, 4, 4)[rows, finger] = np.clip(
        np.where(sideways[:, None], aside, new), LOW[5:9], HIGH[5:9]
    )
    lost = first.touch.finger == finger
    touch = Touch(np.where(lost, 0, first.touch.joint), first.touch.side)
    return Classes(angles, first.orientation, touch)


def _thumbs(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 5): half as in well-known gestures, half anywhere."""
    known = THUMBS[rng.integers(0, len(THUMBS), count)] + rng.normal(0.0, 0.05, (count, 5))
    return np.where(rng.random((count, 1)) < 0.5, known, random_angles(rng, count)[:, :5])


def _straight_or_shut(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 21): each finger straight or shut; straight ones spread, side by side or crossed."""
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
    return np.hstack([_thumbs(rng, count), fingers.reshape(count, 16)])


def _orientations(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) radians."""
    weights = np.array([weight for _, weight in ORIENTATIONS], float)
    chosen = rng.choice(len(ORIENTATIONS), count, p=weights / weights.sum())
    base = np.array([degrees for degrees, _ in ORIENTATIONS], float)[chosen]
    return np.radians(base + rng.normal(0.0, 10.0, (count, 3)))
