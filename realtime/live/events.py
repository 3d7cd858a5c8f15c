"""Gesture events as JSON Lines: format version 1, described in docs/events.md."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        self._started: Counter[tuple[str, str]] = Counter()  # (side, label): ends to come
        self._file: IO[str]
        try:
            if target == "-":
                self._file = sys.stdout
            else:
                # A path that isn't UTF-8 has lone surrogates: as \udc80 they are JSON.
                self._file = open(  # noqa: SIM115
                    target, "w", encoding="utf-8", errors="backslashreplace", newline="\n"
                )
        except OSError as error:
            raise UserError(f"--events can't write {target} ({error.strerror}).") from None
        try:
            self._write({"type": "header", "version": FORMAT_VERSION, **header})
        except BaseException:
            self.close()
            raise

    def frame(self, result: FrameResult) -> None:
        """The gesture lines of one frame, after its frame line if those are wanted."""
        if self._log_frames:
            self._write(frame_line(result))
        for event in result.events:
            self.event(event)

    def event(self, event: GestureEvent) -> None:
        """Ctrl-C may have cost a start its line; then its end has none either."""
        held = (event.side, event.label)
        if event.kind == "start":
            self._started[held] += 1
        elif not self._started[held]:
            return
        else:
            self._started[held] -= 1
        self._write(event_line(event))

    def close(self) -> None:
        if self._target != "-":
            with self._told():  # after a write that failed, closing fails again
                self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=self._target == "-", allow_nan=False)
        with self._told():
            self._file.write(text + "\n")
            self._file.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
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
        "time_s": _rounded(event.time_s, 4),
        "probability": _rounded(event.probability, 4),
    }
    if event.kind == "end":
        line["held_s"] = _rounded(event.held_s, 4)
    return line


def frame_line(result: FrameResult) -> dict[str, Any]:
    hands = [
        {
            "side": hand.side,
            "box": [_rounded(float(v), 1) for v in hand.box],
            "label": match.label,
            "nearest": match.nearest,
            "score": _rounded(match.score, 4),
            "probability": _rounded(match.probability, 4),
            "runner_up": match.runner_up,
        }
        for hand, match in zip(result.hands, result.matches, strict=True)
    ]
    return {
        "type": "frame",
        "frame": result.frame.index,
        "time_s": _rounded(result.frame.time_s, 4),
        "hands": hands,
        "timings_ms": {name: _rounded(value, 3) for name, value in result.timings_ms.items()},
    }


def _rounded(value: float, digits: int) -> float | None:
    """None for what JSON has no number for, such as the score of an encoder's NaN."""
    return round(value, digits) if math.isfinite(value) else None
