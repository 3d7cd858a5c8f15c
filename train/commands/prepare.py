"""`run.py prepare`: the hands of people's pictures, found and cut out for training."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.options import hand_model_option

NAME = "prepare"
HELP = "cut the hands out of people's pictures, once, for training"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dirs", type=Path, nargs="+", metavar="DIR", help="a set: DIR/<subject>/<label>/<image>")
    add("--out", type=Path, required=True, metavar="FILE.npz")
    hand_model_option(parser)


def run(arguments: argparse.Namespace) -> None:
    from engines.files import check_writable
    from realtime.hands.model import hand_model
    from train.pictures.prepare import prepare

    check_writable(arguments.out)
    prepare(arguments.dirs, hand_model(arguments.hand_model), arguments.out)
