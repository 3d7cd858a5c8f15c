"""Engines timed against each other in one interleaved run.

A machine's speed drifts: its clock, its heat, what else runs. So every round times every engine,
in an order drawn anew, and what is compared are rounds, not runs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.encoder import Encoder
from engines.errors import UserError

Hands = tuple[np.ndarray, np.ndarray, np.ndarray]  # what Encoder.encode takes
Turn = tuple[str, int]  # an engine's name and a number of hands
CALLS = 3  # timed calls in a row of an engine's turn, after one that isn't timed
BURN_IN = 10  # calls of each engine and batch before the first round
RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Of a median time to the baseline's, below 1 is quicker; low, high: its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One engine at one number of hands.

    p50_ms, p95_ms: of a call. hands_per_s: hands embedded in a second of calls. ratio: None where
    the baseline can't take that many. gpu_p50_ms: the GPU's part, None where it isn't known.
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
    """baseline: the engine that ratios are to; left_out: sentences on what wasn't timed."""

    baseline: str
    rounds: int
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]


def bench(
    engines: Mapping[str, Encoder],
    hands: Hands,
    batches: Sequence[int] = (1, 2, 8),
    rounds: int = 100,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int], None] = lambda done: None,
) -> Bench:
    """Time all engines at all numbers of hands; the first engine is the baseline.

    hands: as many as the largest batch, at least. clock: seconds. progress: told after each
    round. An engine that can't take a batch is left out there, and said so; one that fails later
    raises its UserError. Raises UserError without engines, hands enough, or two rounds.
    """
    if not engines:
        raise UserError("There is no engine to time: name one with --engines, as onnx:cpu.")
    if rounds < 2:
        raise UserError(f"An interval takes 2 rounds or more; got {rounds}.")
    if not batches or min(batches) < 1 or max(batches) > len(hands[0]):
        raise UserError(f"Batches of 1 to {len(hands[0])} hands can be timed; got {batches}.")
    inputs = {batch: (hands[0][:batch], hands[1][:batch], hands[2][:batch]) for batch in batches}
    turns: list[Turn] = []
    left_out = []
    for batch in batches:
        for name, encoder in engines.items():
            try:
                for _ in range(BURN_IN):
                    encoder.encode(*inputs[batch])
                turns.append((name, batch))
            except UserError as error:
                left_out.append(f"{name}, {batch} hands: {error}")
    times, gpu = _timed(engines, turns, inputs, rounds, seed, clock, progress)
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


def _timed(
    engines: Mapping[str, Encoder],
    turns: Sequence[Turn],
    inputs: Mapping[int, Hands],
    rounds: int,
    seed: int,
    clock: Callable[[], float],
    progress: Callable[[int], None],
) -> tuple[dict[Turn, np.ndarray], dict[Turn, np.ndarray]]:
    """Milliseconds (rounds, CALLS) of every turn, and the GPU's of them, NaN where unknown."""
    times = {turn: np.full((rounds, CALLS), np.nan) for turn in turns}
    gpu = {turn: np.full((rounds, CALLS), np.nan) for turn in turns}
    order, chance = list(turns), random.Random(seed)
    for done in range(rounds):
        chance.shuffle(order)
        for name, batch in order:
            encoder, given = engines[name], inputs[batch]
            encoder.encode(*given)  # brings back what the others took out of the caches
            for call in range(CALLS):
                began = clock()
                encoder.encode(*given)
                times[name, batch][done, call] = (clock() - began) * 1000
                inside = getattr(encoder, "gpu_ms", None)
                gpu[name, batch][done, call] = np.nan if inside is None else inside
        progress(done + 1)
    return times, gpu


def ratio_of(
    times: np.ndarray, base: np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> Ratio:
    """Of the medians of two (rounds, calls) arrays.

    Bootstrap over whole rounds, the same ones for both: what made a round slow made it slow for
    both, and calls of one round aren't independent.
    """
    drawn = np.random.default_rng(seed).integers(0, len(times), (resamples, len(times)))
    medians = [np.median(part[drawn].reshape(resamples, -1), axis=1) for part in (times, base)]
    low, high = np.percentile(medians[0] / medians[1], (2.5, 97.5))
    return Ratio(float(np.median(times) / np.median(base)), float(low), float(high))
