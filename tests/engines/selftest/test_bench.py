"""Engines timed against each other: what is timed, in which order, and the figures of it."""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import run
from engines.encoder import Encoder
from engines.errors import UserError
from engines.hand_networks import HandOutputs
from engines.onnx_file import save_encoder
from engines.selftest import candidates
from engines.selftest.bench import BURN_IN, CALLS, Bench, Row, bench, ratio_of
from engines.spec import EncoderInputs, EncoderSpec
from realtime.commands import bench_engines as bench_command
from tests.engines.onnx_runtime.test_providers import quantised
from tests.engines.test_engines import PICTURE, picture_model

HANDS = EncoderInputs(
    np.zeros((8, 4, 4, 3), np.uint8),
    np.zeros((8, 21, 3), np.float32),
    np.zeros((8, 21, 3), np.float32),
    np.zeros((8, 2), np.float32),
)


class World:
    """A clock and engines that make it go on: every engine has its time, and so has the weather."""

    def __init__(self, seed: int = 0) -> None:
        self.now_s, self.calls = 0.0, list[tuple[str, int]]()
        self.rng = np.random.default_rng(seed)

    def clock(self) -> float:
        return self.now_s


class Engine:
    spec, fingerprint = EncoderSpec("stub-1", ("landmarks",), 2), "ab" * 32
    engine = engine_name = "stub"

    def __init__(self, world: World, name: str, ms: float, most: int = 99, gpu: bool = False):
        self.world, self.name, self.ms, self.most = world, name, ms, most
        self.gpu, self.closed = gpu, False
        self.gpu_ms: float | None = None

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        if len(hands.crops) > self.most:
            raise UserError(f"It takes {self.most} hands at most; got {len(hands.crops)}.")
        taken = self.ms * len(hands.crops) * self.world.rng.lognormal(0, 0.1)
        self.world.now_s += taken / 1000
        self.world.calls.append((self.name, len(hands.crops)))
        self.gpu_ms = taken / 4 if self.gpu else None
        return np.zeros((len(hands.crops), 2))

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def row_of(made: Bench, engine: str, batch: int) -> Row:
    [row] = [row for row in made.rows if (row.engine, row.batch) == (engine, batch)]
    return row


def test_figures_are_those_of_the_clock() -> None:
    world = World()
    engines = {"a": Engine(world, "a", 4.0), "b": Engine(world, "b", 2.0, gpu=True)}
    made = bench(engines, HANDS, rounds=60, clock=world.clock)
    assert made.baseline == "a" and len(made.rows) == 6 and made.left_out == ()
    for batch in (1, 2, 8):
        a, b = row_of(made, "a", batch), row_of(made, "b", batch)
        assert a.p50_ms == pytest.approx(4 * batch, rel=0.05) and a.p95_ms > a.p50_ms * 1.1
        assert a.ratio is not None and (a.ratio.value, a.ratio.low, a.ratio.high) == (1, 1, 1)
        assert b.ratio is not None and b.ratio.low < 0.5 < b.ratio.high
        assert b.ratio.high - b.ratio.low < 0.08
        assert a.hands_per_s == pytest.approx(250, rel=0.03) and b.hands_per_s > a.hands_per_s * 1.8
        assert a.gpu_p50_ms is None and b.gpu_p50_ms == pytest.approx(b.p50_ms / 4)


