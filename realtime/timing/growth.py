"""What a soak shows: whether anything grew, or got slower, from early turns to late ones."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engines.say import how_many
from realtime.timing.soak import Turn


@dataclass(frozen=True)
class Figure:
    """One of a turn's figures.

    Attributes:
        name: With its unit.
        of: Reads it; None where the system doesn't tell it.
        most: Times the early turns' that it may be in late ones.
        least: Times the early turns' that it has to be.
    """

    name: str
    of: Callable[[Turn], float | None]
    most: float = math.inf
    least: float = 0.0


FIGURES = (
    Figure("memory while it runs, MiB", lambda turn: turn.running_mb),
    Figure("memory after it, MiB", lambda turn: turn.usage.memory_mb, most=1.4),
    Figure("allocated after it, MiB", lambda turn: turn.usage.allocated_mb, most=1.1),
    Figure("open handles", lambda turn: turn.usage.handles, most=1.0),
    Figure("threads", lambda turn: turn.usage.threads, most=1.0),
    Figure("frames a second", lambda turn: turn.fps, least=0.8),
    Figure("age p50, ms", lambda turn: turn.age_p50_ms, most=1.5),
    Figure("age p95, ms", lambda turn: turn.age_p95_ms),
)


def find_growth(turns: Sequence[Turn], figure: Figure) -> tuple[float, float] | None:
    """A figure of one source's early and late turns.

    The first turn, which loads what is then kept, isn't counted. Of the others, the median of the
    first third and that of the last: of three turns in all, the second and the last.

    Returns:
        None where it isn't known.
    """
    counted = turns[1:] or turns
    values = [value for turn in counted if (value := figure.of(turn)) is not None]
    if not values:
        return None
    third = max(len(values) // 3, 1)
    return statistics.median(values[:third]), statistics.median(values[-third:])


def by_source(turns: Sequence[Turn]) -> dict[str, list[Turn]]:
    """Each source's turns, in order."""
    sources = dict.fromkeys(turn.source for turn in turns)
    return {source: [turn for turn in turns if turn.source == source] for source in sources}


def faults_of(turns: Sequence[Turn]) -> list[str]:
    """What is wrong with a soak, a clause each; empty where nothing is."""
    faults = []
    for source, own in by_source(turns).items():
        for figure in FIGURES:
            early, late = find_growth(own, figure) or (0.0, 0.0)
            if not figure.least * early <= late <= (figure.most * early if early else math.inf):
                faults.append(f"{source}: {figure.name} went from {early:.0f} to {late:.0f}")
    empty = sum(turn.frames == 0 for turn in turns)
    torn = sum(turn.without_end for turn in turns)
    if empty:
        faults.append(f"{how_many(empty, 'turn')} without a frame")
    if torn:
        faults.append(f"{how_many(torn, 'event')} without a start or an end")
    return faults


def to_json(turns: Sequence[Turn]) -> dict[str, Any]:
    """The turns, and what is wrong with them, as JSON has it."""
    return {"faults": faults_of(turns), "turns": [dataclasses.asdict(turn) for turn in turns]}
