"""`run.py bench-engines`: every engine that is available here, timed in one interleaved run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import encoder_option, names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engines.selftest.bench import Bench, Row
    from engines.selftest.outputs import Inputs, Network

NAME = "bench-engines"
HELP = "time every engine that is here"
BATCHES = (1, 2, 8)


def options(parser: argparse.ArgumentParser) -> None:
    encoder_option(parser)
    add = parser.add_argument
    add(
        "--engines",
        type=names,
        metavar="A,B,…",
        help="onnx:cpu, onnx:cuda, …, FILE.plan or another ONNX file of the encoder; the first is "
        "what ratios are to (all that work here)",
    )
    add("--rounds", type=int, default=100, metavar="N", help="turns of every engine (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")


def run(arguments: argparse.Namespace) -> None:
    from engines.encoder import encoder_path
    from engines.files import check_writable
    from engines.hand_networks import PALM
    from engines.selftest.candidates import open_engines, open_palms
    from engines.spec import to_floats
    from realtime.measuring.drawn_crops import drawn_crops

    check_writable(arguments.json)
    palms = None
    with open_engines(encoder_path(arguments.encoder), arguments.engines) as engines:
        size = {encoder.spec.crop_size for encoder in engines.values()}
        if len(size) > 1:
            raise UserError(f"These engines take crops of different sizes ({size}): name others.")
        hands = drawn_crops(max(BATCHES), size.pop() if size else 1)
        made = _time(engines, hands, arguments.rounds)
        if any(encoder.spec.one_pass for encoder in engines.values()):
            pictures = to_floats(drawn_crops(max(BATCHES), PALM.size).crops)
            with open_palms(engines) as networks:
                palms = _time(networks, pictures, arguments.rounds) if networks else None
    _print(made, "engine", "hands")
    if palms:
        _print(palms, "palm network", "pictures")
    if arguments.json:
        _write(arguments.json, made, palms)


def _time(engines: Mapping[str, Network], inputs: Inputs, rounds: int) -> Bench:
    """Time the engines with a progress bar."""
    from rich.progress import Progress

    from engines.say import console
    from engines.selftest.bench import bench

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Timing", total=rounds)
        return bench(
            engines,
            inputs,
            BATCHES,
            rounds,
            progress=lambda done: bar.update(task, completed=done),
        )


def _print(made: Bench, what: str, counted: str) -> None:
    from realtime.measuring.report import print_left_out, print_table

    gpu = any(row.gpu_p50_ms is not None for row in made.rows)
    rows = []
    for row in made.rows:
        inside = "–" if row.gpu_p50_ms is None else f"{row.gpu_p50_ms:.2f}"
        times = [f"{row.p50_ms:.2f}", f"{row.p95_ms:.2f}", *([inside] if gpu else [])]
        rate = f"{row.hands_per_s:.0f}"
        rows.append([row.engine, str(row.batch), *times, rate, _ratio(row, made.baseline)])
    heads = ["p50 ms", "p95 ms", *(["GPU p50"] if gpu else []), f"{counted}/s", "ratio"]
    print_table([what, counted], heads, rows)
    print(
        f"ratio: of the median time to that of {made.baseline}; in brackets its 95 % interval, "
        f"bootstrap over {made.rounds} rounds."
    )
    print_left_out(made.left_out)


def _ratio(row: Row, baseline: str) -> str:
    if row.engine == baseline or row.ratio is None:
        return "1" if row.engine == baseline else "–"
    return f"{row.ratio.value:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"


def _write(path: Path, made: Bench, palms: Bench | None) -> None:
    import dataclasses

    from calibration.finite import json_text
    from engines.files import explain_errors, write_file
    from engines.selftest.machine import facts

    left = {"machine": facts(), **dataclasses.asdict(made)}
    left |= {"palm": dataclasses.asdict(palms)} if palms else {}
    text = json_text(left)
    with explain_errors(f"--json can't write {path}"):
        write_file(path, text + "\n")
