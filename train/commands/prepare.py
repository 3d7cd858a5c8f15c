"""`run.py prepare`: the hands of people's pictures, found and cut out for training."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.options import detector_options, still_detector

NAME = "prepare"
HELP = "cut the hands out of people's pictures, once, for training"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dirs", type=Path, nargs="+", metavar="DIR", help="a set: DIR/<subject>/<label>/<image>")
    add("--out", type=Path, required=True, metavar="FILE.npz")
    detector_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from engines.files import check_writable
    from realtime.hands.opening import networks_mark
    from train.pictures.prepare import prepare

    check_writable(arguments.out)
    mark = networks_mark(arguments.detector, arguments.hand_model)
    prepare(arguments.dirs, still_detector(arguments), mark, arguments.out)
