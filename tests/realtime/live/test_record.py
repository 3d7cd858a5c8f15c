"""Recording through the command line, and what can be done with what was recorded."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.gallery.gallery import Gallery
from realtime.sources.video import Video
from tests.cli import (
    environment,
    events_until,
    fault,
    fine,
    hand_picture,
    main_py,
    run_py,
    said,
    start_py,
    teach,
    write_png,
    write_video,
)

pytestmark = pytest.mark.usefixtures("hand_model_path")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with L and Victory, for copying."""
    return teach(tmp_path_factory.mktemp("taught") / "gestures", "L", "Victory")


@pytest.fixture
def folder(taught: Path, tmp_path: Path) -> Path:
    """A working folder whose gestures/ has L and Victory."""
    shutil.copytree(taught, tmp_path / "gestures")
    return tmp_path


def record(folder: Path, label: str, picture: np.ndarray, *options: object) -> list[str]:
    """Record from a picture; → the lines said."""
    image = write_png(folder / "picture.png", picture)
    run = fine(main_py("record", label, "--image", image, *options, cwd=folder))
    assert run.stdout == ""
    return said(run)


def labels(folder: Path, name: str = "gestures") -> dict[str, int]:
    return Gallery(folder / name).labels()


def test_record_from_a_picture(tmp_path: Path) -> None:
    picture = hand_picture("Fist")
    assert record(tmp_path, "Fist", picture) == ["Recorded 'Fist' (1 reference) in gestures."]
    [reference] = Gallery(tmp_path / "gestures").references()
    (view,) = reference.views
    assert (reference.label, view.side) == ("Fist", "right") and view.score > 0.9
    assert record(tmp_path, "Fist", picture)[-1].startswith("Recorded 'Fist' (2 references)")
    assert record(tmp_path, "Fist", picture, "--replace")[-1].startswith(
        "Recorded 'Fist' (1 reference)"
    )
    assert labels(tmp_path) == {"Fist": 1}


SMALL = hand_picture("Open hand", scale=280)
CUT_OFF = hand_picture("Open hand", centre=(520, 372))[:, :560]
BLURRED = cv2.GaussianBlur(hand_picture("Open hand"), (0, 0), 6)


@pytest.mark.parametrize(
    ("picture", "complaint"),
    [
        (SMALL, "the hand is small"),
        (CUT_OFF, "the hand is cut off"),
        (BLURRED, "the picture is blurred"),
    ],
    ids=["small", "cut off", "blurred"],
)
def test_a_poor_picture_is_warned_about(
    tmp_path: Path, picture: np.ndarray, complaint: str
) -> None:
    *warnings, news = record(tmp_path, "Open hand", picture)
    assert len([line for line in warnings if line.startswith(f"warning: {complaint}")]) == 1
    assert news.startswith("Recorded") and labels(tmp_path) == {"Open hand": 1}


def test_a_near_twin_is_named(folder: Path) -> None:
    warning, _ = record(folder, "Peace", hand_picture("Victory", yaw=0.03))
    assert "this looks like your gesture 'Victory'" in warning
    assert labels(folder) == {"L": 1, "Peace": 1, "Victory": 1}
    # Another reference of the same gesture is no twin.
    [news] = record(folder, "L", hand_picture("L"))
    assert news.startswith("Recorded 'L' (2 references)")


def test_no_hand(folder: Path) -> None:
    wall = np.full((480, 640, 3), (186, 190, 178), np.uint8)
    image = write_png(folder / "wall.png", wall)
    sentence = fault(main_py("record", "Wall", "--image", image, cwd=folder))
    assert "No hand was found in" in sentence and "nothing was recorded" in sentence
    video = write_video(folder / "wall.avi", [wall] * 5, 15)
    sentence = fault(main_py("record", "Wall", "--camera", video, cwd=folder))
    assert "No hand was seen in wall.avi" in sentence
    assert labels(folder) == {"L": 1, "Victory": 1}


