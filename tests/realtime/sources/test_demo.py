"""Whole runs over drawn hands: what is recognised, what is not, and whose hand it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.gallery.gallery import Gallery
from realtime.sources.demo import CHANGE, DEMO_GESTURES, HOLD, demo_image, demo_label
from tests.cli import (
    fine,
    hand_picture,
    parsed,
    performance,
    run_py,
    starts,
    teach,
    write_png,
    write_video,
)

pytestmark = pytest.mark.usefixtures("hand_model_path")

FRAMES = 300
Lines = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]


def recognised(camera: object, cwd: Path, *options: object) -> Lines:
    run = run_py(
        "--camera", camera, "--view", "none", "--events", "-", "--log-frames", *options, cwd=cwd
    )
    return parsed(fine(run).stdout)


def label_near(frame: int) -> set[str | None]:
    """What the demo shows at a frame or showed a moment before."""
    return {demo_label(i) for i in range(max(frame - CHANGE, 0), frame + 1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Lines:
    return recognised("demo", folder, "--max-frames", FRAMES)


@pytest.fixture(scope="module")
def gallery(folder: Path) -> Path:
    """The gestures of the demo's teacher."""
    gallery = folder / "taught"
    run_py(
        "--camera", "demo", "--view", "none", "--gallery", gallery, "--max-frames", 0, cwd=folder
    )
    return gallery


def test_the_demo_is_recognised(demo: Lines) -> None:
    header, gestures, _ = demo
    assert header["source"] == "demo" and header["fps"] == 30
    assert header["gestures"] == sorted(DEMO_GESTURES)
    started = [line for line in gestures if line["kind"] == "start"]
    assert len({line["label"] for line in started}) >= 6
    for line in started:
        assert line["label"] in label_near(line["frame"]), line
        assert line["time_s"] == pytest.approx(line["frame"] / 30, abs=1e-4)
        assert 0.5 < line["probability"] <= 1


def test_every_gesture_of_the_demo_ends(demo: Lines) -> None:
    _, gestures, _ = demo
    held: dict[str, Any] | None = None
    for line in gestures:
        if line["kind"] == "start":
            assert held is None
            held = line
        else:
            assert held is not None and line["label"] == held["label"]
            assert line["held_s"] == pytest.approx(line["time_s"] - held["time_s"], abs=2e-4)
            held = None
    assert held is None  # what is held when the demo stops is ended too


def test_the_hand_is_found_and_is_the_right_one(demo: Lines) -> None:
    _, gestures, frames = demo
    assert [line["frame"] for line in frames] == list(range(FRAMES))
    seen = [line for line in frames if line["hands"]]
    assert len(seen) >= 0.95 * FRAMES
    assert {hand["side"] for line in seen for hand in line["hands"]} == {"right"}
    assert {line["side"] for line in gestures} == {"right"}
    assert all(set(line["timings_ms"]) == {"hands", "embed", "match"} for line in frames)


def test_the_demo_leaves_nothing_behind(demo: Lines, folder: Path) -> None:
    assert not (folder / "gestures").exists()


def test_a_mirrored_source(folder: Path, gallery: Path) -> None:
    video = folder / "mirrored.avi"
    write_video(video, (np.ascontiguousarray(demo_image(i)[:, ::-1]) for i in range(HOLD)), 30)
    _, gestures, frames = recognised(video, folder, "--gallery", gallery, "--mirrored")
    assert starts(gestures) == [demo_label(0)]
    assert {hand["side"] for line in frames for hand in line["hands"]} == {"right"}
    _, _, frames = recognised(video, folder, "--gallery", gallery)
    assert {hand["side"] for line in frames for hand in line["hands"]} == {"left"}


@pytest.fixture(scope="module")
def left_hand(folder: Path) -> Path:
    pictures = (
        hand_picture("L", "left", centre=(310 + i / 2, 372), yaw=0.1 - i / 400) for i in range(36)
    )
    return write_video(folder / "left.avi", pictures, 30)


