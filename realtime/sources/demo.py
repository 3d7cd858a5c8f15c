"""The performance of the drawn hand that stands in for a camera (`--camera demo`).

Two drawn people: a teacher, who shows each gesture once, and a performer with another build, skin
and view, who makes the gestures one after the other without end. Both show their right hand, palm
to the camera, unmirrored: the thumb is on the picture's right. Everything follows from the frame's
index alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from realtime.drawn.hand import SIZE, HandLook, draw_hand
from realtime.drawn.pose import (
    GESTURES,
    N_ANGLES,
    HandPose,
    HandShape,
    angles,
    joints,
    mix,
    pose_of,
    view_rotation,
)
from realtime.drawn.random_hand import random_shape
from realtime.sources.source import WaitingSource
from realtime.types import Frame

FPS = 30.0  # frame index / FPS is the time in seconds
HOLD = 33  # frames a gesture is held
CHANGE = 9  # frames from one gesture to the next
DEMO_GESTURES: tuple[str, ...] = (
    "Open hand",
    "Victory",
    "Fist",
    "L",
    "Four",
    "Rock",
    "Point",
    "Call me",
    "Three",
    "Thumb up",
)


@dataclass(frozen=True)
class _Person:
    """One drawn person: build, looks, and how the hand is held by default."""

    shape: HandShape
    look: HandLook
    view: tuple[float, float, float]  # yaw, pitch, roll in radians
    centre: tuple[float, float]  # pixel of the wrist
    scale: float  # pixels per metre
    habits: np.ndarray = field(default_factory=lambda: np.zeros(N_ANGLES))  # added to all angles


_TEACHER = _Person(HandShape(), HandLook(), (0.08, 0.06, 0.0), (312.0, 372.0), 1600.0)
_PERFORMER = _Person(
    random_shape(np.random.default_rng(12)),
    HandLook(
        skin=(104, 134, 186),
        cloth=(74, 92, 66),
        wall=(190, 186, 178),
        scenery=5,
        light=(0.40, -0.55, 0.73),
        thickness=1.04,
        sleeve=0.05,
    ),
    (0.12, 0.08, 0.02),
    (318.0, 374.0),
    1580.0,
    np.random.default_rng(3).normal(0.0, 0.02, N_ANGLES),
)

# Slow irregular motion: each quantity is a sum of two sines of its own.
_RNG = np.random.default_rng(21)
_RATES = _RNG.uniform(0.15, 0.75, (2, N_ANGLES + 6))  # Hz
_PHASES = _RNG.uniform(0.0, 2.0 * np.pi, (2, N_ANGLES + 6))
# Joint angles (radians), then yaw, pitch, roll (radians), wrist x, y (pixels), relative size.
_SWING = np.array([0.015] * N_ANGLES + [0.045, 0.03, 0.025, 14.0, 6.0, 0.02])


def _drift(index: int) -> np.ndarray:
    """Smooth deviations (N_ANGLES + 6,) from the exact pose and view at a frame."""
    waves = np.sin(2.0 * np.pi * _RATES * (index / FPS) + _PHASES)
    return _SWING * waves.sum(0) * 0.7


def _draw(person: _Person, pose: HandPose, drift: np.ndarray) -> np.ndarray:
    pose = pose_of(angles(pose) + person.habits + drift[:N_ANGLES])
    yaw, pitch, roll, x, y, size = drift[N_ANGLES:]
    turn = view_rotation(person.view[0] + yaw, person.view[1] + pitch, person.view[2] + roll)
    points = joints(pose, person.shape) @ turn.T
    centre = (person.centre[0] + x, person.centre[1] + y)
    return draw_hand(points, person.look, SIZE, person.scale * (1.0 + size), centre)


def _place(index: int) -> tuple[str, str, float]:
    """The gesture at a frame, the one to come, and how far the change is: 0 while held, to 1."""
    turn, frame = divmod(index, HOLD + CHANGE)
    here = DEMO_GESTURES[turn % len(DEMO_GESTURES)]
    there = DEMO_GESTURES[(turn + 1) % len(DEMO_GESTURES)]
    return here, there, max(0, frame - HOLD + 1) / (CHANGE + 1)


def demo_reference(label: str) -> np.ndarray:
    """The teacher showing one of DEMO_GESTURES: uint8 BGR (480, 640, 3)."""
    return _draw(_TEACHER, GESTURES[label], np.zeros(N_ANGLES + 6))


def demo_image(index: int) -> np.ndarray:
    """Frame number `index` >= 0 of the performance: uint8 BGR (480, 640, 3)."""
    here, there, t = _place(index)
    return _draw(_PERFORMER, mix(GESTURES[here], GESTURES[there], t), _drift(index))


def demo_label(index: int) -> str | None:
    """The gesture held at a frame; None while the hand goes from one gesture to the next."""
    here, _, t = _place(index)
    return None if t else here


class Demo(WaitingSource):
    """The performance without end, FPS frames per second of its own time."""

    def __init__(self, mirrored: bool, realtime: bool) -> None:
        super().__init__("demo", FPS, mirrored, realtime)

    def read(self) -> Iterator[Frame]:
        for index in itertools.count():
            yield self._frame(demo_image(index), index, index / FPS)