def test_burn_in_then_everything_in_every_round_in_changing_order() -> None:
    world = World()
    engines = {name: Engine(world, name, 1.0) for name in "abc"}
    done: list[int] = []
    bench(engines, HANDS, (1, 2), 20, clock=world.clock, progress=done.append)
    assert done == list(range(1, 21))
    burnt, timed = world.calls[: 6 * BURN_IN], world.calls[6 * BURN_IN :]
    assert set(Counter(burnt).values()) == {BURN_IN}
    turn = CALLS + 1  # one that isn't timed
    rounds = np.array([f"{name}{batch}" for name, batch in timed]).reshape(20, 6, turn)
    assert (rounds == rounds[:, :, :1]).all()  # an engine's calls come in a row
    orders = [tuple(r) for r in rounds[:, :, 0]]
    assert all(len(set(order)) == 6 for order in orders) and len(set(orders)) > 15
    assert len({order[0] for order in orders}) > 3  # nobody is always the first
    again = World()
    bench({name: Engine(again, name, 1.0) for name in "abc"}, HANDS, (1, 2), 20, clock=again.clock)
    assert again.calls == world.calls  # the seed says it all


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    """Interleaved, both engines meet the same weather; one after the other, they wouldn't."""
    world = World()

    class Tiring(Engine):
        def encode(self, hands: EncoderInputs) -> np.ndarray:
            self.ms *= 1.003
            return super().encode(hands)

    engines = {name: Tiring(world, name, 1.0) for name in "ab"}
    row = row_of(bench(engines, HANDS, (1,), 100, clock=world.clock), "b", 1)
    assert row.ratio is not None and row.ratio.low < 1 < row.ratio.high
    assert row.ratio.high - row.ratio.low < 0.15 and row.p95_ms > 1.5 * row.p50_ms


def slow_ratio(times: np.ndarray, base: np.ndarray, seed: int, resamples: int) -> list[float]:
    """The same by hand: which rounds are drawn is the only thing shared."""
    drawn = np.random.default_rng(seed).integers(0, len(times), (resamples, len(times)))
    ratios = []
    for rounds in drawn.tolist():
        mine = [float(t) for r in rounds for t in times[r]]
        theirs = [float(t) for r in rounds for t in base[r]]
        ratios.append(statistics.median(mine) / statistics.median(theirs))
    ratios.sort()

    def at(share: float) -> float:
        place = share * (len(ratios) - 1)
        low = int(place)
        return ratios[low] + (ratios[min(low + 1, len(ratios) - 1)] - ratios[low]) * (place - low)

    whole = statistics.median(times.ravel().tolist()) / statistics.median(base.ravel().tolist())
    return [whole, at(0.025), at(0.975)]


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_the_interval_against_one_worked_out_slowly(calls: int) -> None:
    rng = np.random.default_rng(calls)
    times, base = rng.lognormal(0, 0.3, (2, 25, calls))
    found = ratio_of(times, base, 7, 200)
    slow = slow_ratio(times, base, 7, 200)
    assert [found.value, found.low, found.high] == pytest.approx(slow)
    assert found.low < found.value < found.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Rounds are slow or quick for both engines, and calls of one round alike."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        weather = rng.lognormal(0, 0.3, (40, 1))
        own = rng.lognormal(0, 0.1, (2, 40, 1))  # of an engine in a round
        times, base = weather * own * rng.lognormal(0, 0.02, (2, 40, 3)) * [[[0.8]], [[1.0]]]
        found = ratio_of(times, base, 0, 300)
        held += found.low <= 0.8 <= found.high
    assert 180 <= held <= 200


def test_an_engine_that_takes_fewer_is_left_out_there() -> None:
    world = World()
    engines = {"a": Engine(world, "a", 1.0, most=2), "b": Engine(world, "b", 1.0)}
    made = bench(engines, HANDS, rounds=3, clock=world.clock)
    assert made.left_out == ("a, 8 hands: It takes 2 hands at most; got 8.",)
    assert row_of(made, "b", 8).ratio is None and row_of(made, "b", 2).ratio is not None


@pytest.mark.parametrize(
    ("engines", "options", "sentence"),
    [
        ([], {}, "There is no engine to time"),
        (["a"], {"rounds": 1}, "takes 2 rounds or more; got 1"),
        (["a"], {"batches": (1, 9)}, r"1 to 8 hands can be timed; got \(1, 9\)"),
        (["a"], {"batches": ()}, "1 to 8 hands can be timed"),
    ],
)
def test_bad_input_is_told(engines: list[str], options, sentence: str) -> None:
    world = World()
    with pytest.raises(UserError, match=sentence):
        bench({n: Engine(world, n, 1.0) for n in engines}, HANDS, **options)


