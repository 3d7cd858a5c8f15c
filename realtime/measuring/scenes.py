"""Drawn scenes that are measured where no video is given: one hand, two hands, no hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from realtime.drawn.hand import SIZE, HandLook, draw_hand
from realtime.drawn.pose import GESTURES, joints, mirror, mix, view_rotation
from realtime.sources.demo import DEMO_GESTURES, FPS, demo_image
from realtime.types import Frame

LOOK = HandLook(wall=(186, 180, 172), scenery=4)
HOLD_S = 1.4  # from one gesture to the next
WALL = np.full((SIZE[1], SIZE[0], 3), (168, 176, 180), np.uint8)


def two_hands(index: int) -> np.ndarray:
    """A left and a right hand side by side, frame `index`: uint8 (480, 640, 3) BGR."""
    time_s = index / FPS
    left = _draw("left", time_s, (170.0, 390.0), None)
    return _draw("right", time_s + 0.5 * HOLD_S, (475.0, 390.0), left)


def _draw(
    side: str, time_s: float, centre: tuple[float, float], backdrop: np.ndarray | None
) -> np.ndarray:
    turn, into = divmod(time_s / HOLD_S, 1.0)
    here, there = (DEMO_GESTURES[(int(turn) + i) % len(DEMO_GESTURES)] for i in (0, 1))
    points = joints(mix(GESTURES[here], GESTURES[there], 4 * into - 3))
    sway = np.sin(2 * np.pi * 0.4 * time_s + (side == "left"))
    points = (points if side == "right" else mirror(points)) @ view_rotation(0.1, 0.08, 0.0).T
    place = centre[0] + 10 * sway, centre[1] + 6 * sway
    return draw_hand(points, LOOK, SIZE, 1150.0, place, side, backdrop)


def no_hand(index: int) -> np.ndarray:
    """A wall that shapes drift along, frame `index`: uint8 (480, 640, 3) BGR."""
    picture = WALL.copy()
    for i, colour in enumerate(((120, 84, 62), (90, 110, 150), (196, 190, 170))):
        x = int((index * (2 + i) + 250 * i) % (SIZE[0] + 200)) - 100
        cv2.ellipse(picture, (x, 140 + 110 * i), (70, 40), 20 * i, 0, 360, colour, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 2)


SCENES: dict[str, Callable[[int], np.ndarray]] = {
    "one drawn hand": demo_image,
    "two drawn hands": two_hands,
    "no hand": no_hand,
}


def play(picture: Callable[[int], np.ndarray]) -> Iterator[Frame]:
    """A scene's frames without end, at FPS."""
    for index in itertools.count():
        yield Frame(picture(index), index, index / FPS)


def after(frames: Iterator[Frame], time_s: float) -> Iterator[Frame]:
    """The same frames, the first of them at `time_s`."""
    for frame in frames:
        yield replace(frame, time_s=time_s + frame.time_s)
