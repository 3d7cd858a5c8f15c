"""What a soak shows: whether anything grew, or got slower, from early turns to late ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines.say import how_many
from realtime.timing.soak import Turn

MOST_MEMORY = 1.1  # of a source's last turn to its second: allocators keep some
LEAST_FPS = 0.8
MOST_AGE = 1.5  # of the median


@dataclass(frozen=True)
class Growth:
    """From a source's second turn, when all that is kept has been loaded, to its last.

    Attributes:
        source: Of the turns.
        turns: How many it had.
        early: Its second turn, or its only one.
        late: Its last turn.
        grown: Clauses: what grew, or got worse.
    """

    source: str
    turns: int
    early: Turn
    late: Turn
    grown: tuple[str, ...]


def find_growth(turns: Sequence[Turn]) -> list[Growth]:
    """Compare each source's turns."""
    found = []
    for source in dict.fromkeys(turn.source for turn in turns):
        own = [turn for turn in turns if turn.source == source]
        early, late = own[1 if len(own) > 1 else 0], own[-1]
        found.append(Growth(source, len(own), early, late, tuple(_worse(early, late))))
    return found


def faults_of(turns: Sequence[Turn]) -> list[str]:
    """What is wrong with a soak, a clause each; empty where nothing is."""
    grown = [f"{g.source}: {what}" for g in find_growth(turns) for what in g.grown]
    empty = sum(turn.frames == 0 for turn in turns)
    unwhole = sum(turn.without_end for turn in turns)
    if empty:
        grown.append(f"{how_many(empty, 'turn')} without a frame")
    if unwhole:
        grown.append(f"{how_many(unwhole, 'event')} without a start or an end")
    return grown


def to_json(turns: Sequence[Turn]) -> dict[str, Any]:
    """The turns, and what is wrong with them, as JSON has it."""
    return {"faults": faults_of(turns), "turns": [dataclasses.asdict(turn) for turn in turns]}


def _worse(early: Turn, late: Turn) -> Iterator[str]:
    before, after = early.usage, late.usage
    if before.memory_mb and after.memory_mb and after.memory_mb > MOST_MEMORY * before.memory_mb:
        yield f"memory grew from {before.memory_mb:.0f} to {after.memory_mb:.0f} MiB"
    if before.handles is not None and after.handles is not None and after.handles > before.handles:
        yield f"open handles grew from {before.handles} to {after.handles}"
    if after.threads > before.threads:
        yield f"threads grew from {before.threads} to {after.threads}"
    if late.fps < LEAST_FPS * early.fps:
        yield f"frames a second fell from {early.fps:.1f} to {late.fps:.1f}"
    if late.age_p50_ms > MOST_AGE * early.age_p50_ms:
        yield f"the median age grew from {early.age_p50_ms:.0f} to {late.age_p50_ms:.0f} ms"