def test_record_from_a_video(tmp_path: Path) -> None:
    """The steadiest, sharpest frame of the first half second with a hand is taken."""
    picture = hand_picture("Rock")
    blurred = cv2.GaussianBlur(picture, (0, 0), 4)
    video = write_video(tmp_path / "rock.avi", [blurred] * 4 + [picture] * 4 + [blurred] * 4, 15)
    run = fine(main_py("record", "Rock", "--camera", video, cwd=tmp_path))
    assert said(run) == ["Recorded 'Rock' (1 reference) in gestures."]
    again = fine(main_py("record", " Rock ", "--camera", video, cwd=tmp_path))  # a blank is no name
    assert said(again)[-1] == "Recorded 'Rock' (2 references) in gestures."
    [reference, _] = Gallery(tmp_path / "gestures").references()
    assert (
        cv2.Laplacian(reference.views[0].picture, cv2.CV_64F).var()
        > 5 * cv2.Laplacian(blurred, cv2.CV_64F).var()
    )


def turn(before_s: float = 0.0, degrees: float = 20.0) -> Iterator[np.ndarray]:
    """A hand that is held for a while and half a second, then turned until two are over."""
    for i in range(round((before_s + 2.2) * 15)):
        share = min(max((i / 15 - before_s - 0.5) / 1.5, 0.0), 1.0)
        yield hand_picture("Rock", yaw=0.1 - np.radians(degrees) * share)


def test_record_several_views_from_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "turn.avi", turn(), 15)
    [news] = said(fine(main_py("record", "Rock", "--camera", video, cwd=tmp_path)))
    assert re.fullmatch(r"Recorded 'Rock' \(1 reference, [345] views\) in gestures\.", news)
    [news] = said(fine(main_py("record", "Rock", "--camera", video, "--keep", 1, cwd=tmp_path)))
    assert news == "Recorded 'Rock' (2 references) in gestures."
    [news] = said(fine(main_py("record", "Rock", "--camera", video, cwd=tmp_path)))
    assert re.fullmatch(r"Recorded 'Rock' \(3 references, this one with [345] views\) .*", news)
    listed = fine(main_py("gestures", "list", cwd=tmp_path)).stdout
    assert re.fullmatch(r"Rock\t3 references\t([7-9]|1[01]) views\n", listed)
    sentence = fault(main_py("record", "Rock", "--camera", video, "--keep", 6, cwd=tmp_path))
    assert "A recording keeps 1 to 5 views; got --keep 6." in sentence
    assert labels(tmp_path) == {"Rock": 3}


@pytest.mark.parametrize(
    ("keep", "degrees", "told", "news"),
    [
        (3, 20.0, True, r"Recorded 'Rock' \(1 reference, [23] views\) in .*"),
        (5, 0.0, True, r"Recorded 'Rock' \(1 reference, 1 view: turn your hand a little next .*"),
        (1, 20.0, False, r"Recorded 'Rock' \(1 reference\) in .*"),
    ],
)
def test_record_says_before_a_camera_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: int,
    degrees: float,
    told: bool,
    news: str,
) -> None:
    monkeypatch.setattr(Video, "live", True)  # no camera is to be had
    video = write_video(tmp_path / "turn.avi", turn(3.0, degrees), 15)
    run = fine(main_py("record", "Rock", "--camera", video, "--keep", keep, cwd=tmp_path))
    first, *rest, last = said(run)
    turning = ", then turn your hand a little" if told else ""
    assert first == f"Show 'Rock' and hold it{turning}."
    assert rest == ["3 …", "2 …", "1 …"] + ["Turn your hand a little …"] * told
    assert re.fullmatch(news, last), last


def test_a_left_hand_may_be_taught(tmp_path: Path) -> None:
    teach(tmp_path / "gestures", "L", side="left")
    [reference] = Gallery(tmp_path / "gestures").references()
    assert reference.views[0].side == "left"


def test_mirrored_pictures_are_turned_back(tmp_path: Path) -> None:
    record(tmp_path, "L", np.ascontiguousarray(hand_picture("L")[:, ::-1]), "--mirrored")
    [reference] = Gallery(tmp_path / "gestures").references()
    assert reference.views[0].side == "right"


