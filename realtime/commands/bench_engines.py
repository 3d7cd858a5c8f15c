"""`run.py bench-engines`: every engine that is available here, timed in one interleaved run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import encoder_option, names

if TYPE_CHECKING:
    from engines.selftest.bench import Bench, Row

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
    from rich.progress import Progress

    from engines.encoder import encoder_path
    from engines.files import check_writable
    from engines.say import console
    from engines.selftest.bench import bench
    from engines.selftest.candidates import open_engines
    from realtime.measuring.drawn_crops import drawn_crops

    check_writable(arguments.json)
    with open_engines(encoder_path(arguments.encoder), arguments.engines) as engines:
        size = {encoder.spec.crop_size for encoder in engines.values()}
        if len(size) > 1:
            raise UserError(f"These engines take crops of different sizes ({size}): name others.")
        hands = drawn_crops(max(BATCHES), size.pop() if size else 1)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("Timing", total=arguments.rounds)
            made = bench(
                engines,
                hands,
                BATCHES,
                arguments.rounds,
                progress=lambda done: bar.update(task, completed=done),
            )
    _print(made)
    if arguments.json:
        _write(arguments.json, made)


def _print(made: Bench) -> None:
    from realtime.measuring.report import print_left_out, print_table

    gpu = any(row.gpu_p50_ms is not None for row in made.rows)
    rows = []
    for row in made.rows:
        inside = "–" if row.gpu_p50_ms is None else f"{row.gpu_p50_ms:.2f}"
        times = [f"{row.p50_ms:.2f}", f"{row.p95_ms:.2f}", *([inside] if gpu else [])]
        rate = f"{row.hands_per_s:.0f}"
        rows.append([row.engine, str(row.batch), *times, rate, _ratio(row, made.baseline)])
    heads = ["p50 ms", "p95 ms", *(["GPU p50"] if gpu else []), "hands/s", "ratio"]
    print_table(["engine", "hands"], heads, rows)
    print(
        f"ratio: of the median time to that of {made.baseline}; in brackets its 95 % interval, "
        f"bootstrap over {made.rounds} rounds."
    )
    print_left_out(made.left_out)


def _ratio(row: Row, baseline: str) -> str:
    if row.engine == baseline or row.ratio is None:
        return "1" if row.engine == baseline else "–"
    return f"{row.ratio.value:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"


def _write(path: Path, made: Bench) -> None:
    import dataclasses
    import json

    from engines.files import explain_errors, write_file
    from engines.selftest.machine import facts

    text = json.dumps({"machine": facts(), **dataclasses.asdict(made)}, indent=2)
    with explain_errors(f"--json can't write {path}"):
        write_file(path, text + "\n")
