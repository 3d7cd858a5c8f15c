"""`run.py bench-engines`: every engine that is available here, timed in one interleaved run."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from engines.files import check_writable

if TYPE_CHECKING:
    from engines.encoder import Encoder
    from engines.selftest.bench import Bench, Row

BATCHES = (1, 2, 8)


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--encoder", default="default", metavar="default|landmarks|FILE.onnx",
        help="what embeds hands (default)")  # fmt: skip
    add("--engines", type=lambda text: text.split(","), metavar="A,B,…",
        help="onnx:cpu, onnx:cuda, …, FILE.plan or another ONNX file of the encoder; the first is "
        "what ratios are to (all that work here)")  # fmt: skip
    add("--rounds", type=int, default=100, metavar="N", help="turns of every engine (100)")
    add("--json", type=Path, metavar="FILE")


def bench_engines(arguments: argparse.Namespace) -> None:
    """Raises UserError where an engine that was named can't be had, or nothing can be written."""
    from rich.progress import Progress

    from engines.encoder import encoder_path
    from engines.say import console, warn
    from engines.selftest.bench import bench
    from engines.selftest.machine import facts
    from realtime.measuring.drawn_crops import drawn_crops

    check_writable(arguments.json)
    onnx = encoder_path(arguments.encoder)
    engines: dict[str, Encoder] = {}
    try:
        for name in arguments.engines or there(onnx):
            try:
                encoder = opened(name, onnx)
                if arguments.engines or _belongs(name, encoder, list(engines.values())):
                    engines[label(name, engines)] = encoder
                    continue
                encoder.close()
                raise UserError("it holds another encoder.")
            except UserError as error:
                if arguments.engines:
                    raise
                warn(f"left out – {name}: {error}")
        size = {encoder.spec.crop_size for encoder in engines.values()}
        if len(size) > 1:
            raise UserError(f"These engines take crops of different sizes ({size}): name others.")
        hands = drawn_crops(max(BATCHES), size.pop() if size else 1)
        with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("Timing", total=arguments.rounds)
            made = bench(engines, hands, BATCHES, arguments.rounds,
                         progress=lambda done: bar.update(task, completed=done))  # fmt: skip
    finally:
        for encoder in engines.values():
            encoder.close()
    print_bench(made)
    if arguments.json:
        write(arguments.json, made, facts())


def there(onnx: Path) -> list[str]:
    """Engines that the encoder may have here: ONNX Runtime's, and files that lie beside it."""
    from engines.onnx_runtime.session import list_providers

    stem = onnx.with_suffix("").name
    plans = sorted({*onnx.parent.glob(f"{stem}.plan"), *onnx.parent.glob(f"{stem}-*.plan")})
    quantised = onnx.with_name(f"{stem}-int8.onnx")
    files = [*([quantised] if quantised.is_file() else []), *plans]
    return [*(f"onnx:{name}" for name in list_providers()), *map(str, files)]


def opened(name: str, onnx: Path) -> Encoder:
    """onnx:PROVIDER, FILE.plan or FILE.onnx. Raises UserError where it can't be had."""
    from engines.onnx_runtime.encoder import OnnxEncoder

    if name == "onnx" or name.startswith("onnx:"):
        return OnnxEncoder(onnx, name.partition(":")[2] or "cpu")
    if name.endswith((".plan", ".onnx")) and not Path(name).is_file():
        raise UserError(f"There is no {name}: --engines takes files that are there.")
    if name.endswith(".onnx"):
        return OnnxEncoder(Path(name))
    if name.endswith(".plan"):
        from engines.tensorrt.encoder import open_plan

        return open_plan(Path(name))
    raise UserError(
        f"--engines takes onnx:cpu, onnx:cuda and the like, FILE.plan and FILE.onnx; got {name!r}."
    )


def _belongs(name: str, encoder: Encoder, others: Sequence[Encoder]) -> bool:
    """Whether a file found beside an encoder's is made of it: quantised, or a plan of either."""
    if name.endswith(".onnx"):
        return dataclasses.replace(encoder.spec, name=others[0].spec.name) == others[0].spec
    return not others or encoder.fingerprint in {other.fingerprint for other in others}


def label(name: str, taken: Container[str]) -> str:
    """A file without its folder; numbered, where that is there already."""
    short = Path(name).name if name.endswith((".plan", ".onnx")) else name
    numbered = (f"{short} ({number})" for number in itertools.count(2))
    return next(each for each in itertools.chain([short], numbered) if each not in taken)


def print_bench(made: Bench) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table("engine", "hands")
    gpu = any(row.gpu_p50_ms is not None for row in made.rows)
    for column in ("p50 ms", "p95 ms", *(("GPU p50",) if gpu else ()), "hands/s", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in made.rows:
        inside = "–" if row.gpu_p50_ms is None else f"{row.gpu_p50_ms:.2f}"
        table.add_row(
            Text(row.engine),
            str(row.batch),
            f"{row.p50_ms:.2f}",
            f"{row.p95_ms:.2f}",
            *((inside,) if gpu else ()),
            f"{row.hands_per_s:.0f}",
            _ratio(row, made.baseline),
        )
    console.print(table)
    console.print(
        f"ratio: of the median time to that of {made.baseline}; in brackets its 95 % interval, "
        f"bootstrap over {made.rounds} rounds.",
        soft_wrap=True,
    )
    for sentence in made.left_out:
        console.print(Text(f"left out – {sentence}"))


def _ratio(row: Row, baseline: str) -> str:
    if row.engine == baseline or row.ratio is None:
        return "1" if row.engine == baseline else "–"
    return f"{row.ratio.value:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"


def write(path: Path, made: Bench, machine: dict[str, object]) -> None:
    from engines.files import replace_file

    text = json.dumps({"machine": machine, **dataclasses.asdict(made)}, indent=2)
    try:
        with replace_file(path) as file:
            file.write((text + "\n").encode())
    except OSError as error:
        raise UserError(f"--json can't write {path} ({error.strerror}).") from None
