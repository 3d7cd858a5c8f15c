"""Gesture events as JSON Lines: the format to the letter, and files that can't be written."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from realtime.live.events import EventFile
from realtime.live.state import State
from realtime.types import Frame, FrameResult, GestureEvent, Hand, Match, Square

STATE = State("gestures")
ROOT = Path(__file__).resolve().parents[3]
POSIX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
START = GestureEvent("start", "Thumb up", "right", 31, 1.0333333, 0.987654)
END = GestureEvent("end", "Thumb up", "right", 77, 2.5666667, 0.987654, 1.5333334)


def result(*events: GestureEvent, score: float = 0.98764) -> FrameResult:
    hand = Hand(
        box=np.array([212, 90.5, 401.24, 398], np.float32),
        landmarks=np.zeros((21, 3), np.float32),
        world_landmarks=np.zeros((21, 3), np.float32),
        side="left",
        score=0.9,
        crop=np.zeros((8, 8, 3), np.uint8),
        mirrored=True,
        track=3,
        square=Square(306.0, 244.0, 300.0, 0.0),
    )
    unknown = dataclasses.replace(hand, side="right")
    return FrameResult(
        frame=Frame(np.zeros((4, 4, 3), np.uint8), 31, 1.0333333),
        hands=(hand, unknown),
        matches=(Match("A", "A", score, 0.97, "S", 0.5), Match(None, "B", 0.5, 0.1, None, 1.0)),
        gestures=("A", None),
        events=events,
        timings_ms={"hands": 13.12345, "embed": 0.1},
    )


def strict(text: str) -> list[dict]:
    """Lines of JSON as every reader takes it: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.split("\n")[:-1]]


def read(path: Path) -> list[dict]:
    return strict(path.read_bytes().decode("utf-8"))


def test_the_lines_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with closing(EventFile(str(path), {"source": "demo", "fps": 30.0, "far": None})) as writer:
        writer.show(result(), STATE)
        writer.show(result(START), STATE)
        writer.show(result(END), STATE)
    assert path.read_bytes().decode("utf-8").split("\n") == [
        '{"type": "header", "version": 1, "source": "demo", "fps": 30.0, "far": null}',
        '{"type": "gesture", "kind": "start", "label": "Thumb up", "side": "right", "frame": 31, '
        '"time_s": 1.0333, "probability": 0.9877}',
        '{"type": "gesture", "kind": "end", "label": "Thumb up", "side": "right", "frame": 77, '
        '"time_s": 2.5667, "probability": 0.9877, "held_s": 1.5333}',
        "",
    ]


