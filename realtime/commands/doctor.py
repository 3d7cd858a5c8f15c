"""`run.py doctor`: what is here, what is missing, and what to do about it.

`doctor` examines the machine for the live loop, `doctor engine FILE` an encoder's engines on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import UserError
from realtime.commands.options import encoder_option, encoder_options

NAME = "doctor"
HELP = "check this machine, or an engine on it, and say what to do"
REPORT = Path("engine-report.json")


def options(parser: argparse.ArgumentParser) -> None:
    encoder_options(parser)
    text = "test what runs an encoder here, with a report for a bug report"
    checks = parser.add_subparsers(dest="check", metavar="[engine]")
    engine = checks.add_parser("engine", help=text, description=text)
    add = engine.add_argument
    add("file", type=Path, metavar="FILE", help="an encoder's ONNX file, or a TensorRT plan")
    encoder_option(engine, default=argparse.SUPPRESS, help="the encoder that a plan is of")
    add(
        "--int8",
        type=Path,
        metavar="FILE.onnx",
        help="with an ONNX file: the same encoder, quantised (FILE-int8.onnx, if there)",
    )
    add(
        "--json",
        type=Path,
        default=REPORT,
        metavar="FILE",
        help="where the report goes (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    fine = _test_engine(arguments) if arguments.check == "engine" else _examine(arguments)
    if not fine:
        raise UserError("Something doesn't work that should: see what is marked wrong above.")


def _examine(arguments: argparse.Namespace) -> bool:
    """Examine the machine; → whether nothing is wrong."""
    from engines.encoder import engine_kind
    from realtime.doctor.examine import examine
    from realtime.measuring.report import print_finding

    if engine_kind(arguments.engine)[0] in ("plan", "encoder"):
        raise UserError(
            f"A file is tested with: python run.py doctor engine {arguments.engine} (doctor's "
            "--engine takes the name of an engine, such as onnx or onnx:cuda)."
        )
    fine = True
    for finding in examine(
        arguments.encoder, arguments.engine, arguments.detector, arguments.hand_model
    ):
        print_finding(finding)
        fine = fine and finding.ok is not False
    return fine


def _test_engine(arguments: argparse.Namespace) -> bool:
    """Test an encoder's engines, or one plan; → whether nothing is wrong."""
    from engines.encoder import engine_kind
    from engines.files import check_writable
    from engines.say import tell
    from engines.selftest.trials import Effort
    from realtime.doctor.selftest import self_test

    if engine_kind(arguments.file.name)[0] not in ("plan", "encoder"):
        raise UserError(f"doctor engine takes FILE.onnx or FILE.plan; got {arguments.file}.")
    for file in (arguments.file, *([arguments.int8] if arguments.int8 else [])):
        if not file.is_file():
            raise UserError(f"There is no {file} to test: name an ONNX file or a plan.")
    check_writable(arguments.json)
    fine = self_test(arguments.file, arguments.encoder, arguments.int8, arguments.json, Effort())
    tell(f"Wrote {arguments.json}: it names no people or folders; attach it to a bug report.")
    return fine
