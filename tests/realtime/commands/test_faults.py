"""Whatever goes wrong is said in one sentence, without a traceback, with the right exit status."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime.sources.camera import list_cameras
from tests.cli import (
    PATIENCE_S,
    RUN,
    environment,
    events_until,
    fault,
    hand_picture,
    main_py,
    parsed,
    read_video,
    run_py,
    said,
    start_py,
    starts,
    write_png,
)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and devices")
HAND = pytest.mark.usefixtures("hand_model_path")
MODELS = RUN.parent / "models"
MEDIAPIPE = ["--camera", "demo", "--detector", "mediapipe"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Things that are not what they seem."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "empty.mp4").touch()
    whole = folder / "whole.mp4"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"mp4v"), 30, (64, 48))
    for i in range(30):
        writer.write(np.full((48, 64, 3), 8 * i, np.uint8))
    writer.release()
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[:-200])
    png = write_png(folder / "hand.png", hand_picture("L")).read_bytes()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    (folder / "half.png").write_bytes(png[:40])
    (folder / "a file").touch()
    (folder / "no pictures").mkdir()
    (folder / "no pictures" / "notes.txt").write_text("none here")
    (folder / "encoder.onnx").write_text("not ONNX")
    return folder


def short(folder: Path) -> tuple[object, ...]:
    """A run over thirty frames without a hand."""
    return ("--camera", folder / "whole.mp4", "--view", "none")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--camera", "nowhere"], "nothing named 'nowhere'. --camera takes"),
        (["--camera", "no/such/video.mp4"], "nothing named 'no/such/video.mp4'"),
        (["--camera", "empty.mp4"], "empty.mp4 can't be played as a video: it is empty"),
        (["--camera", "cut.mp4"], "cut.mp4 can't be played as a video: .*end is missing"),
        (["--camera", "text.png"], "text.png can't be read as a picture"),
        (["--camera", "cut.jpg"], "cut.jpg can't be read as a picture"),
        (["--camera", "half.png"], "half.png can't be read as a picture"),
        (["--camera", "no pictures"], "no pictures holds no picture"),
        (["--camera", "demo", "--gallery", "a file"], "a file"),
        (["--camera", "demo", "--encoder", "encoder.onnx"], "encoder.onnx"),
        (["--camera", "demo", "--encoder", "missing.onnx"], "No encoder at missing.onnx"),
        (["--camera", "demo", "--engine", "abacus"], "--engine takes .*'abacus'"),
        (["--camera", "demo", "--far", "2"], "--far lies between .* got 2"),
        (["--camera", "demo", "--far", "0"], "--far lies between .* got 0"),
        ([*MEDIAPIPE, "--hand-model", "no.task"], "--hand-model names no.task"),
        ([*MEDIAPIPE, "--hand-model", "a file"], "a file can't be opened as a Media"),
        (["--camera", "demo", "--hand-model", "a.task"], "a.task .*add --detector mediapipe"),
        (["--camera", "demo", "--view", "window"], "No display .*--view terminal"),
        (["record", "L", "--image", "missing.png"], "no picture missing.png"),
        (["record", "L", "--image", "text.png"], "text.png can't be read as a picture"),
        (["embed", "missing", "--out", "x.npz"], "missing is not a folder"),
        (["embed", "no pictures", "--out", "x.npz"], "no pictures"),
        (["evaluate", "no pictures"], "no pictures"),
        (["evaluate", "missing"], "missing is not a folder"),
        (["evaluate", "missing", "--views", "1,5"], "--views needs --fps N"),
        (["calibrate", "missing"], "got missing"),
        (["calibrate", "--far", "0", "missing"], "--far"),
        (["gestures", "list", "--gallery", "a file"], "a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@HAND
def test_one_sentence(folder: Path, arguments: list[str], words: str) -> None:
    if arguments[0].startswith("--") and "--view" not in arguments:
        arguments = [*arguments, "--view", "none", "--max-frames", "3"]
    run = main_py(*arguments, cwd=folder)
    assert run.stdout == ""
    sentence = fault(run)
    assert re.search(words, sentence), sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--size", "large"], "1280x720 is the form; got 'large'"),
        (["--size", "0x480"], "width and height are positive"),
        (["--fps", "nan"], "it takes a number above 0, such as 30; got 'nan'"),
        (["--max-frames", "-1"], "a number from 0 on is expected; got '-1'"),
        (["--hands", "3"], "invalid choice: "),
        (["--view", "hologram"], "invalid choice: 'hologram'"),
        (["--cam", "demo"], "unrecognized arguments: --cam"),
        (
            ["evaluate", "people", "--shots", "1,0"],
            "it takes whole numbers from 1, such as 1,3,5; got '1,0'",
        ),
        (
            ["evaluate", "people", "--shots", "many"],
            "it takes whole numbers from 1, such as 1,3,5; got 'many'",
        ),
        (
            ["evaluate", "people", "--views", "1,,5"],
            "it takes whole numbers from 1, such as 1,3,5; got '1,,5'",
        ),
        (
            ["evaluate", "people", "--views", "1.5"],
            "it takes whole numbers from 1, such as 1,3,5; got '1.5'",
        ),
        (
            ["evaluate", "people", "--fps", "0"],
            "it takes a number above 0, such as 30; got '0'",
        ),
        (
            ["calibrate", "people", "--fps", "nan"],
            "it takes a number above 0, such as 30; got 'nan'",
        ),
        (["record"], "required: label"),
        (["gestures"], "required: ACTION"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options(tmp_path: Path, arguments: list[str], words: str) -> None:
    run = main_py(*arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert words in run.stderr.splitlines()[-1] and "Traceback" not in run.stderr


def test_no_camera(tmp_path: Path) -> None:
    if list_cameras():
        pytest.skip("this machine has a camera")
    sentence = fault(main_py("--view", "none", cwd=tmp_path))
    assert "camera" in sentence and "--camera demo" in sentence


@HAND
def test_another_encoders_calibration(folder: Path, tmp_path: Path) -> None:
    """It isn't used: the program says so, goes on, and refuses a --far that it can't keep."""
    shutil.copy(MODELS / "landmarks.onnx", tmp_path / "mine.onnx")
    calibration = json.loads((MODELS / "landmarks.calibration.json").read_text())
    (tmp_path / "mine.calibration.json").write_text(
        json.dumps({**calibration, "fingerprint": "0" * 64})
    )
    run = main_py(*short(folder), "--encoder", "mine.onnx", cwd=tmp_path)
    assert run.returncode == 0
    other, none = said(run)
    assert other.startswith("warning: The calibration mine.calibration.json was fitted for another")
    assert "has no calibration" in none
    run = main_py(*short(folder), "--encoder", "mine.onnx", "--far", "0.01", cwd=tmp_path)
    assert run.returncode == 1 and "--far can't be kept" in said(run)[-1]


@pytest.mark.parametrize("target", ["no/such/folder/x.jsonl", "."])
@HAND
def test_events_that_cannot_be_opened(folder: Path, tmp_path: Path, target: str) -> None:
    sentence = fault(main_py(*short(folder), "--events", target, cwd=tmp_path))
    assert f"--events can't write {target}" in sentence


@POSIX
@HAND
def test_events_on_a_full_disk(folder: Path, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    sentence = fault(main_py(*short(folder), "--events", "/dev/full", cwd=tmp_path))
    assert "--events can't write /dev/full" in sentence


@POSIX
@HAND
def test_events_when_the_disk_fills_meanwhile(folder: Path, tmp_path: Path) -> None:
    def small_files() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    options = (*short(folder), "--log-frames", "--events", "events.jsonl")
    sentence = fault(run_py(*options, cwd=tmp_path, preexec_fn=small_files))
    assert "--events can't write events.jsonl" in sentence


@pytest.mark.parametrize("target", ["video.avi", "no/such/folder/x.mp4"])
@HAND
def test_save_that_cannot_be_written(folder: Path, tmp_path: Path, target: str) -> None:
    assert "--save" in fault(main_py(*short(folder), "--save", target, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("mediapipe", [*MEDIAPIPE, "--view", "none"]),
        ("onnxruntime", ["--camera", "demo", "--view", "none"]),
        ("cv2", ["gestures", "list"]),
        ("av", ["--camera", __file__, "--view", "none"]),
        ("pygame", ["--camera", "demo", "--view", "window"]),
    ],
)
@HAND
def test_a_missing_package(tmp_path: Path, package: str, arguments: list[str]) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import sys\n\n\nclass Missing:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n\n\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    env = environment(PYTHONPATH=str(blocked), DISPLAY=":0")
    sentence = fault(run_py(*arguments, cwd=tmp_path, env=env))
    assert package in sentence and "pip install" in sentence


@POSIX
@HAND
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_stopped_by_a_signal(tmp_path: Path, number: int) -> None:
    """What was written is whole: the held gesture ends, the video can be played."""
    options: tuple[Any, ...] = ("--camera", "demo", "--view", "none", "--save", "seen.mp4")
    with start_py(*options, "--events", "-", "--log-frames", cwd=tmp_path) as process:
        try:
            before = events_until(process, "Open hand")
            process.send_signal(number)
            rest, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130 and said(err) == ["Stopped."]
    _, gestures, frames = parsed("".join(before) + rest)
    assert [line["kind"] for line in gestures] == ["start", "end"]
    assert starts(gestures) == ["Open hand"]
    assert [line["frame"] for line in frames] == list(range(len(frames)))
    # A frame may have been logged and not yet drawn when the signal came.
    assert len(frames) - 1 <= len(read_video(tmp_path / "seen.mp4")) <= len(frames)
    assert [path.name for path in tmp_path.iterdir()] == ["seen.mp4"]


@POSIX
@HAND
def test_a_reader_that_has_seen_enough(folder: Path, tmp_path: Path) -> None:
    with start_py(*short(folder), "--events", "-", "--log-frames", cwd=tmp_path) as process:
        with subprocess.Popen(
            ["head", "-1"], stdin=process.stdout, stdout=subprocess.PIPE, text=True
        ) as head:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            line, _ = head.communicate(timeout=60)
        err = process.stderr.read()
    assert json.loads(line)["type"] == "header"
    assert process.returncode == 0 and said(err) == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how full a pipe is")
@HAND
def test_stopped_while_nobody_reads_the_events(tmp_path: Path) -> None:
    """The session's thread is stuck in a write that can't be ended; the program still ends."""
    import fcntl
    import termios

    options = ("--camera", "demo", "--view", "none", "--events", "-", "--log-frames")
    with start_py(*options, cwd=tmp_path) as process:
        try:
            events_until(process, "Open hand")
            assert process.stdout is not None
            pipe, pause = process.stdout.fileno(), threading.Event()
            room = fcntl.fcntl(pipe, 1032)  # F_GETPIPE_SZ, which Python 3.10 knows by its name
            filled = 0
            while filled < room - 4096:  # a line is shorter
                assert process.poll() is None
                pause.wait(0.1)
                filled = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), "little")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 130
        finally:
            process.kill()
