"""Runs of the command line as a person's shell would start them, and what they are shown."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.drawn.hand import HandLook, draw_hand
from realtime.drawn.pose import GESTURES, HandPose, joints, mirror, mix, view_rotation
from run import main

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "run.py"
PATIENCE_S = 500.0  # for what ends far sooner; less than pytest waits for a test (pyproject.toml)
GALLERY_LINE = re.compile(r"\d+ recorded gestures? in .*")
PERFORMER = HandLook(skin=(104, 134, 186), cloth=(74, 92, 66), wall=(190, 186, 178), scenery=5)


def environment(**changes: str | None) -> dict[str, str]:
    """This one without a display; None takes a variable away."""
    env = {**os.environ, "DISPLAY": None, "WAYLAND_DISPLAY": None, "PYTHONUTF8": "1", **changes}
    return {name: value for name, value in env.items() if value is not None}


def start_py(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """`python run.py ARGUMENTS` in a folder, with its streams as pipes."""
    options = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        **options,
    }
    command = [sys.executable, str(RUN), *map(str, arguments)]
    env = environment() if env is None else env
    if "preexec_fn" in options:  # a limit on files would be one on the coverage's, too
        env = {name: value for name, value in env.items() if name != "COVERAGE_PROCESS_CONFIG"}
    return subprocess.Popen(command, cwd=cwd, env=env, text=True, encoding="utf-8", **options)


def run_py(
    *arguments: object,
    cwd: Path,
    env: dict[str, str] | None = None,
    patience_s: float = PATIENCE_S,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """The same to its end."""
    with start_py(*arguments, cwd=cwd, env=env, **options) as process:
        try:
            out, err = process.communicate(timeout=patience_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def main_py(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As run_py, within this process: it spares the start of Python and the imports.

    Only what Python itself writes is in stdout and stderr: tests of a stream's exact bytes, of
    signals, limits and environment variables that libraries read take a process. An exception
    that `main` lets through, a traceback to the person, passes through here, too.
    """
    here, saved = os.getcwd(), dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    written = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(file, "utf-8", write_through=True) for file in written)
    try:
        os.environ.clear()
        os.environ.update(environment() if env is None else env)
        os.chdir(cwd)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status: object = main([str(argument) for argument in arguments])
            except SystemExit as end:  # argparse
                status = end.code
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(saved)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert isinstance(status, int)
    texts = (file.getvalue().decode("utf-8") for file in written)
    return subprocess.CompletedProcess(["run.py", *map(str, arguments)], status, *texts)


def said(run: subprocess.CompletedProcess[str] | str) -> list[str]:
    """The lines on stderr, without the one that says which gallery is used."""
    lines = (run if isinstance(run, str) else run.stderr).splitlines()
    return [line for line in lines if not GALLERY_LINE.fullmatch(line)]


def fine(run: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The run, once it is sure that it ended well."""
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr and "error:" not in run.stderr
    return run


def fault(run: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a run that must have ended in a fault."""
    assert run.returncode == 1, run.stderr
    lines = said(run)
    assert len(lines) == 1 and lines[0].startswith("error: "), run.stderr
    return lines[0]


def parsed(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """JSON Lines → header, gesture lines, frame lines. Nothing else may be there."""
    header, *rest = [json.loads(line) for line in text.splitlines()]
    assert header["type"] == "header"
    gestures = [line for line in rest if line["type"] == "gesture"]
    frames = [line for line in rest if line["type"] == "frame"]
    assert len(gestures) + len(frames) == len(rest)
    return header, gestures, frames


def starts(gestures: Iterable[dict[str, Any]]) -> list[str]:
    return [line["label"] for line in gestures if line["kind"] == "start"]


def events_until(process: subprocess.Popen[str], label: str) -> list[str]:
    """The lines on stdout up to the start of a gesture; fails where the stream ends before."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        event = json.loads(line)
        if event.get("kind") == "start" and event["label"] == label:
            return lines
    raise AssertionError(f"{label} never started:\n{''.join(lines[-3:])}")


def hand_picture(
    pose: str | HandPose,
    side: str = "right",
    *,
    look: HandLook = PERFORMER,
    size: tuple[int, int] = (640, 480),
    scale: float = 1580.0,
    centre: tuple[float, float] | None = None,
    yaw: float = 0.1,
) -> np.ndarray:
    """A drawn hand as an unmirrored camera sees it: uint8 BGR. The pose may be a gesture's name."""
    points = joints(GESTURES[pose] if isinstance(pose, str) else pose)
    if side == "left":
        points = mirror(points)
    return draw_hand(points @ view_rotation(yaw, 0.08, 0.02).T, look, size, scale, centre, side)


def performance(
    gestures: Sequence[str], fps: float, hold_s: float = 0.9, change_s: float = 0.3
) -> Iterator[np.ndarray]:
    """One gesture after the other, the same in time at any rate: uint8 BGR (480, 640, 3)."""
    turn_s = hold_s + change_s
    for i in range(round((len(gestures) * turn_s - change_s) * fps)):
        turn, into_s = divmod(i / fps, turn_s)
        here = GESTURES[gestures[int(turn)]]
        there = GESTURES[gestures[min(int(turn) + 1, len(gestures) - 1)]]
        pose = mix(here, there, max(0.0, into_s - hold_s) / change_s)
        sway = 8 * np.sin(2 * np.pi * 0.5 * i / fps)
        yield hand_picture(pose, centre=(318 + sway, 372 + sway / 2))


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: float) -> Path:
    """.avi loses nothing; .mp4 is quicker and costs some similarity, more at higher rates."""
    codec = cv2.VideoWriter.fourcc(*{".avi": "FFV1", ".mp4": "mp4v"}[path.suffix])
    writer = None
    for picture in pictures:
        if writer is None:
            size = picture.shape[1::-1]
            writer = cv2.VideoWriter(str(path), codec, fps, size)
            assert writer.isOpened()
        writer.write(picture)
    assert writer is not None
    writer.release()
    return path


def write_png(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return path


def teach(gallery: Path, *labels: str, side: str = "right") -> Path:
    """A gallery with a reference of each, recorded through the command line."""
    for label in labels:
        picture = write_png(gallery.parent / "taught.png", hand_picture(label, side, yaw=0.0))
        options = ("--image", picture, "--gallery", gallery)
        fine(main_py("record", label, *options, cwd=gallery.parent))
    return gallery


def read_video(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    pictures = []
    while (picture := capture.read()[1]) is not None:
        pictures.append(picture)
    capture.release()
    return pictures
