"""What a person gets to see beside the window: lines, pictures, a saved video."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.live.burst import Progress, Shot
from realtime.live.state import State
from realtime.text.draw import draw_ink
from realtime.types import Frame, FrameResult, GestureEvent, Hand, Match, Square
from realtime.views.canvas import Canvas
from realtime.views.overlay import (
    BAND,
    INK,
    PAPER,
    SEEN,
    STRIP,
    draw,
    draw_help,
    draw_prompt,
    make_strip,
    write,
)
from tests.cli import (
    ROOT,
    environment,
    fine,
    hand_picture,
    parsed,
    read_video,
    run_py,
    said,
    teach,
    write_video,
)

LINE = re.compile(
    r" +(\d+\.\d\d) s  (left |right)  (start|end  )  ([^ ].*?)(?: after (\d+\.\d) s)?"
)
STATE = State("gestures", far=0.01, fps=30.0, latency_ms=20.0)
EMPTY = make_strip(())
THUMBNAIL = np.full((50, 50, 3), 200, np.uint8)


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, hand_model_path: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder, and a run in it over a Victory and a wall: terminal, events and saved video."""
    folder = tmp_path_factory.mktemp("views")
    teach(folder / "gestures", "Victory")
    pictures = [hand_picture("Victory", centre=(310 + i, 372)) for i in range(14)]
    wall = np.full((480, 640, 3), 180, np.uint8)
    video = write_video(folder / "victory.avi", pictures + [wall] * 10, 15)
    options = ("--view", "terminal", "--events", "-", "--save", "seen.mp4")
    return folder, fine(run_py("--camera", video, *options, cwd=folder))


