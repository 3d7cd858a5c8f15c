"""What people do with their hands before a camera when they show it no gesture.

Each activity is a function of a source of randomness and the poses that it mustn't hold, those of
the recorded gestures. It returns keys of a right hand: an unmirrored camera sees it on the left of
the picture, the face is in its middle. `show` is a recorded gesture that is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from realtime.drawn.motion import Key
from realtime.drawn.near_twins import draw_unlike
from realtime.drawn.pose import GESTURES, HandPose, angles, pose_of
from realtime.drawn.random_hand import random_pose

Activity = Callable[[np.random.Generator, Sequence[HandPose]], list[Key]]
Turn = tuple[float, float, float]

RELAXED = HandPose(
    (0.55, 0.45, 0.3, 0.20, 0.30),
    (0.05, 0.35, 0.45, 0.25),
    (0.00, 0.45, 0.50, 0.30),
    (0.03, 0.50, 0.55, 0.30),
    (0.06, 0.50, 0.55, 0.30),
)
FLAT = HandPose((0.65, 0.20, 0.1, 0.05, 0.05))
GRASP = HandPose(  # around a cup
    (0.75, 0.85, 0.5, 0.25, 0.30),
    (0.08, 0.55, 0.75, 0.35),
    (0.00, 0.60, 0.75, 0.35),
    (0.06, 0.65, 0.75, 0.35),
    (0.12, 0.65, 0.75, 0.35),
)
CURLED = HandPose(  # to scratch, to hold a pen
    (0.60, 0.60, 0.3, 0.30, 0.40),
    (0.03, 0.60, 0.85, 0.40),
    (0.00, 0.75, 0.95, 0.45),
    (0.02, 0.95, 1.10, 0.50),
    (0.05, 1.05, 1.15, 0.50),
)
AWAY = Key(0.6, RELAXED, (0.0, 0.6, 0.0), (0.30, 1.70))  # below the picture


def rest(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Lie on the table, palm down, and shift a little now and then."""
    place, turn = _around(rng, (0.35, 0.98), 0.08), (0.0, rng.uniform(0.6, 1.2), 0.1)
    keys = [Key(rng.uniform(0.5, 1.0), _vary(rng, RELAXED, recorded, 0.10), turn, place)]
    for _ in range(3):
        pose, there = _vary(rng, RELAXED, recorded, 0.15), _around(rng, place, 0.03)
        keys += [_still(rng, keys[-1], 0.8, 2.0), Key(0.5, pose, _turned(rng, turn, 0.15), there)]
    return keys