def test_the_demo_records_only_where_told(folder: Path) -> None:
    sentence = fault(main_py("record", "Open hand", "--camera", "demo", cwd=folder))
    assert "--gallery DIR" in sentence
    assert labels(folder) == {"L": 1, "Victory": 1}
    run = main_py("record", "Mine", "--camera", "demo", "--gallery", "own", cwd=folder)
    assert said(fine(run)) == ["Recorded 'Mine' (1 reference) in own."]
    assert labels(folder, "own") == {"Mine": 1}


def test_gestures_commands(folder: Path) -> None:
    def gestures(*arguments: object) -> list[str]:
        return fine(main_py("gestures", *arguments, cwd=folder)).stdout.splitlines()

    one = "1 reference\t1 view"
    assert gestures("list") == [f"L\t{one}", f"Victory\t{one}"]
    assert gestures("rename", "L", "Letter ell") == []
    assert gestures("list") == [f"Letter ell\t{one}", f"Victory\t{one}"]
    assert gestures("export", "all.zip") == []
    assert gestures("delete", "Victory") == []
    assert gestures("list", "--gallery", "gestures") == [f"Letter ell\t{one}"]
    run = fine(main_py("gestures", "import", "all.zip", cwd=folder))
    assert said(run) == ["Imported 1 reference from all.zip."]
    assert gestures("list") == [f"Letter ell\t{one}", f"Victory\t{one}"]
    assert gestures("import", "all.zip", "--gallery", "other") == []
    assert gestures("list", "--gallery", "other") == [f"Letter ell\t{one}", f"Victory\t{one}"]
    run = fine(main_py("gestures", "list", "--gallery", "none", cwd=folder))
    assert run.stdout == "" and run.stderr.startswith("0 recorded gestures in none\n")
    assert "run.py record" in said(run)[0]
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["rename", "nobody", "somebody"], "nobody"),
        (["rename", "L", "Victory"], "already"),
        (["delete", "nobody"], "nobody"),
        (["import", "missing.zip"], "missing.zip"),
        (["export", "no/such/folder.zip"], "folder.zip"),
        (["export", "empty.zip", "--gallery", "nothing"], "nothing"),
    ],
)
def test_gestures_that_cannot_be_done(folder: Path, arguments: list[str], why: str) -> None:
    assert why in fault(main_py("gestures", *arguments, cwd=folder))
    assert labels(folder) == {"L": 1, "Victory": 1}


ODD = [
    "../../etc/passwd",
    "con",
    "👍🏽 yes!",
    "سلام",
    "a" * 300,
    "-dash",
    "  spaces  ",
    "tab\tin",
    "é",
]


def test_odd_labels(folder: Path) -> None:
    image = write_png(folder / "rock.png", hand_picture("Rock"))
    for label in ODD[:2]:
        fine(main_py("record", "--image", image, "--", label, cwd=folder))
    before = "L"
    for label in ODD[2:]:  # renaming takes the same road and is quicker
        fine(main_py("gestures", "rename", "--", before, label, cwd=folder))
        assert labels(folder) == {"Victory": 1, ODD[0]: 1, ODD[1]: 1, label: 1}
        before = label
    listed = main_py("gestures", "list", cwd=folder).stdout
    names = (ODD[0], "Victory", ODD[1], ODD[-1])
    assert listed == "".join(f"{name}\t1 reference\t1 view\n" for name in names)
    assert {p.name for p in folder.iterdir()} == {"gestures", "rock.png"}


@pytest.mark.parametrize(
    "options",
    [["--camera", "0"], ["--camera", "demo", "--keep", 5], ["--keep", 3], ["--fps", 15]],
    ids=lambda options: options[0],
)
def test_a_picture_is_no_camera(folder: Path, options: list[object]) -> None:
    image = write_png(folder / "rock.png", hand_picture("Rock"))
    sentence = fault(main_py("record", "Rock", "--image", image, *options, cwd=folder))
    assert all(str(word) in sentence for word in options if str(word).startswith("--"))
    fine(main_py("record", "Rock", "--image", image, "--keep", 1, cwd=folder))
    assert labels(folder) == {"L": 1, "Victory": 1, "Rock": 1}


