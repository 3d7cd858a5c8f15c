"""Gesture events as JSON Lines: format version 1, described in docs/events.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import IO, Any

from engines.errors import UserError
from realtime.types import FrameResult, GestureEvent

FORMAT_VERSION = 1


class EventWriter:
    """Writes to a file, or to stdout for "-"; every line is flushed. Use as a context manager.

    Raises UserError where the file can't be opened or written.
    """

    def __init__(self, target: str, header: Mapping[str, Any], log_frames: bool = False) -> None:
        self._target = target
        self._log_frames = log_frames
        self._file: IO[str]
        try:
            if target == "-":
                self._file = sys.stdout
            else:
                self._file = open(target, "w", encoding="utf-8", newline="\n")  # noqa: SIM115
        except OSError as error:
            raise UserError(f"--events can't write {target} ({error.strerror}).") from None
        self._write({"type": "header", "version": FORMAT_VERSION, **header})

    def frame(self, result: FrameResult) -> None:
        """The gesture lines of one frame, after its frame line if those are wanted."""
        if self._log_frames:
            self._write(frame_line(result))
        for event in result.events:
            self.event(event)

    def event(self, event: GestureEvent) -> None:
        self._write(event_line(event))

    def close(self) -> None:
        if self._target != "-":
            self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=self._target == "-") + "\n")
            self._file.flush()
        except BrokenPipeError:
            raise  # whoever read stdout has left: not an error of ours
        except OSError as error:
            raise UserError(
                f"--events can't write {self._target} ({error.strerror}). Make room, or name "
                "another file."
            ) from None


def event_line(event: GestureEvent) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": "gesture",
        "kind": event.kind,
        "label": event.label,
        "side": event.side,
        "frame": event.frame,
        "time_s": round(event.time_s, 4),
        "probability": round(event.probability, 4),
    }
    if event.kind == "end":
        line["held_s"] = round(event.held_s, 4)
    return line


def frame_line(result: FrameResult) -> dict[str, Any]:
    hands = [
        {
            "side": hand.side,
            "box": [round(float(v), 1) for v in hand.box],
            "label": match.label,
            "nearest": match.nearest,
            "score": round(match.score, 4),
            "probability": round(match.probability, 4),
            "runner_up": match.runner_up,
        }
        for hand, match in zip(result.hands, result.matches, strict=True)
    ]
    return {
        "type": "frame",
        "frame": result.frame.index,
        "time_s": round(result.frame.time_s, 4),
        "hands": hands,
        "timings_ms": {name: round(value, 3) for name, value in result.timings_ms.items()},
    }
