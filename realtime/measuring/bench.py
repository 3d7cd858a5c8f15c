"""What a frame costs: our whole loop beside MediaPipe's bare HandLandmarker, in one run.

A machine's speed drifts with its clock, its heat and its other work. So the contenders take turns
of TURN frames, in a random order in each round, and are compared within rounds. All see the same
frames in the same order, at the source's own times, and each keeps its tracks from turn to turn.
Frames are read before the turns. Processor time is the whole process's, all threads together; only
one contender works at a time.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from engines.errors import UserError
from engines.selftest.bench import Ratio, ratio_of
from realtime.measuring.contenders import BARE_ONE, BARE_TWO, OURS, WRAPPED, Step
from realtime.types import Frame

TURN = 30  # frames
# Hands in view, the baseline, and the most that our loop may take of its time.
GATES = {(1, BARE_TWO): 0.5, (1, BARE_ONE): 1.0, (2, BARE_TWO): 1.0, (0, BARE_TWO): 1.0}


@dataclass(frozen=True)
class Samples:
    """A contender's figures for each of F frames, in rounds × TURN.

    Attributes:
        found: int (rounds, TURN), hands.
        processor_ms: float (rounds, TURN), of all threads.
        wall_ms: float (rounds, TURN).
        stages_ms: float (rounds, TURN) of each stage; 0 where it didn't run.
    """

    found: np.ndarray
    processor_ms: np.ndarray
    wall_ms: np.ndarray
    stages_ms: dict[str, np.ndarray]


@dataclass(frozen=True)
class Times:
    """Milliseconds a frame."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Row:
    """A contender on the frames that show a number of hands.

    Attributes:
        contender: One of CONTENDERS.
        in_view: Hands in view.
        frames: How many such frames there were.
        found: Hands that the contender found in them, on average.
        processor: Processor time a frame.
        wall: Wall time a frame.
        stages: Wall time a frame by stage, frames in which it doesn't run included.
        ran: Share of the frames in which each stage ran.
    """

    contender: str
    in_view: int
    frames: int
    found: float
    processor: Times
    wall: Times
    stages: dict[str, Times]
    ran: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Mean times of a contender, divided by those of a baseline on the same frames.

    Attributes:
        contender: One of CONTENDERS.
        baseline: Another.
        in_view: Hands in view.
        processor: Ratio of processor times.
        wall: Ratio of wall times.
        most: What the gate allows; None where there is none.
        holds: Whether both ratios are within the gate; None where there is none.
    """

    contender: str
    baseline: str
    in_view: int
    processor: Ratio
    wall: Ratio
    most: float | None
    holds: bool | None


@dataclass(frozen=True)
class SceneBench:
    """What was measured on one source.

    Attributes:
        scene: Its name.
        rounds: Turns of each contender.
        rows: By hands in view, then in the order of CONTENDERS.
        comparisons: Of both our loops with the bare ones.
    """

    scene: str
    rounds: int
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]


def measure(
    contenders: Mapping[str, Step],
    frames: Iterator[Frame],
    rounds: int,
    seed: int = 0,
    clocks: tuple[Callable[[], float], ...] = (time.process_time, time.perf_counter),
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Samples]:
    """Let the contenders take turns, after a first round that isn't counted.

    Args:
        contenders: By name.
        frames: In order; what is left of them isn't read.
        rounds: The most turns of each; fewer where the frames end before.
        seed: Of the order within rounds.
        clocks: Give seconds of processor time and of wall time.
        progress: Called with the number of rounds done.

    Raises:
        UserError: The frames don't last for two rounds after the first, or rounds is less than 2.
    """
    taken: dict[str, list[list[tuple[int, float, float, dict[str, float]]]]]
    taken = {name: [] for name in contenders}
    order, chance = list(contenders), random.Random(seed)
    for done in range(rounds + 1):
        turn = list(itertools.islice(frames, TURN))
        if len(turn) < TURN:
            break
        chance.shuffle(order)
        for name in order:
            taken[name].append([_timed(contenders[name], frame, *clocks) for frame in turn])
        progress(done)
    counted = {name: turns[1:] for name, turns in taken.items()}
    if any(len(turns) < 2 for turns in counted.values()):
        raise UserError(
            f"A bench takes 2 rounds of {TURN} frames or more, after {TURN} that aren't counted: "
            "name a longer video, or more --rounds."
        )
    return {name: _samples(turns) for name, turns in counted.items()}


def _timed(
    step: Step, frame: Frame, processor: Callable[[], float], wall: Callable[[], float]
) -> tuple[int, float, float, dict[str, float]]:
    began, began_wall = processor(), wall()
    found, stages = step(frame)
    return found, 1000 * (processor() - began), 1000 * (wall() - began_wall), stages


def _samples(turns: list[list[tuple[int, float, float, dict[str, float]]]]) -> Samples:
    found, processor_ms, wall_ms = (
        np.array([[sample[i] for sample in turn] for turn in turns]) for i in range(3)
    )
    stages_ms = {
        name: np.array([[sample[3][name] for sample in turn] for turn in turns])
        for name in turns[0][0][3]
    }
    return Samples(found, processor_ms, wall_ms, stages_ms)


def summarise(scene: str, samples: Mapping[str, Samples], seed: int = 0) -> SceneBench:
    """Make the tables of a scene.

    Frames are told apart by how many hands are in view, which is what bare MediaPipe finds in
    them, or without it our own loop. Numbers that fewer than TURN frames show are left out, but
    for the commonest.

    Args:
        scene: The scene's name.
        samples: Of each contender.
        seed: Of the bootstrap over rounds.
    """
    in_view = samples.get(BARE_TWO, samples[OURS]).found
    rows, comparisons = [], []
    numbers, frames = np.unique(in_view, return_counts=True)
    for hands in numbers[frames >= min(TURN, frames.max())].tolist():
        at = in_view == hands
        rows += [_row(name, hands, each, at) for name, each in samples.items()]
        comparisons += [
            _compare(ours, base, hands, samples, at, seed)
            for ours in (OURS, WRAPPED)
            for base in (BARE_TWO, BARE_ONE)
            if ours in samples and base in samples
        ]
    return SceneBench(scene, len(in_view), tuple(rows), tuple(comparisons))


def _row(name: str, hands: int, samples: Samples, at: np.ndarray) -> Row:
    return Row(
        contender=name,
        in_view=hands,
        frames=int(at.sum()),
        found=float(samples.found[at].mean()),
        processor=_times(samples.processor_ms[at]),
        wall=_times(samples.wall_ms[at]),
        stages={stage: _times(values[at]) for stage, values in samples.stages_ms.items()},
        ran={stage: float((v[at] > 0).mean()) for stage, v in samples.stages_ms.items()},
    )


def _times(values: np.ndarray) -> Times:
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return Times(float(values.mean()), p50, p95, p99)


def _compare(
    name: str, base: str, hands: int, samples: Mapping[str, Samples], at: np.ndarray, seed: int
) -> Comparison:
    """Of mean times, so that the frames with a search count by how many there are."""
    chosen = at.any(axis=1)  # rounds

    def sums(times: np.ndarray) -> np.ndarray:
        return np.where(at, times, 0.0).sum(axis=1, keepdims=True)[chosen]

    ours, theirs = samples[name], samples[base]
    processor, wall = (
        ratio_of(sums(one), sums(other), seed, typical=np.mean)
        for one, other in (
            (ours.processor_ms, theirs.processor_ms),
            (ours.wall_ms, theirs.wall_ms),
        )
    )
    most = GATES.get((hands, base)) if name == OURS else None
    holds = None if most is None else processor.value <= most and wall.value <= most
    return Comparison(name, base, hands, processor, wall, most, holds)
