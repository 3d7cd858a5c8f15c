"""`run.py record`: one reference of a gesture into the gallery."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import UserError
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
    parser.add_argument(
        "--negative",
        action="store_true",
        help="what is shown is no gesture, though it was taken for this one",
    )
    gallery_option(parser)
    keep_option(parser)
    camera_options(parser)
    mirror_hands_option(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.image is not None:
        _refuse_camera_options(arguments)
    from realtime.views.record import run_record

    run_record(
        settings_of(arguments),
        arguments.label,
        arguments.image,
        arguments.replace,
        arguments.negative,
    )


def _refuse_camera_options(arguments: argparse.Namespace) -> None:
    """A picture is no camera, and gives one view."""
    given = [f"--{name}" for name in ("camera", "size", "fps") if vars(arguments).get(name)]
    given += ["--keep"] if getattr(arguments, "keep", 1) != 1 else []
    if given:
        raise UserError(
            f"--image records one view, from a picture: leave out {' and '.join(given)}, or leave "
            "out --image to record from a camera."
        )
