"""The self-test of `run.py doctor engine FILE`: an encoder's engines, shown and written down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from engines.encoder import ENCODERS, encoder_path
from engines.files import temporary_folder
from engines.finding import Finding
from engines.say import tell
from engines.selftest import machine
from engines.selftest.bug_report import collect_private, write
from engines.selftest.selftest import examine_encoder, examine_plan
from engines.selftest.trials import Effort
from engines.spec import EncoderInputs
from realtime.measuring.drawn_crops import drawn_crops
from realtime.measuring.report import print_finding, print_table


def self_test(file: Path, encoder: str, int8: Path | None, report: Path, effort: Effort) -> bool:
    """Test a plan, or everything that can run an encoder here; print and report each finding.

    Args:
        file: FILE.onnx or FILE.plan.
        encoder: What `--encoder` names; of a plan, the encoder that it is of.
        int8: The encoder of `file`, quantised; None for the file beside it, if there is one.
        report: Where the findings go as JSON. It is written anew after each of them: a driver may
            take the whole program with it.
        effort: How much is tried.

    Returns:
        Whether nothing is wrong.
    """
    known = {"tested": file.name, "effort": vars(effort), "machine": machine.facts()}
    named = [file, *([int8] if int8 else []), *([] if encoder in ENCODERS else [Path(encoder)])]
    hidden, found = collect_private(named), []
    with temporary_folder() as folder:
        for finding in _findings(file, encoder, int8, folder, effort):
            print_finding(finding)
            found.append(finding)
            write(report, known, found, hidden, finished=False)
    write(report, known, found, hidden, finished=True)
    _print_latencies(found)
    return all(finding.ok is not False for finding in found)


def _findings(
    file: Path, encoder: str, int8: Path | None, folder: Path, effort: Effort
) -> Iterator[Finding]:
    def draw(size: int) -> EncoderInputs:
        tell(f"Drawing {effort.hands} hands.")
        return drawn_crops(effort.hands, size)

    if file.suffix == ".plan":
        return examine_plan(file, encoder_path(encoder), draw, machine.find_gpu(), effort)
    beside = file.with_name(f"{file.stem}-int8.onnx")
    int8 = int8 or (beside if beside.is_file() else None)
    return examine_encoder(file, int8, draw, machine.find_gpu(), folder, effort)


def _print_latencies(findings: Iterable[Finding]) -> None:
    """A row per engine and number of hands; the GPU's part and the host's where they are known."""
    timed = [
        (finding.what.removesuffix(": speed"), hands, figures)
        for finding in findings
        for hands, figures in finding.figures.get("latency_ms", {}).items()
    ]
    names = {"p50": "p50", "p95": "p95", "p99": "p99"}
    if any("gpu_p50" in figures for _, _, figures in timed):
        names |= {"gpu_p50": "GPU p50", "host_p50": "host p50"}
    rows = [
        [engine, hands, *(f"{figures[n]:.2f}" if n in figures else "–" for n in names)]
        for engine, hands, figures in timed
    ]
    if rows:
        print_table(["milliseconds", "hands"], list(names.values()), rows)