def typing(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Hit keys: fingers to the camera, palm down, one finger after the other."""
    place = _around(rng, (0.38, 0.95), 0.05)
    turn = (rng.normal(0.0, 0.2), rng.uniform(0.9, 1.4), rng.normal(0.15, 0.1))
    base = _vary(rng, RELAXED, recorded, 0.10)
    keys = [Key(0.6, base, turn, place)]
    for _ in range(int(rng.integers(28, 40))):
        bent = angles(base)
        bent[5 + 4 * rng.integers(4) + 1] += rng.uniform(0.2, 0.5)  # MCP
        hit = _vary(rng, pose_of(bent), recorded, 0.02)
        keys.append(Key(rng.uniform(0.07, 0.14), hit, turn, _around(rng, place, 0.01)))
        if rng.random() < 0.2:
            place = _around(rng, place, 0.02)
        keys.append(Key(rng.uniform(0.06, 0.12), base, turn, place))
    return keys


def reaching(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Reach for something, close the hand around it, move it and let go."""
    keys = [Key(0.5, _vary(rng, RELAXED, recorded, 0.1), (0.0, 0.8, 0.0), (0.32, 1.05))]
    for _ in range(2):
        there, here = _within(rng, (0.05, 0.80), (0.45, 0.95)), _within(rng, (0.1, 0.7), (0.6, 1.0))
        turn = (rng.normal(0.2, 0.4), rng.uniform(0.2, 1.1), rng.normal(0.0, 0.5))
        wide, closed = _vary(rng, FLAT, recorded, 0.15), _vary(rng, GRASP, recorded, 0.1)
        halfway = tuple(np.add(keys[-1].place, there) / 2)
        keys.append(Key(rng.uniform(0.25, 0.45), wide, turn, (halfway[0], halfway[1])))
        keys.append(Key(rng.uniform(0.25, 0.45), wide, turn, there))
        keys.append(Key(rng.uniform(0.2, 0.4), closed, turn, there))
        keys.append(_still(rng, keys[-1], 0.1, 0.4))
        keys.append(Key(rng.uniform(0.5, 0.9), closed, _turned(rng, turn, 0.3), here))
        keys.append(Key(rng.uniform(0.2, 0.4), wide, keys[-1].turn, here))
    return [*keys, Key(0.6, RELAXED, (0.0, 0.8, 0.0), (0.32, 1.05))]


def talking(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Talk with the hand: beats of all sizes, palm up, down or to the side, and short pauses."""
    keys: list[Key] = []
    centre = _within(rng, (0.20, 0.50), (0.55, 0.85))
    for _ in range(int(rng.integers(10, 15))):
        base = (RELAXED, FLAT, CURLED)[rng.choice(3, p=(0.5, 0.35, 0.15))]
        turn = (rng.normal(0.0, 0.7), rng.normal(0.4, 0.35), rng.normal(0.1, 0.4))
        pose, there = _vary(rng, base, recorded, 0.15), _around(rng, centre, 0.10)
        keys.append(Key(rng.uniform(0.2, 0.6), pose, turn, there))
        if rng.random() < 0.4:
            keys.append(_still(rng, keys[-1], 0.1, 0.8))
    return keys


def waving(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Wave with a flat hand, from the elbow."""
    place = _within(rng, (0.15, 0.45), (0.55, 0.80))
    pose = _vary(rng, FLAT, recorded, 0.08)
    turn = (rng.normal(0.1, 0.2), rng.normal(0.1, 0.1), 0.0)
    swing, beat = rng.uniform(0.25, 0.55), rng.uniform(0.15, 0.30)
    keys = [Key(rng.uniform(0.5, 0.8), pose, turn, place)]
    for i in range(int(rng.integers(10, 18))):
        roll = swing * (1 if i % 2 else -1)
        there = (place[0] + 0.10 * roll, place[1])
        keys.append(Key(beat, pose, (turn[0], turn[1], roll), there))
    return [*keys, _still(rng, keys[-1], 0.2, 1.0), Key(0.5, RELAXED, turn, (0.30, 1.10))]


def scratching(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Scratch the face or rub the chin, the back of the hand to the camera."""
    place = _within(rng, (0.36, 0.48), (0.55, 0.72))
    turn = (rng.uniform(2.2, 2.9), rng.normal(0.1, 0.2), rng.uniform(0.1, 0.6))
    base = _vary(rng, CURLED, recorded, 0.12)
    opened = angles(base)
    opened[[7, 11, 15, 19]] -= 0.25  # PIP
    stretched = _vary(rng, pose_of(opened), recorded, 0.03)
    keys = [Key(rng.uniform(0.6, 0.9), base, turn, place)]
    for _ in range(int(rng.integers(8, 16))):
        keys.append(Key(0.12, stretched, turn, _around(rng, place, 0.006)))
        keys.append(Key(0.12, base, turn, _around(rng, place, 0.006)))
    return [*keys, _still(rng, keys[-1], 0.3, 1.5), Key(0.6, RELAXED, (0.5, 0.6, 0.0), (0.3, 1.1))]


def drinking(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Lift what the hand holds to the mouth, and put it back."""
    hold = _vary(rng, GRASP, recorded, 0.10)
    low, high = _within(rng, (0.15, 0.40), (0.85, 1.0)), _around(rng, (0.40, 0.62), 0.04)
    down, up = (rng.normal(0.9, 0.3), 0.5, 0.0), (rng.uniform(1.1, 2.0), 0.1, 0.5)
    keys = [Key(0.6, _vary(rng, FLAT, recorded, 0.1), down, low), Key(0.3, hold, down, low)]
    keys += [Key(rng.uniform(0.7, 1.1), hold, up, high), _still(rng, Key(0, hold, up, high), 1, 2)]
    return [*keys, Key(rng.uniform(0.7, 1.1), hold, down, low), Key(0.3, FLAT, down, low)]


def fidgeting(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Go from one random pose to the next, and pause in none for long."""
    centre = _within(rng, (0.20, 0.60), (0.70, 0.95))
    keys = []
    for _ in range(int(rng.integers(9, 14))):
        pose, turn = draw_unlike(lambda: random_pose(rng), recorded), _turned(rng, (0, 0.1, 0), 0.4)
        keys.append(Key(rng.uniform(0.3, 0.9), pose, turn, _around(rng, centre, 0.05)))
    return keys


def unrecorded(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Hold up gestures that were never recorded, as one shows a gesture: to the camera."""

    def draw() -> HandPose:
        named = list(GESTURES.values())
        return named[rng.integers(len(named))] if rng.random() < 0.5 else random_pose(rng)

    keys: list[Key] = []
    for _ in range(3):
        keys += _hold(rng, _vary(rng, draw_unlike(draw, recorded), recorded, 0.04))
    return keys


def coming_and_going(rng: np.random.Generator, recorded: Sequence[HandPose]) -> list[Key]:
    """Cross the picture, leave it, and come back from elsewhere."""
    keys = [AWAY]
    for _ in range(3):
        left, right = (-0.35, rng.uniform(0.6, 1.1)), (1.35, rng.uniform(0.6, 1.1))
        start, end = (left, right) if rng.random() < 0.5 else (right, left)
        pose = _vary(rng, (RELAXED, FLAT)[rng.integers(2)], recorded, 0.15)
        turn = _turned(rng, (0.0, 0.5, 0.0), 0.4)
        middle = _within(rng, (0.3, 0.7), (0.6, 0.95))
        keys.append(Key(rng.uniform(0.3, 1.0), pose, turn, start))
        keys.append(Key(rng.uniform(0.4, 1.0), pose, turn, middle))
        keys += [_still(rng, keys[-1], 0.1, 0.6), Key(rng.uniform(0.4, 1.0), pose, turn, end)]
    return [*keys, AWAY]


ACTIVITIES: dict[str, Activity] = {
    "resting": rest,
    "typing": typing,
    "reaching": reaching,
    "talking": talking,
    "waving": waving,
    "scratching": scratching,
    "drinking": drinking,
    "fidgeting": fidgeting,
    "unrecorded": unrecorded,
    "coming and going": coming_and_going,
}
BOTH_HANDS = ("typing", "talking")


def show(rng: np.random.Generator, pose: HandPose) -> list[Key]:
    """Show a gesture and mean it: hold it up for one to two seconds, and take the hand down."""
    held = _hold(rng, pose_of(angles(pose) + rng.normal(0.0, 0.04, 21)))
    return [*held, Key(rng.uniform(0.4, 0.6), RELAXED, (0.0, 0.6, 0.0), (0.30, 1.05))]


def _hold(rng: np.random.Generator, pose: HandPose) -> list[Key]:
    place = _within(rng, (0.25, 0.60), (0.72, 0.90))
    turn = _turned(rng, (0.08, 0.08, 0.0), 0.14)
    return [
        Key(rng.uniform(0.4, 0.8), pose, turn, place),
        Key(rng.uniform(1.0, 2.0), pose, _turned(rng, turn, 0.04), _around(rng, place, 0.01)),
    ]


def _vary(
    rng: np.random.Generator, pose: HandPose, recorded: Sequence[HandPose], amount: float
) -> HandPose:
    """A pose with every angle changed by `amount` radians or so, and no near twin of a recorded."""
    return draw_unlike(lambda: pose_of(angles(pose) + rng.normal(0.0, amount, 21)), recorded)


def _still(rng: np.random.Generator, key: Key, least_s: float, most_s: float) -> Key:
    return Key(rng.uniform(least_s, most_s), key.pose, key.turn, key.place)


def _turned(rng: np.random.Generator, turn: Turn, amount: float) -> Turn:
    yaw, pitch, roll = rng.normal(turn, amount).tolist()
    return yaw, pitch, roll


def _around(
    rng: np.random.Generator, place: tuple[float, float], amount: float
) -> tuple[float, float]:
    x, y = rng.normal(place, amount).tolist()
    return x, y


def _within(
    rng: np.random.Generator, xs: tuple[float, float], ys: tuple[float, float]
) -> tuple[float, float]:
    return rng.uniform(*xs), rng.uniform(*ys)
