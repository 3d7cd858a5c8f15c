"""The data that flows through the live loop: arrays and plain values, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """A picture of a source.

    Attributes:
        image: uint8 (H, W, 3) BGR, never mirrored.
        index: Number of the frame, from 0.
        time_s: Seconds from the first frame: media time of files, monotonic clock of cameras.
        scale: Pixels of the picture's file along one of the image's; large photographs are scaled
            down.
    """

    image: np.ndarray
    index: int
    time_s: float
    scale: float = 1.0


@dataclass(frozen=True)
class Square:
    """A rotated square in a picture.

    Attributes:
        x: x of the centre, px.
        y: y of the centre, px.
        width: Width, px.
        angle: Radians by which its up direction is turned clockwise from the picture's up.
    """

    x: float
    y: float
    width: float
    angle: float


@dataclass(frozen=True)
class Look:
    """A one-pass encoder's look at a hand: the landmarks' crop is the embedding's, too.

    Attributes:
        square: The square of the picture that was looked at.
        crop: uint8 (S, S, 3) RGB, cut by it, not mirrored.
        embedding: float32 (D,).
    """

    square: Square
    crop: np.ndarray
    embedding: np.ndarray


@dataclass(frozen=True)
class Detection:
    """A hand as the detector found it, before tracking and cutting.

    Attributes:
        landmarks: float32 (21, 3): x and y, px, and z on the same scale.
        world_landmarks: float32 (21, 3), metres.
        side: The person's own hand, "left" or "right".
        score: Confidence in the side, 0…1.
        look: What a one-pass encoder saw; None for other networks.
    """

    landmarks: np.ndarray
    world_landmarks: np.ndarray
    side: str
    score: float
    look: Look | None = None


@dataclass(frozen=True)
class Hand:
    """A detected hand and its upright crop.

    Attributes:
        box: float32 (4,), x0 y0 x1 y1, px.
        landmarks: float32 (21, 3): x and y, px, and z on the same scale.
        world_landmarks: float32 (21, 3), metres.
        side: The person's own hand, "left" or "right".
        score: Confidence in the side, 0…1.
        crop: uint8 (S, S, 3) RGB; the knuckles are above the wrist.
        mirrored: Whether the crop shows the hand mirrored, a left hand as a right one.
        track: Number that identifies the hand from frame to frame.
        square: The square of the picture that the crop shows.
        embedding: float32 (D,), where the detector's network is the encoder; else None.
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
    embedding: np.ndarray | None = None


@dataclass(frozen=True)
class Match:
    """The result of comparing a hand with the gallery.

    Attributes:
        label: The recognised gesture; None if it is unknown.
        nearest: Gesture of the most similar reference, before rejection; None if the gallery is
            empty.
        score: Similarity to that reference.
        probability: Probability that `nearest` is right, 0…1.
        runner_up: The most similar other gesture; None if there is none.
        margin: 0…1 (Lowe's ratio test): 0 if both gestures are equally similar, 1 if no other is
            similar.
        negative: Whether a negative reference is more similar than any gesture.
    """

    label: str | None
    nearest: str | None
    score: float
    probability: float
    runner_up: str | None
    margin: float
    negative: bool = False


@dataclass(frozen=True)
class GestureEvent:
    """The start or the end of a gesture.

    Attributes:
        kind: "start" or "end".
        label: The gesture.
        side: The person's own hand, "left" or "right".
        frame: Index of the frame.
        time_s: Time of the frame, seconds.
        probability: Probability that the label is right, 0…1.
        held_s: Seconds since the start; 0 at the start.
    """

    kind: str
    label: str
    side: str
    frame: int
    time_s: float
    probability: float
    held_s: float = 0.0


@dataclass(frozen=True)
class FrameResult:
    """Everything known after one frame.

    Attributes:
        frame: The frame.
        hands: Its hands, the larger first.
        matches: The match of each hand.
        gestures: The smoothed label that each hand holds, or None.
        events: Gestures that started or ended.
        timings_ms: Milliseconds by stage.
    """

    frame: Frame
    hands: tuple[Hand, ...]
    matches: tuple[Match, ...]
    gestures: tuple[str | None, ...]
    events: tuple[GestureEvent, ...]
    timings_ms: dict[str, float]
