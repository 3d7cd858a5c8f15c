"""`run.py bench`: turns, ratios and gates in a simulated world, then real loops on drawn hands."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from realtime.hands.opening import open_detector
from realtime.measuring import bench
from realtime.measuring.bench import TURN, Samples, measure, summarise
from realtime.measuring.contenders import BARE_ONE, BARE_TWO, OURS, WRAPPED, Step
from realtime.measuring.scenes import SCENES, after, play
from realtime.types import Frame
from tests.cli import fault, fine, main_py, performance, write_video

PICTURE = np.zeros((2, 2, 3), np.uint8)


class World:
    """Time that passes only while a contender works; each notes the frames that it gets."""

    def __init__(self) -> None:
        self.processor_s = self.wall_s = 0.0
        self.seen: list[tuple[str, int]] = []

    def contender(self, name: str, cost_ms: float) -> Step:
        def step(frame: Frame) -> tuple[int, dict[str, float]]:
            self.seen.append((name, frame.index))
            self.processor_s += cost_ms / 1000
            self.wall_s += 2 * cost_ms / 1000
            return frame.index % 3, {"all": cost_ms}

        return step

    def clocks(self):
        return (lambda: self.processor_s), (lambda: self.wall_s)


def frames(count: int | None = None) -> itertools.islice[Frame]:
    return itertools.islice((Frame(PICTURE, i, i / 30) for i in itertools.count()), count)


def test_each_takes_its_turn_on_the_same_frames() -> None:
    world = World()
    contenders = {name: world.contender(name, cost) for name, cost in (("a", 3.0), ("b", 7.0))}
    done: list[int] = []
    samples = measure(contenders, frames(), 4, clocks=world.clocks(), progress=done.append)
    assert done == [0, 1, 2, 3, 4]
    for name in contenders:
        assert [index for who, index in world.seen if who == name] == list(range(5 * TURN))
    turns = [who for who, _ in world.seen[::TURN]]
    rounds = [tuple(turns[i : i + 2]) for i in range(0, len(turns), 2)]
    assert set(rounds) == {("a", "b"), ("b", "a")}, "in either order, both in each round"
    for name, cost in (("a", 3.0), ("b", 7.0)):
        made = samples[name]
        assert made.processor_ms.shape == made.wall_ms.shape == made.found.shape == (4, TURN)
        assert np.allclose(made.processor_ms, cost) and np.allclose(made.wall_ms, 2 * cost)
        assert np.allclose(made.stages_ms["all"], cost)
        assert made.found.ravel().tolist() == [i % 3 for i in range(TURN, 5 * TURN)]


def test_a_video_that_ends_before_the_rounds_do() -> None:
    contenders = {"a": World().contender("a", 1.0)}
    assert measure(contenders, frames(3 * TURN + 5), 100)["a"].found.shape == (2, TURN)
    for source, rounds in ((frames(3 * TURN - 1), 100), (frames(), 1)):
        with pytest.raises(UserError, match="takes 2 rounds of 30 frames or more, after 30"):
            measure(contenders, source, rounds)


def drawn_samples(seed: int) -> dict[str, Samples]:
    """Random times of six rounds on frames that show 0, 1 or 2 hands."""
    rng = np.random.default_rng(seed)
    found, weather = rng.integers(0, 3, (6, TURN)), rng.lognormal(0, 0.4, (6, 1))
    found[0] = 1  # a round without frames of the other kinds
    return {
        name: Samples(
            found if name == BARE_TWO else np.minimum(found, 1),
            cost * weather * rng.lognormal(0, 0.1, (6, TURN)),
            2 * cost * weather * rng.lognormal(0, 0.3, (6, TURN)),
            {"hands": np.full((6, TURN), cost), "palm": np.where(found == 0, 1.0, 0.0)},
        )
        for name, cost in ((OURS, 10.0), (WRAPPED, 40.0), (BARE_TWO, 30.0), (BARE_ONE, 15.0))
    }


def slow_ratio(one: np.ndarray, other: np.ndarray, at: np.ndarray) -> tuple[float, float, float]:
    """Sums over the chosen frames of drawn rounds, one after the other."""

    def ratio(rounds: list[int]) -> float:
        cells = [(r, f) for r in rounds for f in range(TURN) if at[r, f]]
        return sum(one[c] for c in cells) / sum(other[c] for c in cells)

    kept = [r for r in range(len(at)) if at[r].any()]
    chance = random.Random(0)
    drawn = sorted(ratio(chance.choices(kept, k=len(kept))) for _ in range(2000))
    return ratio(kept), drawn[50], drawn[1949]


@pytest.mark.parametrize("seed", [1, 2])
def test_ratios_are_those_of_a_slow_bootstrap(seed: int) -> None:
    samples = drawn_samples(seed)
    made = summarise("drawn", samples)
    assert made.rounds == 6 and len(made.comparisons) == 3 * 4
    for each in made.comparisons:
        at = samples[BARE_TWO].found == each.in_view
        ours, theirs = samples[each.contender], samples[each.baseline]
        for found, one, other in (
            (each.processor, ours.processor_ms, theirs.processor_ms),
            (each.wall, ours.wall_ms, theirs.wall_ms),
        ):
            value, low, high = slow_ratio(one, other, at)
            assert found.value == pytest.approx(value)
            assert found.low == pytest.approx(low, rel=0.03)
            assert found.high == pytest.approx(high, rel=0.03)


def test_rows_tell_the_numbers_of_hands_apart() -> None:
    samples = drawn_samples(3)
    made = summarise("drawn", samples)
    for row in made.rows:
        at = samples[BARE_TWO].found == row.in_view
        times = samples[row.contender].processor_ms[at]
        assert row.frames == at.sum() and row.processor.p95 == np.percentile(times, 95)
        assert row.processor.mean == pytest.approx(times.mean())
        assert row.found == (row.in_view if row.contender == BARE_TWO else min(row.in_view, 1))
        assert row.ran == {"hands": 1.0, "palm": float(row.in_view == 0)}
    ours_alone = summarise("drawn", {OURS: samples[OURS]})
    assert {row.in_view for row in ours_alone.rows} == {0, 1} and ours_alone.comparisons == ()


def test_a_number_of_hands_that_few_frames_show_is_left_out() -> None:
    samples = drawn_samples(4)
    found = samples[BARE_TWO].found
    found[:] = 1
    found[3, 7] = 2
    assert {row.in_view for row in summarise("drawn", samples).rows} == {1}
    few = {
        name: Samples(each.found[:, :3], each.processor_ms[:, :3], each.wall_ms[:, :3], {})
        for name, each in samples.items()
    }
    few[BARE_TWO].found[:] = [0, 2, 2]
    assert {row.in_view for row in summarise("few", few).rows} == {2}


def test_a_gate_holds_where_both_times_are_within_it() -> None:
    def steady(ours: float, ours_wall: float) -> dict[str, Samples]:
        def one(processor: float, wall: float) -> Samples:
            grid = np.ones((3, TURN))
            return Samples(np.ones((3, TURN), int), processor * grid, wall * grid, {})

        return {OURS: one(ours, ours_wall), BARE_TWO: one(20, 30), BARE_ONE: one(10, 15)}

    for costs, expected in (
        ((10.0, 15.0), [True, True]),
        ((10.1, 15.0), [False, False]),
        ((10.0, 15.2), [False, False]),
        ((9.0, 16.0), [False, False]),
        ((8.0, 12.0), [True, True]),
    ):
        made = summarise("steady", steady(*costs))
        assert [c.holds for c in made.comparisons] == expected
        assert [c.most for c in made.comparisons] == [0.5, 1.0]


@pytest.mark.parametrize(("name", "hands"), list(zip(SCENES, (1, 2, 0), strict=True)))
def test_scenes_show_what_they_say(name: str, hands: int) -> None:
    with open_detector("engine", video=True) as detector:
        for frame in itertools.islice(after(play(SCENES[name]), 7.0), 0, 90, 3):
            assert frame.time_s == pytest.approx(7.0 + frame.index / 30)
            assert len(detector.detect(frame)) == hands


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two rounds of short turns, after one that isn't counted."""
    monkeypatch.setattr(bench, "TURN", 10)
    pictures = itertools.islice(performance(["Open hand", "Victory", "L"], 30.0), 30)
    return write_video(tmp_path / "v.avi", pictures, 30.0)