def test_terminal_view_without_a_terminal(
    seen: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """Plain lines on stderr: no colours, no table; stdout is the events' alone."""
    _, run = seen
    assert "\x1b" not in run.stderr
    _, gestures, frames = parsed(run.stdout)
    assert [line["kind"] for line in gestures] == ["start", "end"] and frames == []
    lines = said(run)
    assert run.stderr.splitlines()[0] == "1 recorded gesture in gestures"
    for line, event in zip(lines, gestures, strict=True):
        match = LINE.fullmatch(line)
        assert match is not None, line
        assert float(match[1]) == pytest.approx(event["time_s"], abs=0.0051)
        assert (match[2], match[3].rstrip(), match[4]) == ("right", event["kind"], "Victory")
        assert (match[5] is None) == (event["kind"] == "start")
    held = LINE.fullmatch(lines[1])
    assert held is not None and float(held[5]) == pytest.approx(gestures[1]["held_s"], abs=0.051)


def test_saved_video(seen: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Every frame as the window would show it: mirrored, above the strip of thumbnails."""
    folder, _ = seen
    pictures = read_video(folder / "seen.mp4")
    assert len(pictures) == 24
    assert {picture.shape for picture in pictures} == {(480 + STRIP, 640, 3)}
    plain = hand_picture("Victory", centre=(310, 372))[:, ::-1].astype(int)
    wall = np.s_[200:300, :80]  # neither hand nor text
    assert np.abs(pictures[0][wall] - plain[wall]).mean() < 4
    assert [path.name for path in folder.glob(".*.mp4")] == []


def a_result(hands: tuple[str, ...] = (), gesture: str | None = None) -> FrameResult:
    """A grey picture with hands of the given sides, all at its left edge."""
    image = np.full((480, 640, 3), 90, np.uint8)
    points = np.zeros((21, 3), np.float32)
    points[:, 0], points[:, 1] = np.linspace(60, 140, 21), np.linspace(200, 330, 21)
    box = np.array([60, 200, 140, 330], np.float32)
    crop = np.zeros((224, 224, 3), np.uint8)
    hand = Hand(box, points, points, "right", 0.9, crop, False, 0, Square(100.0, 265.0, 200.0, 0.0))
    match = Match(gesture, "Fist", 0.99, 0.93, None, 1.0)
    return FrameResult(
        Frame(image, 0, 0.0),
        tuple(dataclasses.replace(hand, side=side) for side in hands),
        (match,) * len(hands),
        (gesture,) * len(hands),
        (),
        {},
    )


def changed(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of where two pictures differ."""
    y, x = np.nonzero((a != b).any(axis=2))
    assert len(y), "nothing differs"
    return int(x.min()), int(y.min()), int(x.max()), int(y.max())


def test_the_hand_is_drawn_mirrored() -> None:
    result = a_result(("right",), "Fist")
    before = result.frame.image.copy()
    x0, y0, x1, y1 = changed(draw(result, STATE, EMPTY), draw(a_result(), STATE, EMPTY))
    assert x0 >= 640 - 1 - 140 - 8 and x1 <= 639  # joints at 60…140 of 640, title above them
    assert 130 < y0 < 200 and 326 <= y1 <= 336
    assert np.array_equal(result.frame.image, before)  # whoever else has the frame sees it clean


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (a_result(("right",), "Fist"), a_result(("right",), "Rock")),
        (a_result(("right",), "Fist"), a_result(("right",))),
        (a_result(("right",), "Fist"), a_result(("left",), "Fist")),
        (a_result(("right",), "手"), a_result(("right",), "足")),
    ],
    ids=["another gesture", "unknown", "another side", "another script"],
)
def test_titles_differ(one: FrameResult, other: FrameResult) -> None:
    x0, y0, _, y1 = changed(draw(one, STATE, EMPTY), draw(other, STATE, EMPTY))
    assert x0 > 320 and 130 < y0
    if one.gestures[0] is not None and other.gestures[0] is not None:
        assert y1 < 200  # only the title above the hand


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"fps": 12.0}, (0, 26)),
        ({"far": None}, (0, 26)),
        ({"message": "Recorded Fist."}, (450, 480)),
        ({"countdown": 3}, (160, 320)),
        ({"paused": True}, (200, 280)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_state_shows(change: dict[str, object], rows: tuple[int, int]) -> None:
    other = dataclasses.replace(STATE, **change)  # type: ignore[arg-type]
    _, y0, _, y1 = changed(draw(a_result(), STATE, EMPTY), draw(a_result(), other, EMPTY))
    assert rows[0] <= y0 and y1 < rows[1]


def test_recorded_gestures_show_below() -> None:
    strip = make_strip([("Fist", THUMBNAIL)])
    _, y0, _, y1 = changed(draw(a_result(), STATE, EMPTY), draw(a_result(), STATE, strip))
    assert 480 <= y0 and y1 < 480 + STRIP


def test_help_shows() -> None:
    canvas = draw(a_result(), STATE, EMPTY)
    before = canvas.copy()
    draw_help(canvas)
    _, y0, _, y1 = changed(before, canvas)
    assert 120 <= y0 and y1 < 360


def shots(*colours: tuple[int, int, int]) -> list[Shot]:
    """A shot each, all of one colour, BGR."""
    (hand,) = a_result(("right",)).hands
    images = [np.full((120, 160, 3), colour, np.uint8) for colour in colours]
    return [Shot(Frame(image, 0, 0.0), hand) for image in images]


def test_the_prompt_shows_the_shot_and_what_is_typed() -> None:
    def prompted(text: str) -> np.ndarray:
        canvas = draw(a_result(), STATE, EMPTY)
        draw_prompt(canvas, shots((255, 255, 255)), text)
        return canvas

    assert prompted("").shape == (480 + STRIP, 640, 3)
    assert (prompted("")[60:150, 20:100] == 255).all()
    changed(prompted("Two"), prompted("Two W"))


def test_the_prompt_shows_all_views_the_first_one_larger() -> None:
    canvas = draw(a_result(), STATE, EMPTY)
    colours = [(0, 40 * i, 250) for i in range(5)]
    draw_prompt(canvas, shots(*colours), "")
    boxes = []
    for colour in colours:
        shown = (canvas == colour).all(axis=2, keepdims=True)
        boxes.append(changed(shown, np.zeros_like(shown)))
    widths = [x1 - x0 + 1 for x0, _, x1, _ in boxes]
    assert widths == [128, 96, 96, 96, 96]
    assert all(a[2] < b[0] for a, b in itertools.pairwise(boxes)) and boxes[-1][2] < 640


def test_the_window_says_what_to_do() -> None:
    """Hold, then turn; how much of the time is over, and how many views there are."""

    def told(progress: Progress) -> np.ndarray:
        state = dataclasses.replace(STATE, countdown=0, progress=progress)
        return draw(a_result(), state, EMPTY)

    plain = draw(a_result(), STATE, EMPTY)
    hold, turn, more = (told(Progress(*p)) for p in ((0.1, 0, 5), (0.6, 2, 5), (0.6, 3, 5)))
    for shown in (hold, turn, more):
        _, y0, _, y1 = changed(plain, shown)
        assert 480 - BAND <= y0 and y1 < 480  # below most hands
    for shown, words in (
        (hold, ["hold still", "then turn your hand a little"]),
        (turn, ["turn your hand a little", "2 of 5 views"]),
        (more, ["turn your hand a little", "3 of 5 views"]),
    ):
        for text, size, colour in zip(words, (32, 16), (SEEN, INK), strict=True):
            assert likeness(shown, text, size, colour) > 0.95
    assert likeness(hold, "turn your hand a little", 32, SEEN) < 0.8
    x0, y0, x1, y1 = changed(turn, told(Progress(0.8, 2, 5)))
    assert 320 < x0 and x1 < 480 and y1 - y0 < 10  # the bar alone has grown


def likeness(shown: np.ndarray, text: str, size: int, colour: tuple[int, int, int]) -> float:
    """How surely a text stands somewhere in a picture: about 1 where it does."""
    canvas = np.zeros((2 * size, 640, 3), np.uint8)
    write(canvas, text, (4, size + 6), size, colour)
    x, y, width, height = cv2.boundingRect(canvas.max(axis=2))
    ink = canvas[y : y + height, x : x + width]
    return float(cv2.matchTemplate(shown, ink, cv2.TM_CCOEFF_NORMED).max())


@pytest.mark.parametrize("at", [(20, 40), (-9, 12), (290, 50), (20, 75), (20, 200), (400, 40)])
def test_text_is_an_edge_and_letters_over_the_picture(at: tuple[int, int]) -> None:
    """Against the plain formula, pixel by pixel, also where it leaves the canvas."""
    canvas = np.random.default_rng(1).integers(0, 256, (60, 320, 3), np.uint8)
    expected = canvas.astype(float)
    ink = draw_ink("Yé 7", 20)
    for shift, colour in ((1, PAPER), (0, SEEN)):
        for row, column in np.argwhere(ink.cover):
            y, x = at[1] - ink.above + row + shift, at[0] + column + shift
            if 0 <= y < 60 and 0 <= x < 320:
                share = ink.cover[row, column]
                expected[y, x] += share * (np.array(colour) - expected[y, x])
    write(canvas, "Yé 7", at, 20, SEEN)
    assert np.abs(canvas - expected).max() <= 2.5


def test_a_moment_is_drawn_once_and_a_reference_read_once() -> None:
    read: list[str] = []

    def pictures(ids: Collection[str]) -> dict[str, np.ndarray]:
        read.extend(ids)
        return {id: THUMBNAIL for id in ids if id != "gone"}

    canvas, result = Canvas(pictures), a_result()
    one = dataclasses.replace(STATE, references=(("A", "1"), ("B", "gone")))
    drawn = canvas.draw(result, one)
    assert canvas.draw(result, one) is drawn and read == ["1", "gone"]
    two = dataclasses.replace(one, references=(*one.references, ("C", "2")))
    changed(drawn, canvas.draw(result, two))
    assert read == ["1", "gone", "gone", "2"]
    many = tuple((f"gesture {i}", f"many {i}") for i in range(300))
    canvas.draw(result, dataclasses.replace(one, references=many))
    assert len(read) < 4 + 20  # only what there is room for


def test_version_and_help(tmp_path: Path) -> None:
    run = fine(run_py("--version", cwd=tmp_path))
    assert re.fullmatch(r"one-shot-gestures \d+\.\d+\.\d+\n", run.stdout)
    text = fine(run_py("--help", cwd=tmp_path)).stdout
    for command in ("live", "record", "gestures", "embed", "evaluate", "calibrate", "doctor"):
        assert re.search(rf"^    {command}\s", text, re.M)
        assert "usage: run.py" in fine(run_py(command, "--help", cwd=tmp_path)).stdout


@pytest.mark.parametrize("name", [["live"], []])
def test_the_main_command_needs_no_name(
    seen: tuple[Path, subprocess.CompletedProcess[str]], name: list[str]
) -> None:
    options = ("--camera", "victory.avi", "--view", "none", "--events", "-", "--log-frames")
    run = run_py(*name, *options, "--max-frames", 2, cwd=seen[0])
    _, _, frames = parsed(fine(run).stdout)
    assert len(frames) == 2


def test_no_frames_wanted(
    seen: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    options = ("--view", "none", "--max-frames", 0, "--events", "-", "--save", "none.mp4")
    run = fine(run_py("--camera", seen[0] / "victory.avi", *options, cwd=tmp_path))
    assert len(run.stdout.splitlines()) == 1 and list(tmp_path.iterdir()) == []


def library_example() -> str:
    """The first Python block of README.md below a heading that speaks of a library."""
    _, _, section = re.split(
        r"^(#+ .*library.*)$",
        (ROOT / "README.md").read_text("utf-8"),
        maxsplit=1,
        flags=re.M | re.I,
    )
    block = re.search(r"^```python\n(.*?)^```", section, re.M | re.S)
    assert block is not None
    return block[1]


def test_the_library_example_runs(tmp_path: Path, hand_model_path: Path) -> None:
    env = environment(PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-c", library_example()]
    run = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert "Open hand" in run.stdout and list(tmp_path.iterdir()) == []


def test_recognize_ends_what_is_held(tmp_path: Path, hand_model_path: Path) -> None:
    from realtime import recognize

    gallery = teach(tmp_path / "gestures", "Victory")
    video = write_video(tmp_path / "v.avi", [hand_picture("Victory")] * 10, 15)
    results = list(recognize(str(video), gallery=str(gallery)))
    assert len(results) == 11
    events: list[GestureEvent] = [event for result in results for event in result.events]
    assert [(event.kind, event.label) for event in events] == [
        ("start", "Victory"),
        ("end", "Victory"),
    ]
    assert results[-1].events == (events[-1],) and results[-1].hands == ()
