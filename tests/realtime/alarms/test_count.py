"""Which starts are false, what the figures count, and the file that keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.rates import hourly
from engines.errors import UserError
from realtime.alarms.count import Counted, FalseStart, Showing, sort_starts
from realtime.alarms.results import ALL, per_activity, per_gesture, read_films, write_films
from realtime.alarms.taught import RECORDED, pictures, teach
from realtime.drawn.activities import CURLED, FLAT, GRASP, RELAXED
from realtime.drawn.film import Stretch
from realtime.drawn.near_twins import is_near
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.types import GestureEvent
from tests.cli import fault, fine, main_py, performance, write_video
from tests.cli import teach as teach_pictures

STRETCHES = [
    Stretch("typing", None, 0.0, 4.0),
    Stretch("shown", "Victory", 4.0, 7.0),
    Stretch("shown", "L", 7.0, 10.0),
    Stretch("waving", None, 10.0, 15.0),
]
FILM = Counted(
    film=0,
    frames=480,
    frames_with_hand=400,
    seconds={"typing": 4.0, "waving": 5.0},
    false_starts=(FalseStart("waving", "L", 12.5, 0.75), FalseStart("waving", "OK", 15.2, 0.5)),
    showings=(
        Showing("Victory", ("Victory", "Three", "Victory"), 1.25),
        Showing("L", ("Three",), None),
    ),
    drawing_ms=10.0,
    recognising_ms=12.0,
)
RUN: dict[str, Any] = {"seed": 1, "gestures": ["L", "Victory"], "smoothing_s": (0.25, 0.4)}


def start(label: str, time_s: float, probability: float = 0.9) -> tuple[float, GestureEvent]:
    # An event's own time goes on from film to film.
    return time_s, GestureEvent("start", label, "right", 0, 1000.0 + time_s, probability)


def test_starts_are_false_unless_a_recorded_gesture_is_shown() -> None:
    starts = [
        start("Victory", 5.25),
        start("Three", 5.75),
        start("Victory", 6.5),
        start("Three", 7.0),  # the stretch begins with its first moment
        start("L", 12.5, 0.75),
        start("OK", 15.2, 0.5),  # the hand goes down after the last stretch
    ]
    false, showings = sort_starts(STRETCHES, starts)
    assert false == FILM.false_starts and showings == FILM.showings
    assert [showing.wrong for showing in showings] == [1, 1]
    nothing = (Showing("Victory", (), None), Showing("L", (), None))
    assert sort_starts(STRETCHES, []) == ((), nothing)


def test_figures_of_two_films() -> None:
    other = Counted(
        1, 10, 0, {"typing": 2.0, "waving": 4.0}, (), (Showing("L", ("L",), 0.5),), 1, 1
    )
    activities = per_activity([FILM, other])
    assert activities == {
        "typing": (0.1, 0, hourly(0, 6 / 3600)),
        "waving": (0.15, 2, hourly(2, 9 / 3600)),
        ALL: (0.25, 2, hourly(2, 15 / 3600)),
    }
    assert per_gesture([FILM, other]) == {
        "L": (2, 1, 1, 1, 0.5),
        "OK": (0, 0, 0, 1, None),
        "Victory": (1, 1, 1, 0, 1.25),
        ALL: (3, 2, 2, 2, 0.875),
    }


def test_films_are_kept_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert read_films(path, RUN) == [] and read_films(None, RUN) == []
    write_films(path, RUN, [FILM])
    assert read_films(path, RUN) == [FILM]
    kept = json.loads(path.read_text("utf-8"))
    assert kept["activities"]["all"]["false_starts"] == 2
    assert kept["gestures"]["Victory"]["started"] == 1
    for text in (None, "", "[]", '{"run": {}}', '{"films": []}'):
        if text is not None:
            path.write_text(text, "utf-8")
        with pytest.raises(UserError, match=r"figures.json holds figures of another run. Name"):
            read_films(path, RUN | {"seed": 2})


def test_no_pose_that_hands_hold_by_themselves_is_recorded() -> None:
    assert len(RECORDED) == 10
    for pose in (RELAXED, FLAT, GRASP, CURLED):
        assert not is_near(pose, RECORDED.values())
    for label, pose in RECORDED.items():
        assert not is_near(pose, [other for name, other in RECORDED.items() if name != label])


def test_one_person_teaches_each_gesture_in_several_views(tmp_path: Path) -> None:
    with Recognizer(Settings(gallery=str(tmp_path), keep=2), video=False) as recognizer:
        teach(recognizer, seed=0)
        references = recognizer.gallery.references()
        assert sorted(reference.label for reference in references) == sorted(RECORDED)
        assert [len(reference.views) for reference in references] == [2] * 10
        teach(recognizer, seed=1)  # a gallery that has gestures is left alone
        assert len(recognizer.gallery.references()) == 10
    assert (pictures("L", 0)[0] != pictures("L", 1)[0]).any() and len(pictures("L", 0)) == 5


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One film at ten frames a second, from the command line."""
    folder = tmp_path_factory.mktemp("figures")
    run = measure(folder)
    assert "false starts" in run.stdout and "waving" in run.stdout
    assert "1.1 of 0.2 minutes" in run.stderr
    return folder


def measure(folder: Path, *options: str) -> Any:
    command = ("false-alarms", "--minutes", "0.2", "--fps", "10", "--keep", "1", *options)
    return fine(main_py(*command, "--json", "figures.json", cwd=folder))


def test_drawn_films_are_measured(figures: Path) -> None:
    report = json.loads((figures / "figures.json").read_text("utf-8"))
    [film] = report["films"]
    assert film["frames_with_hand"] > 0.5 * film["frames"] > 300
    everything = report["gestures"]["all"]
    assert everything["shown"] == 5 and everything["started"] >= 3
    assert sum(film["seconds"].values()) == pytest.approx(
        60 * report["activities"]["all"]["minutes"]
    )
    assert report["run"]["gestures"] == sorted(RECORDED)


def test_a_run_that_is_done_measures_nothing_again(figures: Path) -> None:
    before = (figures / "figures.json").read_bytes()
    run = measure(figures)
    assert "minutes," not in run.stderr and "waving" in run.stdout
    assert (figures / "figures.json").read_bytes() == before


def test_another_run_leaves_the_figures_alone(figures: Path) -> None:
    command = ("false-alarms", "--seed", "7", "--keep", "1", "--json", "figures.json")
    assert "figures of another run" in fault(main_py(*command, cwd=figures))


def test_a_videos_starts_are_counted_once_and_without_a_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", performance(["Victory", "Open hand", "L"], 20, 0.9, 0.3), 20)
    teach_pictures(tmp_path / "gestures", "Victory", "L")
    command = ("false-alarms", "--camera", "v.avi", "--gallery", "gestures", "--json", "v.json")
    run = fine(main_py(*command, cwd=tmp_path))
    assert "2 starts" in run.stdout and "Victory: 1 (at " in run.stdout
    assert "No rate: it takes 30 minutes." in run.stdout and "an hour" not in run.stdout
    kept = json.loads((tmp_path / "v.json").read_text("utf-8"))
    assert [event["label"] for event in kept["starts"]] == ["Victory", "L"]
    assert kept["minutes"] == pytest.approx(kept["frames"] / 20 / 60)
    missing = fault(main_py("false-alarms", "--camera", "w.avi", cwd=tmp_path))
    assert "There is no video w.avi: --camera takes a video file, or drawn." in missing