def command(*words: str) -> argparse.Namespace:
    return run.parse(["bench-engines", *words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    save_encoder(quantised(picture_model()), PICTURE, tmp_path / "e-int8.onnx")
    return tmp_path


def test_the_command_times_all_that_is_here(folder: Path, capsys) -> None:
    (folder / "e-fp16.plan").write_bytes(b"rubbish")
    (folder / "eel.plan").write_bytes(b"of another encoder")
    found = candidates.find_engines(folder / "e.onnx")
    assert found[0] == "onnx:cpu" and "eel.plan" not in str(found)
    assert found[-2:] == [str(folder / "e-int8.onnx"), str(folder / "e-fp16.plan")]
    (folder / "e-fp16.plan").unlink()
    json_file = folder / "bench.json"
    words = ("--encoder", str(folder / "e.onnx"), "--rounds", "4", "--json", str(json_file))
    bench_command.run(command(*words))
    shown = capsys.readouterr().out
    assert "e-int8.onnx" in shown and "to that of onnx:cpu" in shown and "over 4 rounds" in shown
    left = json.loads(json_file.read_text("utf-8"))
    assert {(row["engine"], row["batch"]) for row in left["rows"]} >= {
        (engine, batch) for engine in ("onnx:cpu", "e-int8.onnx") for batch in (1, 2, 8)
    }
    assert left["machine"]["packages"]["numpy"] and str(folder) not in json.dumps(left)


def test_the_default_encoder_against_itself(tmp_path: Path, capsys) -> None:
    """Real times of one engine twice: whatever the machine does, the ratio stays near 1."""
    json_file = tmp_path / "bench.json"
    words = ("--engines", "onnx:cpu,onnx:cpu", "--rounds", "12", "--json", str(json_file))
    bench_command.run(command("--encoder", "landmarks", *words))
    assert "onnx:cpu (2)" in capsys.readouterr().out
    rows = [r for r in json.loads(json_file.read_text())["rows"] if r["engine"] != "onnx:cpu"]
    assert len(rows) == 3 and all(0.2 < row["ratio"]["value"] < 5 for row in rows)
    assert all(row["ratio"]["low"] <= row["ratio"]["high"] for row in rows)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--engines", "onnx:gpu"), "one of cpu, cuda, tensorrt, coreml, directml.*got 'gpu'"),
        (("--engines", "gpu"), "--engines takes onnx:cpu, .*; got 'gpu'"),
        (("--engines", "onnx,none.plan"), "There is no none.plan"),
        (("--rounds", "1", "--encoder", "landmarks"), "takes 2 rounds or more"),
        (("--json", "no/file.json"), "no/file.json can't be written"),
        (("--encoder", "none"), "No encoder at none"),
    ],
)
def test_bad_options_are_told(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        bench_command.run(command(*words))


def test_encoders_of_other_crops_are_not_compared(folder: Path) -> None:
    engines = ("--encoder", "landmarks", "--engines", f"onnx,{folder / 'e.onnx'}")
    with pytest.raises(UserError, match="crops of different sizes"):
        bench_command.run(command(*engines))


def test_what_does_not_open_is_left_out_unless_it_was_named(folder: Path, monkeypatch, capsys):
    open_engine = candidates.open_engine

    def only_onnx(name: str, onnx: Path) -> Encoder:
        if name.endswith(".plan"):
            raise UserError(f"{Path(name).name} needs an NVIDIA GPU.")
        return open_engine(name, onnx)

    monkeypatch.setattr(candidates, "open_engine", only_onnx)
    (folder / "e.plan").write_bytes(b"rubbish")
    encoder = ("--encoder", str(folder / "e.onnx"), "--rounds", "2")
    bench_command.run(command(*encoder))
    said = capsys.readouterr()
    assert "e.plan needs an NVIDIA GPU." in said.err and "e-int8.onnx" in said.out
    with pytest.raises(UserError, match=r"e.plan needs an NVIDIA GPU"):
        bench_command.run(command(*encoder, "--engines", f"onnx,{folder / 'e.plan'}"))


def test_a_file_that_does_not_open_is_told_once(folder: Path, capsys) -> None:
    (folder / "e.onnx").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="e.onnx can't be opened as an ONNX file"):
        bench_command.run(command("--encoder", str(folder / "e.onnx"), "--rounds", "2"))
    assert capsys.readouterr().err == ""
