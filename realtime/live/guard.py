"""A helper process that ends what was held when this one dies without a last word.

SIGKILL, a crash in native code and an X server that goes away end a program without `finally`. The
helper notices, because its pipe closes. It runs this file as a script, so this file imports the
standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

CHUNK = 1 << 16  # bytes read at once from the end of the file
LAST_WAIT_S = 1.0  # for the helper to end by itself


class Guard:
    """The helper process, for a file of event lines. Where it can't be started, nothing is guarded.

    Args:
        target: the file's path, or "-" for stdout.
    """

    def __init__(self, target: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        target = target if target == "-" else os.path.abspath(target)
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", os.path.abspath(__file__), target],
                stdin=subprocess.PIPE,
                stdout=None,  # which the target may be, as "-" or by a path such as /dev/stdout
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

    def close(self, complete: bool) -> None:
        """Let the helper end.

        Args:
            complete: all ends are written; else the helper writes what is missing first.
        """
        process = self._process
        if complete:
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


def watch(target: str) -> None:
    """In the helper: follow the program on stdin; write what it left open to a path or "-"."""
    # Signals are meant for the program, which says when it is over.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    held: list[dict[str, object]] = []  # lines of starts without an end
    frame, time_s = 0, 0.0
    for text in sys.stdin:
        try:
            message = json.loads(text)
        except ValueError:  # the program died amid its message
            break
        if "done" in message:
            return
        frame, time_s = message.get("at", (frame, time_s))
        line = message.get("line", {})
        if line.get("kind") == "start":
            held.append(line)
        for start in held if line.get("kind") == "end" else []:
            if all(start[name] == line[name] for name in ("label", "side")):
                held.remove(start)
                break
    ends = []
    for start in held:
        held_s = round(max(time_s - float(str(start["time_s"])), 0.0), 4)
        end = {**start, "kind": "end", "frame": frame, "time_s": time_s, "held_s": held_s}
        ends.append(json.dumps(end, ensure_ascii=True) + "\n")
    if ends:
        write_lines("".join(ends).encode(), target)


def write_lines(lines: bytes, target: str) -> None:
    """Append whole lines, in place of a last line that the program didn't finish."""
    try:
        if target == "-":
            os.write(1, lines)
            return
        with open(target, "r+b", buffering=0) as file:
            if file.seekable():
                cut_unfinished(file)
            file.write(lines)
    except OSError:  # the disk is full, or the reader has gone: nobody is left to tell
        pass


def cut_unfinished(file: IO[bytes]) -> None:
    """Cut what follows the last line break, and stand behind it."""
    place = file.seek(0, os.SEEK_END)
    while place > 0:
        begin = max(place - CHUNK, 0)
        file.seek(begin)
        last = file.read(place - begin).rfind(b"\n")
        if last >= 0:
            place = begin + last + 1
            break
        place = begin
    file.truncate(place)
    file.seek(place)


if __name__ == "__main__":
    watch(sys.argv[1])
