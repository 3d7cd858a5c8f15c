"""The guard's own process: writes the last lines of a program that was killed.

Standard library alone, since it is started for every run with --events. It reads JSON lines from
stdin, see `guard.Guard`; when stdin closes without "done", the program is gone.
"""

import json
import os
import signal
import sys

CHUNK = 1 << 16  # bytes read at once from the end of the file


def main(target: str) -> None:
    """Follow the program on stdin; write what it left open to `target`, a path or "-"."""
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


def cut_unfinished(file) -> None:  # type: ignore[no-untyped-def]
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
    main(sys.argv[1])