def test_boxes_of_a_large_photograph_are_in_its_own_pixels(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    photograph = dataclasses.replace(result().frame, scale=2.0)
    with closing(EventFile(str(path), {}, log_frames=True)) as writer:
        writer.show(dataclasses.replace(result(), frame=photograph), STATE)
    assert read(path)[1]["hands"][0]["box"] == [424.0, 181.0, 802.5, 796.0]


def test_frame_lines_come_before_their_events(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with closing(EventFile(str(path), {}, log_frames=True)) as writer:
        writer.show(result(START, END), STATE)
        writer.show(result(START, END), STATE)  # the last result repeats a frame
        later = dataclasses.replace(result().frame, index=32)
        empty = dataclasses.replace(result(), frame=later, hands=(), matches=(), gestures=())
        writer.show(empty, STATE)
    lines = read(path)
    assert [(x["type"], x.get("kind")) for x in lines] == [
        ("header", None),
        ("frame", None),
        ("gesture", "start"),
        ("gesture", "end"),
        ("gesture", "start"),
        ("gesture", "end"),
        ("frame", None),
    ]
    assert lines[1] == {
        "type": "frame",
        "frame": 31,
        "time_s": 1.0333,
        "hands": [
            {
                "side": "left",
                "box": [212.0, 90.5, 401.2, 398.0],
                "label": "A",
                "nearest": "A",
                "score": 0.9876,
                "probability": 0.97,
                "runner_up": "S",
            },
            {
                "side": "right",
                "box": [212.0, 90.5, 401.2, 398.0],
                "label": None,
                "nearest": "B",
                "score": 0.5,
                "probability": 0.1,
                "runner_up": None,
            },
        ],
        "timings_ms": {"hands": 13.123, "embed": 0.1},
    }
    assert list(lines[1]["hands"][0])[:4] == ["side", "box", "label", "nearest"]
    assert lines[6]["hands"] == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_becomes_null(tmp_path: Path, number: float) -> None:
    path = tmp_path / "e.jsonl"
    with closing(EventFile(str(path), {}, log_frames=True)) as writer:
        writer.show(result(dataclasses.replace(START, probability=number), score=number), STATE)
        with pytest.raises(ValueError, match="JSON"):
            EventFile(str(tmp_path / "h.jsonl"), {"fps": number})
    _, frame, event, end = read(path)
    assert frame["hands"][0]["score"] is None
    assert event["probability"] is None and end["probability"] is None


ODD = ['a"b\\c', "line\nbreak\r\u2028\u2029", "nul\0", "👍🏽", "é", "e\u0301", "سلام", "", "\x7f"]


@pytest.mark.parametrize("label", ODD)
def test_any_label_stays_on_its_line_and_comes_back(tmp_path: Path, label: str) -> None:
    path = tmp_path / "e.jsonl"
    with closing(EventFile(str(path), {"gestures": [label]})) as writer:
        writer.show(result(dataclasses.replace(START, label=label)), STATE)
    header, event, end = read(path)  # the end by the helper
    assert header["gestures"] == [label] and event["label"] == end["label"] == label
    assert path.read_bytes().count(b"\n") == 3 and b"\r" not in path.read_bytes()


def test_a_path_that_is_no_utf8_is_still_json(tmp_path: Path) -> None:
    source = os.fsdecode(b"caf\xe9.mp4") if os.name != "nt" else "caf\udce9.mp4"
    path = tmp_path / "e.jsonl"
    with closing(EventFile(str(path), {"source": source})):
        pass
    assert read(path)[0]["source"] == source


def test_every_line_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with closing(EventFile(str(path), {})) as writer:
        for n in range(1, 4):
            assert len(read(path)) == n
            writer.show(result(START), STATE)
        assert len(read(path)) == 4


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("old\n" * 1000)
    EventFile(str(path), {}).close()
    assert read(path) == [{"type": "header", "version": 1}]


def test_two_programs_do_not_write_one_file(tmp_path: Path) -> None:
    """The second one says so, and leaves the first one's lines alone; afterwards it may."""
    path = tmp_path / "events.jsonl"
    code = (
        "import sys\n"
        "from realtime.live.events import EventFile\n"
        "kept = EventFile(sys.argv[1], {'program': 'other'})\n"
        "print('written', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).resolve().parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "written\n"
        for _ in range(2):
            with pytest.raises(UserError, match="another program writes its events there"):
                EventFile(str(path), {"program": "mine"})
        assert [line["program"] for line in read(path)] == ["other"]
        other.communicate("")
    with closing(EventFile(str(path), {"program": "mine"})):
        assert [line["program"] for line in read(path)] == ["mine"]


def test_files_that_are_no_files_take_several(tmp_path: Path) -> None:
    with closing(EventFile(os.devnull, {})), closing(EventFile(os.devnull, {})):
        pass


def test_stdout_takes_lines_in_any_code_page_and_stays_open() -> None:
    code = (
        "import tests.realtime.live.test_events as t\n"
        "from realtime.live.events import EventFile\n"
        "EventFile('-', {'gestures': t.ODD}, True).show(t.result(t.START), t.STATE)\n"
        "print('still open')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    *lines, last, end = run.stdout.decode("ascii").splitlines()
    assert last == "still open"
    assert json.loads(end)["kind"] == "end"  # of a program that didn't close the file
    header, frame, event = strict("\n".join([*lines, ""]))
    assert header["gestures"] == ODD and frame["type"] == "frame" and event["kind"] == "start"


def test_files_that_cannot_be_opened_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "missing" / "e.jsonl", tmp_path / "file" / "e.jsonl"):
        with pytest.raises(UserError, match=r"--events can't write .*\(.+\)\."):
            EventFile(str(path), {})
    assert not (tmp_path / "missing").exists()


def test_an_end_without_a_start_is_not_written_and_every_other_one_is(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    other = dataclasses.replace(END, label="Fist")
    with closing(EventFile(str(path), {})) as writer:
        # Two right hands may hold the same gesture.
        for event in (END, START, START, other, END, END, END, START):
            writer.show(result(event), STATE)
    kinds = ["start", "start", "end", "end", "start", "end"]  # the last one by the helper
    assert [x["kind"] for x in read(path)[1:]] == kinds


@POSIX
def test_a_full_disk_is_told_at_the_first_line() -> None:
    with pytest.raises(UserError, match=r"can't write /dev/full \(No space left.*Make room"):
        EventFile("/dev/full", {})


@POSIX
def test_a_disk_that_fills_up_is_told_and_closing_adds_no_other_error(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with (
        pytest.raises(UserError, match=r"e.jsonl \(No space left on device\)\. Make room"),
        closing(EventFile(str(path), {})) as writer,
    ):
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._file.fileno())
        os.close(full)
        writer.show(result(START), STATE)
    assert len(read(path)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_reader_who_leaves_is_no_error_of_ours(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BrokenPipeError), closing(EventFile(str(pipe), {})) as writer:
        assert strict(os.read(reader, 1000).decode()) == [{"type": "header", "version": 1}]
        os.close(reader)
        writer.show(result(START), STATE)
