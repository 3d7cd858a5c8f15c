"""What travels along the road. Arrays and plain values only, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """image uint8 (H, W, 3) BGR, never mirrored; index from 0; time_s seconds from the first
    frame (media time for files, monotonic clock for cameras)."""

    image: np.ndarray
    index: int
    time_s: float


@dataclass(frozen=True)
class Square:
    """A rotated square in a picture.

    Attributes:
        x, y: the centre, in pixels.
        width: in pixels.
        angle: radians that its up direction is turned clockwise from the picture's up.
    """

    x: float
    y: float
    width: float
    angle: float


@dataclass(frozen=True)
class Detection:
    """One hand as the detector saw it, before crops and tracking.

    landmarks float32 (21, 3): x, y in pixels, z on the same scale; world_landmarks float32
    (21, 3) metres; side "left" | "right", the person's own; score 0…1 of that side.
    """

    landmarks: np.ndarray
    world_landmarks: np.ndarray
    side: str
    score: float


@dataclass(frozen=True)
class Hand:
    """A detected hand and its upright crop.

    box float32 (4,) x0 y0 x1 y1 in pixels; landmarks float32 (21, 3) pixels; world_landmarks
    float32 (21, 3) metres; side "left" | "right", the person's own; score 0…1 of that side;
    crop uint8 (S, S, 3) RGB, wrist → knuckles up; mirrored: the crop shows the hand mirrored
    (a left hand as a right one); track: which hand it is from frame to frame; square: what the
    crop was cut by.
    """

    box: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    side: str
    score: float
    crop: np.ndarray
    mirrored: bool
    track: int
    square: Square


@dataclass(frozen=True)
class Match:
    """label: the recorded gesture, None = unknown; nearest: the best reference's gesture before
    rejection (None with an empty gallery); score: similarity to it; runner_up: the best other
    gesture; margin 0…1: 0 = both are equally near, 1 = no other comes near (Lowe's ratio test);
    probability 0…1 that `nearest` is right."""

    label: str | None
    nearest: str | None
    score: float
    probability: float
    runner_up: str | None
    margin: float


@dataclass(frozen=True)
class GestureEvent:
    """kind "start" | "end"; held_s seconds since its start (0 at the start)."""

    kind: str
    label: str
    side: str
    frame: int
    time_s: float
    probability: float
    held_s: float = 0.0


@dataclass(frozen=True)
class FrameResult:
    """Everything known after one frame. matches[i] and gestures[i] belong to hands[i];
    gestures[i] is the smoothed label held by that hand, or None; timings_ms by stage."""

    frame: Frame
    hands: tuple[Hand, ...]
    matches: tuple[Match, ...]
    gestures: tuple[str | None, ...]
    events: tuple[GestureEvent, ...]
    timings_ms: dict[str, float]
