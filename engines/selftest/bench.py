"""Times engines against each other in one interleaved run.

A machine's speed drifts with its clock, its heat and its other work. So every round times every
engine, in a random order, and engines are compared within rounds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import UserError
from engines.selftest.outputs import Inputs, Network, count_of, one_of, outputs_of, take

Turn = tuple[str, int]  # an engine's name and a number of hands
CALLS = 3  # timed calls in a row, after one that isn't timed
BURN_IN = 10  # calls of each engine and batch before the first round
RESAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True)
class Ratio:
    """A time divided by the baseline's (below 1 is faster), with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One engine at one number of hands, or of pictures for the palm network.

    Attributes:
        engine: its name.
        batch: hands in a call.
        p50_ms: median time of a call.
        p95_ms: 95th percentile of the time of a call.
        hands_per_s: hands embedded in a second of calls.
        ratio: to the baseline; None where that can't take so many hands.
        gpu_p50_ms: median time on the GPU; None where it isn't known.
    """

    engine: str
    batch: int
    p50_ms: float
    p95_ms: float
    hands_per_s: float
    ratio: Ratio | None
    gpu_p50_ms: float | None


@dataclass(frozen=True)
class Bench:
    """The result of a run.

    Attributes:
        baseline: the engine that the ratios refer to.
        rounds: how many were timed.
        rows: one per engine and batch.
        left_out: sentences on what wasn't timed, and why.
    """

    baseline: str
    rounds: int
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]


def bench(
    engines: Mapping[str, Network],
    inputs: Inputs,
    batches: Sequence[int] = (1, 2, 8),
    rounds: int = 100,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int], None] = lambda done: None,
) -> Bench:
    """Time all engines at all numbers of hands.

    Args:
        engines: one network in several engines, by name; the first is the baseline.
        inputs: at least as many hands or pictures as the largest batch.
        batches: numbers of hands in a call.
        rounds: 2 or more.
        seed: of the order and the bootstrap.
        clock: gives seconds.
        progress: called with the number of rounds done.

    Raises:
        UserError: if there are no engines, too few hands or rounds, or an engine fails after its
            first calls. A batch that an engine can't take is left out, see `Bench.left_out`.
    """
    if not engines:
        raise UserError("There is no engine to time: name one with --engines, as onnx:cpu.")
    if rounds < 2:
        raise UserError(f"An interval takes 2 rounds or more; got {rounds}.")
    if not batches or min(batches) < 1 or max(batches) > count_of(inputs):
        raise UserError(
            f"Batches of 1 to {count_of(inputs)} {one_of(inputs)}s can be timed; got {batches}."
        )
    parts = {batch: take(inputs, slice(batch)) for batch in batches}
    turns: list[Turn] = []
    left_out = []
    for batch in batches:
        for name, network in engines.items():
            try:
                for _ in range(BURN_IN):
                    outputs_of(network, parts[batch])
                turns.append((name, batch))
            except UserError as error:
                left_out.append(f"{name}, {batch} {one_of(inputs)}s: {error}")
    times, gpu = _measure(engines, turns, parts, rounds, seed, clock, progress)
    baseline = next(iter(engines))
    rows = []
    for name, batch in turns:
        mine, base = times[name, batch], times.get((baseline, batch))
        p50, p95 = (float(value) for value in np.percentile(mine, (50, 95)))
        inside = gpu[name, batch]
        rows.append(
            Row(
                name,
                batch,
                p50,
                p95,
                hands_per_s=batch * 1000 / float(mine.mean()),
                ratio=None if base is None else ratio_of(mine, base, seed),
                gpu_p50_ms=None if np.isnan(inside).any() else float(np.median(inside)),
            )
        )
    return Bench(baseline, rounds, tuple(rows), tuple(left_out))


def _measure(
    engines: Mapping[str, Network],
    turns: Sequence[Turn],
    parts: Mapping[int, Inputs],
    rounds: int,
    seed: int,
    clock: Callable[[], float],
    progress: Callable[[int], None],
) -> tuple[dict[Turn, np.ndarray], dict[Turn, np.ndarray]]:
    """Milliseconds (rounds, CALLS) of every turn: in all, and on the GPU (NaN where unknown)."""
    times = {turn: np.full((rounds, CALLS), np.nan) for turn in turns}
    gpu = {turn: np.full((rounds, CALLS), np.nan) for turn in turns}
    order, chance = list(turns), random.Random(seed)
    for done in range(rounds):
        chance.shuffle(order)
        for name, batch in order:
            network, inputs = engines[name], parts[batch]
            outputs_of(network, inputs)  # refills the caches that other engines used
            for call in range(CALLS):
                began = clock()
                outputs_of(network, inputs)
                times[name, batch][done, call] = (clock() - began) * 1000
                inside = getattr(network, "gpu_ms", None)
                gpu[name, batch][done, call] = np.nan if inside is None else inside
        progress(done + 1)
    return times, gpu


def ratio_of(
    times: np.ndarray,
    base: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
    typical: Callable[..., Any] = np.median,
) -> Ratio:
    """The ratio of two typical times, with a bootstrap interval.

    Whole rounds are resampled, the same ones for both: a slow round is slow for both engines, and
    calls of one round aren't independent.

    Args:
        times: an engine's, (rounds, calls).
        base: the baseline's, (rounds, calls).
        seed: of the resampling.
        resamples: how many.
        typical: numpy's function of times; the mean, where rare slow calls are to count.
    """
    drawn = np.random.default_rng(seed).integers(0, len(times), (resamples, len(times)))
    both = [typical(part[drawn].reshape(resamples, -1), axis=1) for part in (times, base)]
    low, high = np.percentile(both[0] / both[1], (2.5, 97.5))
    return Ratio(float(typical(times) / typical(base)), float(low), float(high))