@pytest.mark.usefixtures("hand_model_path")
def test_the_command_on_a_video(video: Path) -> None:
    folder = video.parent
    shown = fine(main_py("bench", "--camera", video.name, "--json", "b.json", cwd=folder)).stdout
    assert "v.avi: hands in view 1, 20 frames of 2 rounds" in shown and "≤ 0.5" in shown
    left = json.loads((folder / "b.json").read_text("utf-8"))
    (scene,) = left["scenes"]
    assert left["encoder"] == "default" and left["machine"]["packages"]["numpy"]
    assert [row["contender"] for row in scene["rows"]] == [OURS, WRAPPED, BARE_TWO, BARE_ONE]
    for row in scene["rows"]:
        assert row["in_view"] == row["found"] == 1 and row["frames"] == 20
        assert 0 < row["processor"]["p50"] <= row["processor"]["p95"] <= row["processor"]["p99"]
    ours, wrapped = scene["rows"][:2]
    inside = ["hands: palm", "hands: still", "hands: cut", "hands: pass"]
    assert list(ours["stages"]) == ["hands", *inside, "embed", "match"]
    assert list(wrapped["stages"]) == ["hands", "embed", "match"]
    assert ours["ran"]["hands: still"] == 1 and 0.2 < ours["ran"]["hands: pass"] < 1  # it rests
    assert ours["ran"]["hands: palm"] < 0.5
    ratios = {(c["contender"], c["baseline"]): c for c in scene["comparisons"]}
    for one, other in itertools.product((OURS, WRAPPED), (BARE_TWO, BARE_ONE)):
        ratio = ratios[one, other]["processor"]
        assert 0.05 < ratio["low"] <= ratio["value"] <= ratio["high"] < 20
    assert ratios[WRAPPED, BARE_TWO]["holds"] is None and ratios[OURS, BARE_TWO]["holds"] in (0, 1)
    assert str(folder) not in json.dumps(left)


def test_without_mediapipe_only_our_engine_is_timed(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    run = fine(main_py("bench", "--camera", video.name, cwd=video.parent))
    assert re.search(r"Only our own engine is timed: .*\bmediapipe\b", run.stderr)
    assert OURS in run.stdout and WRAPPED not in run.stdout and "gate" not in run.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--camera", "v.avi", "none.mp4"], "There is no video none.mp4: --camera takes video"),
        (["--camera", "0"], "There is no video 0: --camera takes video files, or demo"),
        (["--json", "no/file.json"], "no/file.json can't be written"),
        (["--encoder", "none"], "No encoder at none"),
    ],
)
def test_bad_options_are_told(video: Path, words: list[str], sentence: str) -> None:
    assert sentence in fault(main_py("bench", *words, cwd=video.parent))
