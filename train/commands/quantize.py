"""`run.py quantize`: an encoder in 8 bits, with its manifest and its report."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.options import detector_options, still_detector

NAME = "quantize"
HELP = "make an 8-bit encoder of a float one, with a report"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--onnx", type=Path, required=True, metavar="FILE", help="a float encoder's ONNX file")
    add(
        "--pictures",
        type=Path,
        required=True,
        metavar="DIR|FILE.npz",
        help="people to calibrate with and to measure on: <subject>/<label>/<image>, or what "
        "`prepare` wrote",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.onnx",
        help="where it goes, with its manifest and its report beside it",
    )
    add(
        "--folds",
        type=Path,
        metavar="DIR",
        help="what `cross-validate` left: measure on people whom no encoder was trained on, and "
        "fit the threshold",
    )
    detector_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from engines.say import print_result, tell
    from train.evaluation.quantize import lines, manifest_path, quantize_encoder, report_path

    out: Path = arguments.out
    report = quantize_encoder(
        arguments.onnx,
        arguments.pictures,
        out,
        still_detector(arguments),
        arguments.folds,
    )
    print_result("\n".join(lines(report)))
    tell(f"Wrote {out}, and beside it {manifest_path(out).name}, {report_path(out).name}.")
    if arguments.folds is None:
        tell(f"Fit its threshold with: python run.py calibrate DIR --encoder {out}")
