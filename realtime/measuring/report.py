"""Tables on stdout for the commands that measure and examine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from calibration.threshold import GALLERY_SIZE, Calibration
from engines.finding import Finding
from engines.say import plain
from realtime.measuring.evaluate import EvaluationReport


def print_table(
    words: Sequence[str], figures: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Print rows of words, then figures.

    Args:
        words: Heads of the first columns.
        figures: Heads of the other columns, which aren't broken over lines.
        rows: Of each row, as many texts as there are columns.
    """
    table = Table()
    for head in words:
        table.add_column(plain(head))
    for head in figures:
        table.add_column(plain(head), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(plain, row))
    Console(highlight=False).print(table)


def print_left_out(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        Console(highlight=False).print(plain(f"left out – {sentence}"))


def print_finding(finding: Finding) -> None:
    """Whether it is well, what was found, and below that what to do."""
    console = Console(highlight=False)
    mark = {True: ("ok   ", "green"), False: ("wrong", "red"), None: ("–    ", "")}[finding.ok]
    console.print(Text.assemble(mark, plain(f"  {finding.what}: {finding.found}")), soft_wrap=True)
    if finding.advice:
        console.print(plain(f"       → {finding.advice}"), soft_wrap=True)


def print_report(report: EvaluationReport) -> None:
    """A row per figure, a column per encoder; then what is missing and why."""
    console = Console(highlight=False)
    missing = sum(report.not_found.values())
    console.print(
        f"{report.pictures} pictures, {report.subjects} people, {report.labels} labels; "
        f"no hand found in {missing} ({missing / report.pictures:.1%})"
    )
    names = list(dict.fromkeys(name for row in report.rows.values() for name in row))
    rows = [
        [row, *(str(figures[name]) if name in figures else "–" for name in names)]
        for row, figures in report.rows.items()
    ]
    print_table([""], names, rows)
    if report.rows:
        console.print("In brackets: 95 % intervals, bootstrap over (person, label) groups.")
    print_left_out(report.left_out)
    if report.not_found:
        worst = sorted(report.not_found.items(), key=lambda item: -item[1])[:12]
        counts = ", ".join(f"{label} {count}" for label, count in worst)
        console.print(plain(f"no hand found, by label: {counts}"))


def print_calibration(calibration: Calibration, path: Path) -> None:
    figures = calibration.report
    for line in (
        f"Fitted on {calibration.fitted_on}, {GALLERY_SIZE} gestures recorded.",
        f"threshold {calibration.threshold:.3f}, margin {calibration.min_margin:.3f}: "
        f"{figures['false_accepts']:.2%} false accepts, "
        f"{figures['correct_accepts']:.1%} correct accepts on these people.",
        f"expected calibration error: {figures['ece_before']:.3f} of the raw similarity, "
        f"{figures['ece_after']:.3f} of the fitted probability.",
        f"Wrote {path}.",
    ):
        Console(highlight=False).print(plain(line))
