"""`run.py doctor --engine FILE`: the self-test of an encoder's engines, shown and written down."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import UserError
from engines.files import check_writable

if TYPE_CHECKING:
    from engines.encoder import EncoderInputs
    from engines.finding import Finding
    from engines.selftest.trials import Effort

REPORT = Path("engine-report.json")
SUFFIXES = (".onnx", ".plan")


def options(parser: argparse.ArgumentParser) -> None:
    """What `doctor` takes besides the encoder's options."""
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE",
        help=f"with --engine FILE: where the report goes ({REPORT})")  # fmt: skip
    add("--int8", type=Path, metavar="FILE.onnx",
        help="with --engine FILE.onnx: the same, quantised (FILE-int8.onnx, if there)")  # fmt: skip


def selftest(arguments: argparse.Namespace) -> None:
    """Where --engine names a file. Raises UserError where something doesn't work that should."""
    from engines.selftest.trials import Effort

    file, report = Path(arguments.engine), arguments.json or REPORT
    for path in (file, *([arguments.int8] if arguments.int8 else [])):
        if not path.is_file():
            raise UserError(f"There is no {path} to test: --engine takes FILE.onnx or FILE.plan.")
    check_writable(report)
    fine = examine(file, arguments.encoder, arguments.int8, report, Effort())
    print(f"Wrote {report}: it names no people or folders; attach it to a bug report.",
          file=sys.stderr)  # fmt: skip
    if not fine:
        raise UserError("Something doesn't work that should: see what is marked wrong above.")


def examine(file: Path, encoder: str, int8: Path | None, report: Path, effort: Effort) -> bool:
    """Run the self-test, print each finding as it comes, keep the report up to date; → all well."""
    from engines.encoder import ENCODERS
    from engines.selftest.bug_report import collect_private, write
    from engines.selftest.machine import facts

    known = {"tested": file.name, "effort": vars(effort), "machine": facts()}
    named = [file, *([int8] if int8 else []), *([] if encoder in ENCODERS else [Path(encoder)])]
    hidden, found = collect_private(named), []
    with tempfile.TemporaryDirectory() as folder:
        for finding in shown(_findings(file, encoder, int8, Path(folder), effort)):
            found.append(finding)
            # Written again and again: a driver may take the whole program with it.
            write(report, known, found, hidden, finished=False)
    write(report, known, found, hidden, finished=True)
    print_latencies(found)
    return all(finding.ok is not False for finding in found)


def _findings(
    file: Path, encoder: str, int8: Path | None, folder: Path, effort: Effort
) -> Iterator[Finding]:
    from engines.encoder import encoder_path
    from engines.selftest.machine import find_gpu
    from engines.selftest.selftest import examine_encoder, examine_plan
    from realtime.measuring.drawn_crops import drawn_crops

    def draw(size: int) -> EncoderInputs:
        print(f"Drawing {effort.hands} hands.", file=sys.stderr)
        return drawn_crops(effort.hands, size)

    if file.suffix == ".plan":
        return examine_plan(file, encoder_path(encoder), draw, find_gpu(), effort)
    beside = file.with_name(f"{file.stem}-int8.onnx")
    int8 = int8 or (beside if beside.is_file() else None)
    return examine_encoder(file, int8, draw, find_gpu(), folder, effort)


def shown(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same, each printed on the way: what, whether it is well, what to do."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    marks = {True: ("ok   ", "green"), False: ("wrong", "red"), None: ("–    ", "")}
    for finding in findings:
        line = Text.assemble(marks[finding.ok], f"  {finding.what}: {finding.found}")
        console.print(line, soft_wrap=True)
        if finding.advice:
            console.print(Text(f"       → {finding.advice}"), soft_wrap=True)
        yield finding


def print_latencies(findings: Iterable[Finding]) -> None:
    """A row per engine and number of hands; the GPU's part and the host's where they are known."""
    from rich.console import Console
    from rich.table import Table

    rows: list[tuple[str, str, dict[str, Any]]] = [
        (finding.what.removesuffix(": speed"), hands, figures)
        for finding in findings
        for hands, figures in finding.figures.get("latency_ms", {}).items()
    ]
    names = {"p50": "p50", "p95": "p95", "p99": "p99"}
    if any("gpu_p50" in figures for _, _, figures in rows):
        names |= {"gpu_p50": "GPU p50", "host_p50": "host p50"}
    table = Table("milliseconds", "hands")
    for column in names.values():
        table.add_column(column, justify="right", no_wrap=True)
    for engine, hands, figures in rows:
        cells = [f"{figures[name]:.2f}" if name in figures else "–" for name in names]
        table.add_row(engine, hands, *cells)
    if rows:
        Console(highlight=False).print(table)
