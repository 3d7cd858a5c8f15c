"""`run.py record`: one reference of a gesture into the gallery."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.options import (
    camera_options,
    encoder_options,
    gallery_option,
    keep_option,
    mirror_hands_option,
    settings_of,
)

NAME = "record"
HELP = "record one reference of a gesture"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("label", help="the gesture's name, any text")
    parser.add_argument("--image", type=Path, help="record from this picture instead")
    parser.add_argument("--replace", action="store_true", help="earlier references go to the trash")
    gallery_option(parser)
    keep_option(parser)
    camera_options(parser)
    mirror_hands_option(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from realtime.views.record import run_record

    run_record(settings_of(arguments), arguments.label, arguments.image, arguments.replace)
