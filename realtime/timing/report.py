"""Print what the parts of a frame cost, and how old results are."""

from __future__ import annotations

import dataclasses

import numpy as np

from engines.files import temporary_folder
from engines.say import tell
from realtime.measuring.report import print_table
from realtime.settings import Settings
from realtime.timing.age import Ages, measure_age
from realtime.timing.parts import GESTURES, MOST_MS, REFERENCES, VIEWS, open_parts, time_parts

ROUNDS = 300  # of the parts
FRAMES = 450  # of each stream: a quarter of a minute at 30 a second


def print_parts(settings: Settings) -> None:
    """Time the parts and print a table. Raises UserError."""
    with temporary_folder() as folder:
        parts = open_parts(dataclasses.replace(settings, gallery=str(folder)))
    rows = []
    for name, took in time_parts(parts, ROUNDS).items():
        p50, p95 = np.percentile(took, (50, 95))
        holds = f"≤ {MOST_MS:.0f} {'holds' if p50 <= MOST_MS else 'fails'}"
        rows.append([name, *(f"{value:.2f}" for value in (took.min(), p50, p95)), holds])
    print_table(["part"], ["least", "p50", "p95", "p50"], rows)
    print(
        "Milliseconds of one thread's processor time a frame of 640 × 480 with two hands; "
        f"{GESTURES} gestures × {REFERENCES} references × {VIEWS} views."
    )


def print_ages(settings: Settings) -> None:
    """Run the loop on paced streams and print a table. Raises UserError."""
    rows = []
    for name, fps, overload in (
        ("30", 30.0, False),
        ("30, overload", 30.0, True),
        ("60, overload", 60.0, True),
    ):
        tell(f"Frames a second: {name} …")
        rows.append([name, *_figures(measure_age(settings, fps, FRAMES, overload))])
    heads = ["age p50", "p95", "work p50", "p95", "handled", "growth"]
    print_table(["frames a second"], heads, rows)
    print(
        "Milliseconds from a frame's capture, drawn into it by the stream's process, until its "
        "result is handed to the outputs; work: the loop's own part of that; growth: median age of "
        "the last third to that of the first. Overload: a view that takes 100 ms of processor time "
        "a frame, and another process that keeps a core busy."
    )


def _figures(ages: Ages) -> list[str]:
    values = [*np.percentile(ages.age_ms, (50, 95)), *np.percentile(ages.work_ms, (50, 95))]
    return [*(f"{value:.0f}" for value in values), f"{ages.handled:.0%}", f"{ages.growth:.2f}"]
