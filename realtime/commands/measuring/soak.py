"""`run.py soak`: the live loop for minutes or hours, with faults; does anything grow?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import encoder_options, positive, settings_of

if TYPE_CHECKING:
    from realtime.timing.growth import Growth
    from realtime.timing.soak import Turn

NAME = "soak"
HELP = "run the live loop for long, with faults, and see whether anything grows or slows down"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--minutes", type=positive, default=10.0, metavar="N", help="in all (%(default)g)")
    add("--json", type=Path, metavar="FILE", help="keep the figures there after every turn")
    add("--plot", type=Path, metavar="FILE.png", help="draw them over time")
    add("--seed", type=int, default=0, metavar="S", help="of what goes wrong (%(default)s)")
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    import json

    from engines.files import check_writable, explain_errors, write_file
    from engines.say import tell
    from realtime.timing.growth import faults_of, to_json
    from realtime.timing.plot import save_plot
    from realtime.timing.soak import soak

    check_writable(arguments.json)
    check_writable(arguments.plot)
    if arguments.seed < 0:
        raise UserError(f"--seed takes 0 or more; got {arguments.seed}.")
    turns: list[Turn] = []
    try:
        for turn in soak(settings_of(arguments), arguments.minutes, arguments.seed):
            turns.append(turn)
            tell(
                f"{turn.at_s / 60:.1f} minutes, {turn.source}: {turn.fps:.1f} frames a second, "
                f"age {turn.age_p50_ms:.0f} ms"
            )
            if arguments.json:
                with explain_errors(f"--json can't write {arguments.json}"):
                    write_file(arguments.json, json.dumps(to_json(turns), indent=1) + "\n")
    finally:  # what was measured before Ctrl-C counts, too
        if turns:
            _print(turns)
            if arguments.plot:
                save_plot(arguments.plot, turns)
    faults = faults_of(turns)
    if faults:
        raise UserError(
            f"The soak shows faults: {'; '.join(faults)}. Run it again on an idle machine."
        )
    print("Nothing grew, nothing got slower, and every start has its end.")


def _print(turns: Sequence[Turn]) -> None:
    """A row per source, from its second turn to its last."""
    from realtime.measuring.report import print_table
    from realtime.timing.growth import LEAST_FPS, MOST_AGE, MOST_MEMORY, find_growth

    growths = find_growth(turns)
    columns = [_figures(g, [t for t in turns if t.source == g.source]) for g in growths]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    print_table(["second turn → last"], [growth.source for growth in growths], rows)
    print(
        "Memory is resident; it, handles and threads are read once a turn's session is closed. "
        "Age: from a stream's capture, else from when the loop took the frame, to the result. A "
        f"fault: more handles or threads, memory × {MOST_MEMORY:g}, frames a second × "
        f"{LEAST_FPS:g}, median age × {MOST_AGE:g}, a start without an end."
    )


def _figures(growth: Growth, turns: Sequence[Turn]) -> dict[str, str]:
    """A source's figures by name."""
    early, late = growth.early, growth.late
    frames, dropped = sum(turn.frames for turn in turns), sum(turn.dropped for turn in turns)
    return {
        "turns": str(growth.turns),
        "memory, MiB": _arrow(early.usage.memory_mb, late.usage.memory_mb),
        "open handles": _arrow(early.usage.handles, late.usage.handles),
        "threads": _arrow(early.usage.threads, late.usage.threads),
        "frames a second": _arrow(early.fps, late.fps),
        "age p50, ms": _arrow(early.age_p50_ms, late.age_p50_ms),
        "age p95, ms": _arrow(early.age_p95_ms, late.age_p95_ms),
        "frames": str(frames),
        "dropped": f"{dropped / max(frames + dropped, 1):.1%}",
        "starts": str(sum(turn.starts for turn in turns)),
        "without start or end": str(sum(turn.without_end for turn in turns)),
    }


def _arrow(early: float | None, late: float | None) -> str:
    """Two figures; a dash where the system doesn't tell them."""
    if early is None or late is None:
        return "–"
    return f"{early:.0f} → {late:.0f}"
