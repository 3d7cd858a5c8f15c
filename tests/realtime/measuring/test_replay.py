"""`run.py replay`: a drawn video whose gestures are labelled, and what its figures count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.errors import UserError
from realtime.measuring.replay import Recognised, Segment, figures, read_segments, replay
from realtime.settings import Settings
from tests.cli import fault, fine, main_py, performance, write_png, write_video

GESTURES = ["Open hand", "Victory", "Thumb up"]
FPS, HOLD_S, CHANGE_S = 20.0, 0.9, 0.3
SEGMENTS = [Segment("A", 0, 9), Segment("B", 10, 19), Segment("A", 20, 29)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three gestures, and where each is."""
    folder = tmp_path_factory.mktemp("replay")
    write_video(folder / "v.avi", performance(GESTURES, FPS, HOLD_S, CHANGE_S), FPS)
    turn = round((HOLD_S + CHANGE_S) * FPS)
    rows = [
        {"label": name, "first_frame": turn * i, "last_frame": turn * i + round(HOLD_S * FPS) - 1}
        for i, name in enumerate(GESTURES)
    ]
    (folder / "v.json").write_text(json.dumps({"segments": rows, "signer": "drawn"}))
    return folder


@pytest.mark.usefixtures("hand_model_path")
def test_a_labelled_video(folder: Path) -> None:
    run = fine(main_py("replay", "v.avi", "v.json", "--leave-out", "Thumb up", cwd=folder))
    found = json.loads(run.stdout)
    assert found["encoder"] == "default" and found["frames"] == found["frames_with_hand"] == 54
    assert found["nearest_right"] > 0.9 and found["segments_exact"] == "3 of 3"
    assert found["wrong_starts"] == [] and found["unknown_share_of_left_out"]["Thumb up"] > 0.9
    assert sorted(path.name for path in folder.iterdir()) == ["v.avi", "v.json"]


@pytest.mark.usefixtures("hand_model_path")
def test_a_video_that_is_over_before_a_gesture_comes(folder: Path) -> None:
    segments = [*read_segments(folder / "v.json"), Segment("Late", 1000, 1020)]
    with pytest.raises(UserError, match=r"v.avi doesn't show Late, so there is nothing to enrol"):
        replay(Settings(camera=str(folder / "v.avi")), segments)


def test_labels_that_no_reference_shows_are_told(folder: Path, tmp_path: Path, capsys) -> None:
    picture = next(performance(["Victory"], FPS))
    write_png(tmp_path / "shown" / "Victory" / "0.png", picture)
    settings, segments = Settings(camera=str(folder / "v.avi")), read_segments(folder / "v.json")
    found = replay(settings, segments, references=tmp_path / "shown")
    assert found["segments_exact"] == "1 of 3"
    said = " ".join(capsys.readouterr().err.split())
    assert "shown doesn't show Open hand, Thumb up: not enrolled" in said


@pytest.mark.usefixtures("hand_model_path")
def test_references_without_a_hand(folder: Path, tmp_path: Path) -> None:
    picture = next(performance(["Fist"], FPS)) * 0 + 90
    write_png(tmp_path / "walls" / "Victory" / "0.png", picture)
    settings, segments = Settings(camera=str(folder / "v.avi")), read_segments(folder / "v.json")
    with pytest.raises(UserError, match="No hand is found in the reference of Victory"):
        replay(settings, segments, references=tmp_path / "walls")
    with pytest.raises(UserError, match="walls doesn't show Open hand, Thumb up, so there is"):
        replay(settings, segments, ["Victory"], references=tmp_path / "walls")


def test_what_figures_count() -> None:
    """A starts in its first segment, then once too often; B, which is left out, starts as A."""
    recognised = Recognised(
        starts=[(2, "A"), (12, "A"), (21, "A"), (25, "A")],
        hands=[(0, "A", None), (1, "A", "A"), (15, "A", "A"), (16, "A", None), (22, "C", None)],
        frames=40,
        seconds=2.0,
    )
    assert figures(SEGMENTS, ["B"], recognised) == {
        "frames": 30,
        "frames_with_hand": 5,
        "nearest_right": round(2 / 3, 4),
        "segments_exact": "1 of 3",
        "wrong_starts": [("B", "A")],
        "segments_not_exact": [("B", ["A"]), ("A", ["A", "A"])],
        "unknown_share_of_left_out": {"B": 0.5},
        "frames_per_second": 20.0,
    }
    assert figures(SEGMENTS, ["A", "B"], recognised)["nearest_right"] is None


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "[]",
        "{}",
        '{"segments": []}',
        '{"segments": [{"label": "A", "first_frame": 3}]}',
        '{"segments": [{"label": "A", "first_frame": 3, "last_frame": 2}]}',
        '{"segments": [{"label": "A", "first_frame": "x", "last_frame": 2}]}',
    ],
)
def test_files_that_hold_no_segments(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UserError, match=r"s.json holds no labelled segments .*\"first_frame\": 0"):
        read_segments(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no.avi", "v.json"], "There is no video no.avi"),
        (["v.avi", "no.json"], r"no.json can't be read (No such file or directory)"),
        (["v.avi", "v.json", "--leave-out", "Fist"], "No segment shows Fist"),
        (["v.avi", "v.json", "--references", "none"], "none"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, words: list[str], sentence: str) -> None:
    assert sentence in fault(main_py("replay", *words, cwd=folder))
