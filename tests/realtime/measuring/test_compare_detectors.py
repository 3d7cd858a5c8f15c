"""`run.py compare-detectors`: its figures against slow ones, then both detectors on drawn hands."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime.drawn.hand import project
from realtime.drawn.pose import HandPose, joints
from realtime.hands.geometry import upright_square
from realtime.measuring.agreement import agreement, comebacks
from realtime.measuring.appearances import (
    BOTH_S,
    MOST_TRIALS,
    PLAIN_S,
    Delay,
    choose_trials,
    try_all,
)
from realtime.measuring.side_by_side import Pair, Seen, match_hands, watch
from realtime.types import Detection, Frame, Hand, Square
from realtime.views.contact_sheet import CAPTION, COLUMNS, WIDTH, ContactSheet
from tests.cli import fine, hand_picture, main_py, performance, write_png, write_video

POINTS = np.column_stack([project(joints(HandPose())), np.zeros(21)]).astype(np.float32)


def hand_at(x: float, y: float, side: str = "right", track: int = 0, scale: float = 0.2) -> Hand:
    """An open hand whose wrist is there."""
    landmarks = (POINTS - POINTS[0]) * scale + np.array([x, y, 0], np.float32)
    nothing = np.zeros((1, 1, 3), np.uint8)
    square = Square(0, 0, 1, 0)
    return Hand(np.zeros(4), landmarks, landmarks, side, 1.0, nothing, False, track, square)


class Scripted:
    """Finds what a function of the frame says."""

    engine = "none"
    skip_still = False
    stages_ms: dict[str, float] = {}

    def __init__(self, script) -> None:
        self.detect = script

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        raise AssertionError("only videos are watched here")

    def close(self) -> None: ...

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None: ...


def frames(count: int) -> list[Frame]:
    return [Frame(np.zeros((4, 4, 3), np.uint8), i, i / 30) for i in range(count)]


def test_hands_are_matched_nearest_first() -> None:
    ours = [hand_at(100, 300), hand_at(108, 300), hand_at(900, 300)]
    theirs = [hand_at(110, 300), hand_at(400, 300)]
    assert match_hands(ours, theirs) == [(1, 0)]
    assert match_hands([], theirs) == [] == match_hands(ours, [])


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5])
def test_landmarks_are_compared_as_the_hand_is_held_upright(angle: float) -> None:
    """Ours are 3 % of the square's width to the hand's right and 1 % down, however it is turned."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    theirs, ours = hand_at(300, 300), hand_at(300, 300, "left")
    theirs.landmarks[:, :2] = (theirs.landmarks[:, :2] - 300) @ turn + 300
    width = upright_square(theirs.landmarks).width
    base = upright_square(hand_at(300, 300).landmarks).angle
    own = np.array([[np.cos(base), np.sin(base)], [-np.sin(base), np.cos(base)]])
    shift = np.array([0.03, 0.01]) * width @ own @ turn
    ours.landmarks[:] = theirs.landmarks
    ours.landmarks[:, :2] += shift
    (seen,) = watch(frames(1), Scripted(lambda f: [ours]), Scripted(lambda f: [theirs]))
    (pair,) = seen.pairs
    assert np.allclose(pair.away, (0.03, 0.01), atol=1e-5)
    assert pair.side == "right" and not pair.same_side and not pair.tracked


def test_a_pair_is_tracked_where_both_had_it_before() -> None:
    tracks = [(0, 0), (0, 0), (1, 0), (1, 0), None, (1, 0)]

    def script(which: int):
        def detect(frame: Frame) -> list[Hand]:
            row = tracks[frame.index]
            return [] if row is None else [hand_at(300, 300, track=row[which])]

        return Scripted(detect)

    seen = list(watch(frames(6), script(0), script(1)))
    tracked = [[pair.tracked for pair in each.pairs] for each in seen]
    assert tracked == [[False], [True], [False], [True], [], [False]]
    assert [each.block for each in seen] == ["0"] * 6 and seen[3].name == "3"


