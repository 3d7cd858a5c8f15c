"""Count what the live loop starts in a video, or before a camera."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.recognition.recognizer import Recognizer
from realtime.sources.source import Source
from realtime.types import GestureEvent


@dataclass(frozen=True)
class Seen:
    """What a source gave, once.

    Attributes:
        minutes: How long it was.
        frames: Frames.
        frames_with_hand: Those in which a hand was found.
        starts: Of gestures, in order.
    """

    minutes: float
    frames: int
    frames_with_hand: int
    starts: tuple[GestureEvent, ...]


def watch(recognizer: Recognizer, source: Source, minutes: float) -> Seen:
    """Recognise in a source until it is over, or for so many minutes of its own time."""
    starts: list[GestureEvent] = []
    frames, with_hand, time_s, step_s = 0, 0, 0.0, 0.0
    for frame in source:
        if frame.time_s >= 60 * minutes:
            break
        step_s, time_s = frame.time_s - time_s, frame.time_s
        result = recognizer.step(frame)
        frames += 1
        with_hand += bool(result.hands)
        starts += [event for event in result.events if event.kind == "start"]
    # The last frame lasts as long as the one before it.
    return Seen((time_s + step_s) / 60, frames, with_hand, tuple(starts))