STEERING = "red \x1b[31m\x07 \x9b2J\r\n\t \u202eevil\u2028."


def test_names_do_not_steer_the_terminal(folder: Path) -> None:
    """Escapes instead of control characters, in lists, news, errors and events."""
    shown = r"red \u001b[31m\u0007 \u009b2J\u000d\u000a\u0009 \u202eevil\u2028."
    image = write_png(folder / "rock.png", hand_picture("Rock"))
    fine(main_py("gestures", "rename", "L", STEERING, cwd=folder))
    listed = fine(main_py("gestures", "list", cwd=folder)).stdout
    assert listed == f"Victory\t1 reference\t1 view\n{shown}\t1 reference\t1 view\n"
    strange = folder / "a\x1b]0;b\x07 \x9b\u202e"
    fine(main_py("record", STEERING, "--image", image, "--gallery", strange, cwd=folder))
    options = (
        "--gallery",
        strange,
        "--view",
        "terminal",
        "--events",
        strange / "e",
        "--log-frames",
    )
    runs = [
        main_py("gestures", "list", "--gallery", strange, cwd=folder),
        main_py("gestures", "delete", f"{STEERING}!", "--gallery", strange, cwd=folder),
        main_py("record", "x", "--image", f"{STEERING}.png", cwd=folder),
        main_py("gestures", "import", f"{STEERING}.zip", cwd=folder),
        main_py("live", "--camera", image, *options, cwd=folder),
        main_py(f"{STEERING}", cwd=folder),
        main_py("gestures", "list", f"--{STEERING}", cwd=folder),
    ]
    assert [run.returncode for run in runs] == [0, 1, 1, 1, 0, 2, 2]
    events = (strange / "e").read_text("utf-8")
    assert json.loads(events.splitlines()[0])["gestures"] == [STEERING]
    for text in [events, *(text for run in runs for text in (run.stdout, run.stderr))]:
        assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2028"), ascii(text)


@pytest.mark.parametrize("label", ["", "   "])
def test_labels_without_anything_to_see(folder: Path, label: str) -> None:
    image = write_png(folder / "rock.png", hand_picture("Rock"))
    sentence = fault(main_py("record", label, "--image", image, cwd=folder))
    assert "at least one visible character" in sentence


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limits")
def test_a_full_disk(folder: Path) -> None:
    def small_files() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    image = write_png(folder / "rock.png", hand_picture("Rock"))
    run = run_py("record", "Rock", "--image", image, cwd=folder, preexec_fn=small_files)
    assert "nothing was recorded" in fault(run)
    assert labels(folder) == {"L": 1, "Victory": 1}
    assert {p.name for p in (folder / "gestures").iterdir()} <= {"L", "Victory", ".cache"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no Ctrl-C to one process alone")
def test_a_running_program_learns_what_another_records(folder: Path) -> None:
    hand = [hand_picture("Rock", centre=(315 + i, 372)) for i in range(6)]
    video = write_video(folder / "rock.mp4", (hand[abs(5 - i % 10)] for i in range(900)), 15)
    options = ("--camera", video, "--realtime", "--view", "none", "--events", "-", "--log-frames")
    with start_py(*options, cwd=folder, env=environment(PYTHONUNBUFFERED="1")) as live:
        assert live.stdout is not None
        try:
            for line in live.stdout:
                if json.loads(line).get("hands"):
                    break
            image = write_png(folder / "rock.png", hand[0])
            fine(run_py("record", "Rock", "--image", image, cwd=folder))
            before = events_until(live, "Rock")
            assert all(json.loads(line)["type"] == "frame" for line in before[:-1])
            live.send_signal(signal.SIGINT)
            live.communicate(timeout=60)
        finally:
            live.kill()
    assert live.returncode == 130