def test_what_they_disagree_on() -> None:
    shown: list[str] = []
    cases: list[tuple[list[Hand], list[Hand]]] = [
        ([hand_at(300, 300)], [hand_at(300, 300)]),
        ([], [hand_at(300, 300)]),
        ([hand_at(100, 300)], [hand_at(500, 300)]),
        ([hand_at(300, 300)], [hand_at(300, 300, "left")]),
        ([hand_at(300, 300)], [hand_at(300, 306)]),
    ]
    list(
        watch(
            frames(len(cases)),
            Scripted(lambda f: cases[f.index][0]),
            Scripted(lambda f: cases[f.index][1]),
            lambda image, ours, theirs, caption: shown.append(caption),
        )
    )
    far = upright_square(cases[4][1][0].landmarks).width
    assert shown == [
        "1  hands: 0 | 1",
        "2  hands in other places",
        "3  another side",
        f"4  landmarks {6 / far:.0%} apart",
    ]


def test_comebacks_are_counted_from_where_either_finds_a_hand() -> None:
    ours_found = [1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0]
    theirs_too = [1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0]
    found = comebacks(np.array(ours_found) > 0, np.array(theirs_too) > 0)
    assert found == [Delay(2, 0, 4), Delay(0, None, 1), Delay(1, 0, 3)]
    nothing = np.zeros(5, bool)
    assert comebacks(nothing, nothing) == [] == comebacks(~nothing, ~nothing)


