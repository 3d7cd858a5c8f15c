"""A program that is killed leaves whole lines, and an end for every start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from realtime.live.guard import CHUNK, write_lines
from tests.cli import ROOT

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
LIVE = ["--camera", "demo", "--view", "none", "--realtime", "--max-frames", "100000", "--events"]


def after(hangup: str) -> list[str]:
    """A program that runs the rest of its arguments with SIGHUP ignored (SIG_IGN) or not (SIG_DFL).

    What runs the tests may ignore it, and hands that down.
    """
    code = (
        f"import os, signal, sys; signal.signal(signal.SIGHUP, signal.{hangup}); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    return [sys.executable, "-c", code, str(ROOT / "run.py"), *LIVE]


def start(target: str, stderr: int | IO[bytes] = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*after("SIG_DFL"), target], stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
    )


def lines_of(data: bytes) -> list[dict]:
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def held(lines: list[dict]) -> list[str]:
    """The gestures that have started and not ended."""
    names: list[str] = []
    for line in lines:
        if line.get("kind") == "start":
            names.append(line["label"])
        elif line.get("kind") == "end":
            names.remove(line["label"])
    return names


@POSIX
@pytest.mark.parametrize("number", ["SIGKILL", "SIGHUP", "SIGTERM"])
def test_every_start_has_its_end_whatever_ends_the_program(number: str, tmp_path: Path) -> None:
    taken = b""
    with open(tmp_path / "told", "wb") as told, start("-", stderr=told) as program:
        assert program.stdout is not None
        for line in program.stdout:  # until a gesture is held
            taken += line
            if held(lines_of(taken)):
                break
        program.send_signal(getattr(signal, number))
        lines = lines_of(taken + program.stdout.read())  # until the helper has ended, too
    assert held(lines) == []
    assert program.returncode == (-signal.SIGKILL if number == "SIGKILL" else 130)
    assert b"Traceback" not in (tmp_path / "told").read_bytes()
    end = next(line for line in reversed(lines) if line["type"] == "gesture")
    begun = [line for line in lines if line.get("label") == end["label"]][-2]
    assert end["held_s"] == pytest.approx(end["time_s"] - begun["time_s"], abs=2e-4)
    assert end.keys() == {*begun.keys(), "held_s"} and end["frame"] >= begun["frame"]


@POSIX
def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    with subprocess.Popen([*after("SIG_IGN"), "-"], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline()
        running.send_signal(signal.SIGHUP)
        for line in running.stdout:
            if json.loads(line).get("kind") == "start":  # it has gone on
                break
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
    assert running.returncode == 130


@POSIX
def test_a_killed_program_leaves_whole_lines_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with start(str(path)) as program:
        while not (path.exists() and b"start" in path.read_bytes()):
            assert program.poll() is None
            os.sched_yield()
        program.kill()
    while held(lines_of(path.read_bytes())):  # until the helper has written
        os.sched_yield()


@pytest.mark.parametrize("length", [0, 5, CHUNK - 1, CHUNK, 3 * CHUNK + 7])
@pytest.mark.parametrize("before", [b"", b"{}\n", b"{}\n" * 40_000])
def test_an_unfinished_line_is_cut(before: bytes, length: int, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(before + b"x" * length)
    write_lines(b"[1]\n", str(path))
    assert path.read_bytes() == before + b"[1]\n"


def test_what_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    write_lines(b"[1]\n", str(tmp_path / "missing" / "e.jsonl"))
    write_lines(b"[1]\n", str(tmp_path))
    if Path("/dev/full").exists():
        write_lines(b"[1]\n", "/dev/full")
