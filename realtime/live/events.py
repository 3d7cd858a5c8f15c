"""Gesture events as JSON Lines: format version 1, described in docs/events.md."""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import IO, Any

from engines.errors import UserError, visible
from engines.files import explain_errors, lock_file
from realtime.live.guard import Guard
from realtime.live.state import State
from realtime.types import FrameResult, GestureEvent

FORMAT_VERSION = 1


class EventFile:
    """An output that writes lines to a file, each whole and at once.

    A start gets its end even where this process is killed: a helper process writes it.

    Args:
        target: the file's path, or "-" for stdout.
        header: what the first line says.
        log_frames: write a line per frame as well.
    Raises:
        UserError: the file can't be opened or written.
    """

    def __init__(self, target: str, header: Mapping[str, Any], log_frames: bool = False) -> None:
        self._target = target
        self._log_frames = log_frames
        self._last = -1  # the last frame's index
        self._started: Counter[tuple[str, str]] = Counter()  # (side, label): ends to come
        self._guard: Guard | None = None
        self._file: IO[bytes]
        with self._explain("Name a file in a folder that you may write to."):
            if target == "-":
                if getattr(sys.stdout, "name", None) == os.devnull or sys.stdout is None:
                    raise UserError(
                        "--events - writes to stdout, which this program was started without: "
                        "name a file instead."
                    )
                self._file = sys.stdout.buffer
            else:
                self._file = _open_alone(target)
        try:
            self._write({"type": "header", "version": FORMAT_VERSION, **header})
            self._guard = Guard(target)
        except BaseException:
            self.close()
            raise

    def show(self, result: FrameResult | None, state: State) -> None:
        """Write a frame's gesture lines, after its frame line if those are wanted."""
        if result is None:
            return
        if self._log_frames and result.frame.index > self._last:  # the last result repeats one
            self._write(frame_line(result))
        self._last = result.frame.index
        for event in result.events:
            self._write_event(event)
        if self._guard is not None and +self._started and not result.events:
            self._guard.note(result.frame.index, result.frame.time_s)

    def close(self) -> None:
        if self._guard is not None:
            self._guard.close(complete=not +self._started)
        if self._target != "-":
            with self._explain():  # after a write that failed, closing fails again
                self._file.close()

    def _write_event(self, event: GestureEvent) -> None:
        """A start that could not be written has no end either."""
        held = (event.side, event.label)
        line = event_line(event)
        if event.kind == "end":
            if not self._started[held]:
                return
            self._started[held] -= 1
            self._write(line)
            self._tell_guard(event, line)
            return
        self._tell_guard(event, line)  # killed amid this: rather an end too many than one too few
        try:
            self._write(line)
        except BaseException:
            self._tell_guard(event, {**line, "kind": "end"})
            raise
        self._started[held] += 1

    def _tell_guard(self, event: GestureEvent, line: Mapping[str, Any]) -> None:
        if self._guard is not None:
            self._guard.note(event.frame, event.time_s, line)

    def _write(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=self._target == "-", allow_nan=False)
        text = visible(text)  # its escapes are those of JSON, too
        # A path that isn't UTF-8 has lone surrogates: as \udc80 they are JSON.
        data = (text + "\n").encode("utf-8", "backslashreplace")
        with self._explain():
            _write_whole(self._file, data)

    def _explain(
        self, remedy: str = "Make room, or name another file."
    ) -> AbstractContextManager[None]:
        return explain_errors(f"--events can't write {self._target}", remedy)


def _open_alone(target: str) -> IO[bytes]:
    """Open a file that no other program writes events into. Raises UserError and OSError."""
    # Not emptied before it is locked: another program's lines may be in it.
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    file = os.fdopen(handle, "wb", buffering=0)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            if not lock_file(handle):
                raise UserError(
                    f"--events can't write {target}: another program writes its events there. "
                    "Name another file."
                )
            os.ftruncate(handle, 0)
    except BaseException:
        file.close()
        raise
    return file


def _write_whole(file: IO[bytes], data: bytes) -> None:
    """Write all of it, or none where the disk is full. Raises OSError."""
    begin = file.tell() if file.seekable() else None
    try:
        left = data
        while left:
            left = left[file.write(left) :]
        file.flush()
    except OSError:
        if begin is not None:
            with contextlib.suppress(OSError):
                file.truncate(begin)
                file.seek(begin)
        raise


def event_line(event: GestureEvent) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": "gesture",
        "kind": event.kind,
        "label": event.label,
        "side": event.side,
        "frame": event.frame,
        "time_s": _round(event.time_s, 4),
        "probability": _round(event.probability, 4),
    }
    if event.kind == "end":
        line["held_s"] = _round(event.held_s, 4)
    return line


def frame_line(result: FrameResult) -> dict[str, Any]:
    hands = [
        {
            "side": hand.side,
            "box": [_round(float(v) * result.frame.scale, 1) for v in hand.box],
            "label": match.label,
            "nearest": match.nearest,
            "score": _round(match.score, 4),
            "probability": _round(match.probability, 4),
            "runner_up": match.runner_up,
        }
        for hand, match in zip(result.hands, result.matches, strict=True)
    ]
    return {
        "type": "frame",
        "frame": result.frame.index,
        "time_s": _round(result.frame.time_s, 4),
        "hands": hands,
        "timings_ms": {name: _round(value, 3) for name, value in result.timings_ms.items()},
    }


def _round(value: float, digits: int) -> float | None:
    """None for what JSON has no number for, such as the score of an encoder's NaN."""
    return round(value, digits) if math.isfinite(value) else None