def random_seen(seed: int, count: int = 120) -> list[Seen]:
    rng = np.random.default_rng(seed)
    seen = []
    for i in range(count):
        theirs = int(rng.integers(0, 3))
        ours = theirs if rng.random() < 0.9 else int(rng.integers(0, 3))
        pairs = tuple(
            Pair(
                ("left", "right")[j],
                bool(rng.random() < 0.95),
                rng.normal((0.002, -0.001), 0.01 * (1 + i // 30), (21, 2)),
                bool(rng.random() < 0.8),
            )
            for j in range(min(ours, theirs))
        )
        seen.append(Seen(str(i), str(i // 10), ours, theirs, pairs))
    return seen


def slowly(rows: Sequence[tuple[str, object]], statistic) -> tuple[float, float, float]:
    """A cluster bootstrap that copies the rows of drawn blocks."""
    by_block = {block: [v for b, v in rows if b == block] for block, _ in rows}
    chance, blocks = random.Random(0), sorted(by_block)
    drawn = sorted(
        statistic([v for b in chance.choices(blocks, k=len(blocks)) for v in by_block[b]])
        for _ in range(600)
    )
    return statistic([v for _, v in rows]), drawn[15], drawn[584]


def test_figures_are_those_of_a_slow_bootstrap() -> None:
    seen = random_seen(1)
    made = agreement("random", seen, 30.0)
    assert made.frames == 120 and made.ours == sum(s.ours > 0 for s in seen)
    assert made.only_theirs == sum(s.theirs > 0 and s.ours == 0 for s in seen)

    def mean(values) -> float:
        return float(np.mean(values))

    found: list[tuple[Any, list[tuple[str, Any]], Callable[[Any], float]]] = [
        (made.same_frames, [(s.block, (s.ours > 0) == (s.theirs > 0)) for s in seen], mean),
        (made.same_count, [(s.block, s.ours == s.theirs) for s in seen], mean),
    ]
    for side, wanted in (("all", ("left", "right")), ("left", ("left",)), ("right", ("right",))):
        landmarks = made.landmarks[side]
        pairs = [(s.block, pair) for s in seen for pair in s.pairs if pair.side in wanted]
        tracked = [(block, pair.away) for block, pair in pairs if pair.tracked]
        assert landmarks.hands == len(pairs) and landmarks.tracked == len(tracked)

        def percentile(percent: int):
            def of(parts) -> float:
                apart = np.concatenate([np.linalg.norm(away, axis=1) for away in parts])
                return float(np.percentile(apart, percent, method="inverted_cdf"))

            return of

        assert landmarks.median and landmarks.p95 and landmarks.right and landmarks.down
        found += [
            (landmarks.same_side, [(block, pair.same_side) for block, pair in pairs], mean),
            (landmarks.median, tracked, percentile(50)),
            (landmarks.p95, tracked, percentile(95)),
            (landmarks.right, tracked, lambda parts: float(np.stack(parts)[..., 0].mean())),
            (landmarks.down, tracked, lambda parts: float(np.stack(parts)[..., 1].mean())),
        ]
    for fast, rows, statistic in found:
        value, low, high = slowly(rows, statistic)
        assert fast.value == pytest.approx(value)
        assert fast.low == pytest.approx(low, abs=0.3 * (high - low))
        assert fast.high == pytest.approx(high, abs=0.3 * (high - low))


def test_pictures_have_no_delays_and_may_have_no_hands() -> None:
    made = agreement("walls", [Seen("a.png", "walls", 0, 0, ())] * 3)
    assert made.landmarks == {} and made.back is made.first is made.second is None
    assert made.same_frames.value == made.same_count.value == 1


def test_trials_are_where_both_find_one_hand() -> None:
    one, none = Seen("", "", 1, 1, ()), Seen("", "", 1, 0, ())
    seen = [one] * 100 + [none] + [one] * 59 + [none] + [one] * 300
    chosen = choose_trials(seen, 30.0)
    assert chosen[0] == range(0, 60) and chosen[1] == range(161, 222)
    assert [len(each) for each in chosen] == [60, 61, 62, 63, 64]
    assert all(seen[i] is one for each in chosen for i in each)
    many = choose_trials([one] * 10_000, 30.0)
    assert len(many) == MOST_TRIALS and many[-1].stop > 9000
    assert choose_trials([none] * 500, 30.0) == []


@pytest.mark.parametrize(("late", "fps"), [((0, 0), 30.0), ((4, 1), 30.0), ((1, 0), 6.0)])
def test_delays_are_those_of_the_frames(late: tuple[int, int], fps: float) -> None:
    """Scripted detectors find a bright spot in either half, so many frames late."""

    def script(frames_late: int) -> Scripted:
        shown = [0, 0]

        def detect(frame: Frame) -> list[Hand]:
            middle = frame.image.shape[1] // 2
            found = []
            for half, x in enumerate((0, middle)):
                bright = frame.image[:, x : x + middle].max() > 200
                shown[half] = shown[half] + 1 if bright else 0
                if shown[half] > frames_late:
                    found.append(hand_at(x + middle / 2, 30, track=half, scale=0.01))
            return found

        return Scripted(detect)

    picture = np.full((40, 60, 3), 90, np.uint8)
    picture[10:14, 5:9] = 255
    video = [Frame(picture, i, i / fps) for i in range(round(10 * fps))]
    trials = choose_trials([Seen("", "", 1, 1, ())] * len(video), fps)
    tried = list(try_all(video, trials, fps, script(late[0]), script(late[1])))
    assert len(tried) == len(trials) >= 3
    for each, stretch in zip(tried, trials, strict=True):
        most = round(BOTH_S * fps)
        assert each.second == Delay(*late, most)
        assert each.first == Delay(*late, len(stretch) - most)
    made = agreement("spots", [Seen("", "0", 1, 1, ())], fps, tried).second
    assert made is not None and made.ours.value == pytest.approx(late[0] / fps)
    assert made.frames_later.value == late[0] - late[1] and made.missed_by_ours == 0


@pytest.mark.parametrize("fps", [0.2, 0.4, 1.0])
def test_a_slow_video_has_frames_of_each_kind(fps: float) -> None:
    """Pictures may differ in size, too."""
    pictures = [np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)]
    video = [Frame(pictures[i % 2], i, i / fps) for i in range(12)]
    trials = choose_trials([Seen("", "", 1, 1, ())] * len(video), fps)
    assert trials and all(len(each) >= 2 for each in trials)
    nobody = Scripted(lambda frame: [])
    for trial in try_all(video, trials, fps, nobody, nobody):
        assert trial.first.most >= 1 and trial.second.most >= 1


def test_a_hand_that_is_never_found_counts_as_late_as_can_be() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    video = [Frame(picture, i, i / 30) for i in range(60)]
    times: list[float] = []

    def blind(frame: Frame) -> list[Hand]:
        times.append(frame.time_s)
        return []

    tried = list(try_all(video, [range(60)], 30.0, Scripted(blind), Scripted(lambda f: [])))
    assert tried[0].first == Delay(None, None, 30) and tried[0].second == Delay(None, None, 30)
    assert len(times) == 60 + round(PLAIN_S * 30) and (np.diff(times) > 0).all()
    made = agreement("blind", [Seen("", "0", 1, 1, ())], 30.0, tried).second
    assert made is not None and made.ours.value == BOTH_S and made.missed_by_ours == 1


def test_the_contact_sheet_takes_pictures_of_any_shape(tmp_path: Path) -> None:
    sheet = ContactSheet()
    for i in range(9):
        picture = np.full((100 + 50 * i, 400, 3), 20 * i, np.uint8)
        sheet.add("a video", picture, [hand_at(200, 90)], [], f"{i}  hands: 1 | 0")
    assert sheet.count == 9
    sheet.save(tmp_path / "all.jpg", 20)
    sheet.save(tmp_path / "four.jpg", 4)
    heights = {name: 0 for name in ("all", "four")}
    for name in heights:
        drawn = cv2.imread(str(tmp_path / f"{name}.jpg"))
        assert drawn is not None and drawn.shape[1] == 2 * COLUMNS * WIDTH
        heights[name] = drawn.shape[0]
    tall = [(100 + 50 * i) * WIDTH // 400 + CAPTION for i in range(9)]
    assert heights == {"all": tall[2] + tall[5] + tall[8], "four": tall[4] + tall[6]}
    ContactSheet().save(tmp_path / "none.jpg", 4)
    assert (tmp_path / "none.jpg").is_file()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video, pictures with a hand, and pictures without any."""
    folder = tmp_path_factory.mktemp("compared")
    pictures = performance(["Open hand", "Victory", "L"], 20.0)
    write_video(folder / "v.avi", itertools.islice(pictures, 48), 20.0)
    for name, side in (("a", "right"), ("b", "left")):
        write_png(folder / "hands" / name / "0.png", hand_picture("Open hand", side))
    for i in range(3):
        write_png(folder / "walls" / f"{i}.png", np.full((90, 120, 3), 60 * i, np.uint8))
    (folder / "walls" / "damaged.png").write_bytes(b"no picture")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.usefixtures("hand_model_path")
def test_the_command_on_drawn_hands(folder: Path) -> None:
    words = ("v.avi", "hands", "--json", "c.json", "--sheet", "s.jpg")
    run = fine(main_py("compare-detectors", *words, cwd=folder))
    assert "v.avi: 48 pictures; our own detector finds a hand in 48" in run.stdout
    assert "second" in run.stdout and "≤ 0.3 s holds" in run.stdout and "fails" not in run.stdout
    assert (folder / "s.jpg").is_file() and "of 0 disagreements" in run.stderr
    video, hands = json.loads((folder / "c.json").read_text("utf-8"))["sources"]
    assert video["same_frames"]["value"] == hands["same_count"]["value"] == 1
    assert list(video["landmarks"]) == ["all", "right"] and video["landmarks"]["all"]["p95"]
    assert list(hands["landmarks"]) == ["all", "left", "right"] and hands["back"] is None
    assert video["second"]["count"] == 1 and video["second"]["missed_by_ours"] == 0
    assert str(folder) not in json.dumps([video, hands])


@pytest.mark.usefixtures("hand_model_path")
def test_invented_hands_are_counted(folder: Path) -> None:
    run = fine(main_py("compare-detectors", "walls", "--without-hands", cwd=folder))
    said = "walls: of 3 pictures without a hand, our own detector sees one in 0, MediaPipe's in 0."
    assert run.stdout.strip() == said and "damaged.png can't be read" in run.stderr
    run = fine(
        main_py("compare-detectors", "hands", "--without-hands", "--pictures", "1", cwd=folder)
    )
    assert "of 1 pictures without a hand, our own detector sees one in 1" in run.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.mp4"], "There is nothing named none.mp4: a video, a folder of pictures or demo"),
        (["empty"], "There are no pictures (jpg, png, …) in or below empty."),
        (["hands", "--pictures", "0"], "--pictures asks for none"),
        (["hands", "--json", "no/file.json"], "no/file.json can't be written"),
        (["hands", "--sheet", "no/file.jpg"], "no/file.jpg can't be written"),
        (["hands", "--sheet", "file.txt"], "--sheet takes the name of a picture, as FILE.jpg"),
        (["damaged.png"], "None of the pictures in damaged.png can be read"),
        (["damaged.mp4"], "damaged.mp4 can't be played as a video"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, words: list[str], sentence: str) -> None:
    for name in ("damaged.png", "damaged.mp4"):
        (folder / name).write_bytes(b"nothing that could be seen")
    run = main_py("compare-detectors", *words, cwd=folder)
    assert run.returncode == 1 and sentence in run.stderr.splitlines()[-1]
