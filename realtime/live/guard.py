"""A helper process that ends what was held when this one dies without a last word.

SIGKILL, a crash in native code and an X server that goes away end a program without `finally`. The
helper notices, because its pipe closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import realtime.live.guard_process

LAST_WAIT_S = 1.0  # for the helper to end by itself


class Guard:
    """The helper process, for a file of event lines. Where it can't be started, nothing is guarded.

    Args:
        target: the file's path, or "-" for stdout.
    """

    def __init__(self, target: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        script = str(Path(realtime.live.guard_process.__file__))
        target = target if target == "-" else os.path.abspath(target)
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, target],
                stdin=subprocess.PIPE,
                stdout=None if target == "-" else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                **options,
            )

    def note(self, frame: int, time_s: float, line: Mapping[str, Any] | None = None) -> None:
        """Say how far things are.

        Args:
            frame: index of the last frame, for an end that the helper has to write.
            time_s: its time.
            line: of the gesture that started or ended there.
        """
        self._send({"at": (frame, round(time_s, 4)), "line": line or {}})

    def close(self) -> None:
        """All ends are written: the helper isn't needed any more."""
        process = self._process
        self._send({"done": True})
        self._process = None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(LAST_WAIT_S)
            except subprocess.TimeoutExpired:  # stuck in a write that nobody reads
                process.kill()
                process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            try:
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
            except OSError:  # somebody ended the helper
                self._process = None
