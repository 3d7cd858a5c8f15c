"""`run.py export`: the ONNX encoder of a trained checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from train.commands.options import name_option, training_packages

NAME = "export"
HELP = "make an ONNX encoder of a trained checkpoint"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="what `train` left")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    name_option(parser)


def run(arguments: argparse.Namespace) -> None:
    from engines.files import check_writable
    from engines.say import tell

    with training_packages():
        from train.encoder.export import export

        check_writable(arguments.out)
        mark, difference = export(arguments.checkpoint, arguments.out, arguments.name)
    tell(
        f"{arguments.out}: fingerprint {mark[:12]}, largest difference from PyTorch "
        f"{difference:.1e}."
    )
