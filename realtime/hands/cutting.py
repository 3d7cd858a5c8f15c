"""Cut detected hands upright, for the encoder that embeds them."""

from __future__ import annotations

import numpy as np

from engines.encoder import Encoder
from engines.say import warn_once
from engines.spec import EncoderInputs
from realtime.hands.geometry import (
    bounding_box,
    canonical_world,
    crop_landmarks,
    cut,
    turns_of,
    upright_square,
)
from realtime.hands.tracks import Tracker
from realtime.types import Detection, Frame, Hand


def cut_hands(
    frame: Frame,
    detections: list[Detection],
    crop_size: int,
    mirror_hands: bool,
    tracker: Tracker | None,
) -> list[Hand]:
    """Detections in a frame → hands, the larger first; without a tracker each is its own track."""
    if tracker is None:
        tracked = list(enumerate(detections))
    else:
        tracked = tracker.update(detections, frame.time_s)
    hands = [
        cut_hand(frame.image, detection, crop_size, mirror_hands, track)
        for track, detection in tracked
    ]
    return sorted(hands, key=lambda hand: -hand.square.width)


def cut_hand(
    image: np.ndarray,
    detection: Detection,
    crop_size: int,
    mirror_hands: bool,
    track: int = 0,
    shown: str = "right",
) -> Hand:
    """Cut a detected hand out of its picture; live hands and references are cut alike.

    Args:
        image: uint8 (H, W, 3) BGR.
        detection: The hand.
        crop_size: Width S of the crop, px.
        mirror_hands: Whether a left hand is cut as a right one.
        track: Number that identifies the hand from frame to frame.
        shown: With mirror_hands, as which hand either hand is cut.
    """
    mirror = mirror_hands and detection.side != shown
    look = detection.look
    square = look.square if look is not None else upright_square(detection.landmarks)
    return Hand(
        box=bounding_box(detection.landmarks),
        landmarks=detection.landmarks,
        world_landmarks=detection.world_landmarks,
        side=detection.side,
        score=detection.score,
        crop=look.crop if look is not None else cut(image, square, crop_size, mirror),
        mirrored=mirror,
        track=track,
        square=square,
        embedding=look.embedding if look is not None else None,
    )


def embed_hands(encoder: Encoder, hands: list[Hand]) -> np.ndarray:
    """The embeddings, float32 (N, D), of N ≥ 1 hands that were found and cut for an encoder."""
    found = [hand.embedding for hand in hands if hand.embedding is not None]
    stacked = np.stack(found) if len(found) == len(hands) else encoder.encode(encoder_inputs(hands))
    if not np.isfinite(stacked).all():  # such a hand is unknown, and the next may be sound
        fault, remedy = broken_embeddings(encoder)
        warn_once(f"{fault}: numbers aren't finite, so nothing is recognised in them. {remedy}")
    return stacked


def broken_embeddings(encoder: Encoder) -> tuple[str, str]:
    """What to say of an encoder's embeddings that aren't finite: the fault, and what to do."""
    return (
        f"Embeddings of {encoder.spec.name} on {encoder.engine}",
        "Examine it with `python run.py doctor`, or name another --encoder or --engine.",
    )


def encoder_inputs(hands: list[Hand]) -> EncoderInputs:
    """Stack N ≥ 1 hands as Encoder.encode takes them."""
    return EncoderInputs(
        np.stack([hand.crop for hand in hands]),
        np.stack([crop_landmarks(h.landmarks, h.square, h.mirrored) for h in hands]),
        np.stack([canonical_world(h.world_landmarks, h.mirrored) for h in hands]),
        turns_of([-hand.square.angle if hand.mirrored else hand.square.angle for hand in hands]),
    )
