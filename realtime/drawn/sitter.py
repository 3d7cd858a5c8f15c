"""A drawn person at a desk, of whom the hands move: build, looks, and the still picture behind."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from realtime.drawn.hand import SIZE, HandLook, draw_wall
from realtime.drawn.motion import STATE, TURN
from realtime.drawn.pose import N_ANGLES, HandShape
from realtime.drawn.random_hand import random_shape
from realtime.drawn.random_look import random_look


@dataclass(frozen=True)
class Sitter:
    """One person before one camera.

    Attributes:
        shape: Build of the hands.
        look: Looks of the hands, and the wall.
        habits: How the person holds every pose otherwise than others, (STATE,), see `Motion.at`.
        scale: Pixels per metre at the wrist.
        side: The hand that the person mostly uses, "right" or "left".
        exposure_s: For how long the camera exposes a frame.
        backdrop: uint8 (480, 640, 3) BGR, the person and the wall without hands.
    """

    shape: HandShape
    look: HandLook
    habits: np.ndarray
    scale: float
    side: str
    exposure_s: float
    backdrop: np.ndarray


def random_sitter(rng: np.random.Generator) -> Sitter:
    """Draw a person, and where and how the camera sees them."""
    wall = (rng.uniform(60, 225) * rng.normal(1.0, 0.06, 3)).clip(0, 255).astype(int).tolist()
    look = replace(
        random_look(rng, palm_seen=True), wall=tuple(wall), scenery=int(rng.integers(10**9))
    )
    habits = np.zeros(STATE)
    habits[:N_ANGLES] = rng.normal(0.0, 0.05, N_ANGLES)
    habits[TURN] = rng.normal(0.0, 0.08, 3)
    scale = rng.uniform(700.0, 1300.0)
    return Sitter(
        shape=random_shape(rng),
        look=look,
        habits=habits,
        scale=scale,
        side="right" if rng.random() < 0.7 else "left",
        exposure_s=rng.uniform(1 / 120, 1 / 30),
        backdrop=_draw_person(rng, look, 0.75 * scale),  # the face is farther away than the hand
    )


def _draw_person(rng: np.random.Generator, look: HandLook, scale: float) -> np.ndarray:
    """Draw shoulders and a head before the wall; `scale` is in pixels per metre."""
    wall, _ = draw_wall(look.wall, look.scenery, SIZE)
    x, y = SIZE[0] * rng.normal(0.5, 0.06), SIZE[1] * rng.normal(0.36, 0.05)
    skin, hair = np.array(look.skin, float), rng.uniform(0.1, 0.8) * np.array((50.0, 70.0, 95.0))
    person = wall.astype(np.float32)

    def oval(right: float, below: float, across: float, high: float, colour: np.ndarray) -> None:
        """Fill an oval: offset from the middle of the face and half axes, all in metres."""
        middle, axes = (x + right * scale, y + below * scale), (across * scale, high * scale)
        cv2.ellipse(person, (middle, (2 * axes[0], 2 * axes[1]), 0), colour.tolist(), -1)

    oval(0, 0.52, 0.24, 0.34, np.array(look.cloth, float))
    oval(0, 0.14, 0.055, 0.09, 0.82 * skin)
    oval(0, -0.035, 0.088, 0.105, hair)
    oval(0, 0, 0.075, 0.115, skin)
    oval(0, -0.075, 0.068, 0.035, hair)
    for side in (-1, 1):
        oval(0.030 * side, -0.012, 0.013, 0.006, 0.25 * skin)
        oval(0.030 * side, -0.034, 0.018, 0.004, hair)
    oval(0.002, 0.022, 0.011, 0.016, 0.88 * skin)
    oval(0, 0.062, 0.024, 0.007, skin * (0.6, 0.55, 0.85))
    # Round: darker towards the side away from the lamp.
    shade = 1 - 0.25 * np.sign(look.light[0]) * (np.arange(SIZE[0]) - x) / SIZE[0]
    changed = np.abs(person - wall).max(-1, keepdims=True) > 0
    person = np.where(changed, person * shade[None, :, None], person)
    grain = rng.normal(0.0, 1.5, (SIZE[1], SIZE[0], 1))
    soft = cv2.GaussianBlur(person, (0, 0), 1.5) + grain * changed
    return (
        np.where(cv2.blur(changed.astype(np.float32), (5, 5))[..., None] > 0, soft, wall)
        .clip(0, 255)
        .astype(np.uint8)
    )
