"""How a drawn hand moves: key poses, and smooth movements from each to the next.

A movement follows the minimum-jerk path (Flash & Hogan 1985), on which people move their hands
between two points. What goes to and fro, such as waving, is a row of such movements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realtime.drawn.pose import N_ANGLES, HandPose, angles

TURN = slice(N_ANGLES, N_ANGLES + 3)  # yaw, pitch and roll in a state
PLACE = slice(N_ANGLES + 3, N_ANGLES + 5)  # x and y of the wrist
STATE = N_ANGLES + 5  # numbers of a state

# Slow deviations while a hand is held: joint angles and turn in radians, place in picture sizes.
_SWAY = np.array([0.015] * N_ANGLES + [0.045, 0.03, 0.025, 0.012, 0.010])


@dataclass(frozen=True)
class Key:
    """What a hand comes to next. All is that of a right hand, as in realtime/drawn/pose.py.

    Attributes:
        after_s: Seconds from the key before to this one.
        pose: Its pose.
        turn: Yaw, pitch and roll, radians; see `view_rotation`.
        place: x and y of the wrist, in widths and heights of the picture.
    """

    after_s: float
    pose: HandPose
    turn: tuple[float, float, float]
    place: tuple[float, float]


class Motion:
    """A hand's movement through its keys, with a slow sway on top.

    Args:
        rng: Source of the sway.
        keys: At least one; the hand stands at the first before it, and at the last after it.
    """

    def __init__(self, rng: np.random.Generator, keys: Sequence[Key]) -> None:
        self._times = np.cumsum([key.after_s for key in keys])
        self._states = np.array([state_of(key) for key in keys])
        self._rates = rng.uniform(0.15, 0.75, (2, STATE))  # Hz
        self._phases = rng.uniform(0.0, 2.0 * np.pi, (2, STATE))

    def at(self, time_s: float) -> np.ndarray:
        """The state at a time, float64 (STATE,): 21 joint angles, then TURN, then PLACE."""
        sway = 0.7 * _SWAY * np.sin(2 * np.pi * self._rates * time_s + self._phases).sum(0)
        after = int(np.searchsorted(self._times, time_s, side="right"))
        if after in (0, len(self._times)):
            return self._states[min(after, len(self._times) - 1)] + sway
        start, end = self._times[after - 1], self._times[after]
        share = minimum_jerk((time_s - start) / (end - start))
        return (1 - share) * self._states[after - 1] + share * self._states[after] + sway


def state_of(key: Key) -> np.ndarray:
    """The state of a key, float64 (STATE,), as `Motion.at` returns it."""
    return np.array([*angles(key.pose), *key.turn, *key.place])


def minimum_jerk(t: float) -> float:
    """The share of the way that is done after a share t, 0…1, of a movement's time."""
    return t**3 * (10.0 - 15.0 * t + 6.0 * t * t)
