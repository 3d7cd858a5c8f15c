"""Tables on stdout for the commands that measure and examine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from calibration.threshold import GALLERY_SIZE, Calibration
from engines.finding import Finding
from realtime.measuring.evaluate import EvaluationReport


def print_report(report: EvaluationReport) -> None:
    """A row per figure, a column per encoder; then what is missing and why."""
    console = Console(highlight=False)
    missing = sum(report.not_found.values())
    console.print(
        f"{report.pictures} pictures, {report.subjects} people, {report.labels} labels; "
        f"no hand found in {missing} ({missing / report.pictures:.1%})"
    )
    names = list(dict.fromkeys(name for row in report.rows.values() for name in row))
    table = Table("")
    for name in names:
        table.add_column(name, no_wrap=True)
    for row, figures in report.rows.items():
        cells = [Text(str(figures[name]) if name in figures else "–") for name in names]
        table.add_row(row, *cells)
    console.print(table)
    if report.rows:
        console.print("In brackets: 95 % intervals, bootstrap over (person, label) groups.")
    for sentence in report.left_out:
        console.print(Text(f"left out – {sentence}"))
    if report.not_found:
        worst = sorted(report.not_found.items(), key=lambda item: -item[1])[:12]
        counts = ", ".join(f"{label} {count}" for label, count in worst)
        console.print(Text(f"no hand found, by label: {counts}"))


def print_calibration(calibration: Calibration, path: Path) -> None:
    figures = calibration.report
    Console(highlight=False).print(
        Text(
            f"Fitted on {calibration.fitted_on}, {GALLERY_SIZE} gestures recorded.\n"
            f"threshold {calibration.threshold:.3f}, margin {calibration.min_margin:.3f}: "
            f"{figures['false_accepts']:.2%} false accepts, "
            f"{figures['correct_accepts']:.1%} correct accepts on these people.\n"
            f"expected calibration error: {figures['ece_before']:.3f} of the raw similarity, "
            f"{figures['ece_after']:.3f} of the fitted probability.\n"
            f"Wrote {path}."
        )
    )


def print_findings(findings: Iterable[Finding]) -> bool:
    """→ whether nothing is wrong."""
    table = Table("", "")
    table.add_column("found", overflow="fold")
    table.add_column("what to do", overflow="fold")
    fine = True
    for finding in findings:
        fine = fine and finding.ok is not False
        mark = {True: "[green]ok[/]", False: "[red]wrong[/]", None: "–"}[finding.ok]
        table.add_row(Text(finding.what), mark, Text(finding.found), Text(finding.advice))
    Console(highlight=False).print(table)
    return fine