def test_the_other_hand_performs_what_one_has_shown(
    folder: Path, gallery: Path, left_hand: Path
) -> None:
    _, gestures, frames = recognised(left_hand, folder, "--gallery", gallery)
    assert [(line["kind"], line["label"], line["side"]) for line in gestures] == [
        ("start", "L", "left"),
        ("end", "L", "left"),
    ]
    assert sum(len(line["hands"]) for line in frames) == 36


def test_hands_kept_apart(folder: Path, gallery: Path, left_hand: Path) -> None:
    _, gestures, frames = recognised(left_hand, folder, "--gallery", gallery, "--no-mirror-hands")
    assert gestures == []
    hands = [hand for line in frames for hand in line["hands"]]
    assert len(hands) == 36 and {(hand["side"], hand["label"]) for hand in hands} == {
        ("left", None)
    }


def test_a_deleted_gesture_is_unknown(folder: Path) -> None:
    gallery = folder / "without"
    options = ("--gallery", gallery)
    fine(run_py("--camera", "demo", "--view", "none", *options, "--max-frames", 0, cwd=folder))
    fine(run_py("gestures", "delete", "Fist", *options, cwd=folder))
    last = 3 * (HOLD + CHANGE)  # "Fist" is the third
    header, gestures, frames = recognised("demo", folder, *options, "--max-frames", last)
    assert set(header["gestures"]) == set(DEMO_GESTURES) - {"Fist"}
    assert starts(gestures) == ["Open hand", "Victory"]
    held = [line for line in frames if demo_label(line["frame"]) == "Fist"]
    hands = [hand for line in held for hand in line["hands"]]
    assert len(held) == HOLD and len(hands) >= 0.95 * HOLD
    assert {hand["label"] for hand in hands} == {None}


def both(larger: str) -> np.ndarray:
    """A right hand's Victory on the picture's left, a left hand's L beside it."""
    scales = {"left": 1250.0, "right": 1250.0, larger: 1700.0}
    right = hand_picture("Victory", "right", scale=scales["right"])
    left = hand_picture("L", "left", scale=scales["left"])
    return np.hstack([right, left])


def test_two_hands_at_once(folder: Path) -> None:
    gallery = teach(teach(folder / "hands", "Victory"), "L", side="left")
    video = write_video(folder / "both.avi", [both("left")] * 12, 15)
    _, gestures, frames = recognised(video, folder, "--gallery", gallery)
    assert {(line["label"], line["side"]) for line in gestures} == {
        ("Victory", "right"),
        ("L", "left"),
    }
    later = [line["hands"] for line in frames[3:]]
    assert {tuple(hand["side"] for hand in hands) for hands in later} == {("left", "right")}
    _, _, frames = recognised(video, folder, "--gallery", gallery, "--hands", 1)
    assert {len(line["hands"]) for line in frames[3:]} == {1}


@pytest.mark.parametrize("larger", ["left", "right"])
def test_of_two_hands_the_larger_is_recorded(folder: Path, larger: str) -> None:
    picture = write_png(folder / f"{larger}.png", both(larger))
    gallery = folder / f"larger {larger}"
    fine(run_py("record", "it", "--image", picture, "--gallery", gallery, cwd=folder))
    [reference] = Gallery(gallery).references()
    assert reference.views[0].side == larger


@pytest.mark.slow
def test_any_frame_rate(folder: Path) -> None:
    gallery = teach(folder / "two", "Open hand", "Victory")
    found = {}
    for fps in (15, 60):
        video = write_video(folder / f"{fps}.avi", performance(["Open hand", "Victory"], fps), fps)
        header, gestures, frames = recognised(video, folder, "--gallery", gallery)
        assert header["fps"] == fps and len(frames) == round(2.1 * fps)
        found[fps] = [line for line in gestures if line["kind"] == "start"]
        assert starts(gestures) == ["Open hand", "Victory"]
    for slow, fast in zip(found[15], found[60], strict=True):
        assert slow["time_s"] == pytest.approx(fast["time_s"], abs=1 / 15)
