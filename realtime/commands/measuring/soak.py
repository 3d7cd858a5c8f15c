"""`run.py soak`: the live loop for minutes or hours, with faults; does anything grow?"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import encoder_options, positive, settings_of

if TYPE_CHECKING:
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
    from calibration.finite import json_text
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
                    write_file(arguments.json, json_text(to_json(turns), indent=1) + "\n")
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
    print("No figure is beyond its bound, and every start has its end.")


def _print(turns: Sequence[Turn]) -> None:
    """A row per figure, a column per source."""
    from realtime.measuring.report import print_table
    from realtime.timing.growth import FIGURES, by_source, find_growth

    sources = by_source(turns)
    rows = [
        [figure.name, *(_arrow(find_growth(own, figure)) for own in sources.values())]
        for figure in FIGURES
    ]
    rows += [[name, *map(count, sources.values())] for name, count in COUNTS.items()]
    print_table(["early → late"], list(sources), rows)
    bounds = [f"{f.name} × {f.most:g}" for f in FIGURES if f.most < math.inf]
    bounds += [f"{f.name} × {f.least:g}" for f in FIGURES if f.least]
    print(
        "Medians of each source's turns without the first: of their first third and of their last. "
        "Memory is resident; after a turn, its session is closed, and freed memory given back. "
        "Allocated is what malloc has given out. "
        "Age: from a stream's capture, else from when the loop took the frame, to the result. "
        f"A fault is worse than: {', '.join(bounds)}."
    )


def _dropped(turns: Sequence[Turn]) -> str:
    frames, dropped = sum(turn.frames for turn in turns), sum(turn.dropped for turn in turns)
    return f"{dropped / max(frames + dropped, 1):.1%}"


COUNTS: dict[str, Callable[[Sequence[Turn]], str]] = {
    "turns": lambda turns: str(len(turns)),
    "frames": lambda turns: str(sum(turn.frames for turn in turns)),
    "dropped frames": _dropped,
    "starts": lambda turns: str(sum(turn.starts for turn in turns)),
    "without start or end": lambda turns: str(sum(turn.without_end for turn in turns)),
}


def _arrow(growth: tuple[float, float] | None) -> str:
    """Two figures; a dash where the system doesn't tell them."""
    return "–" if growth is None else f"{growth[0]:.0f} → {growth[1]:.0f}"
