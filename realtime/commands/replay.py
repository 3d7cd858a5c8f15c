"""`run.py replay`: the live loop, measured on a video whose segments are labelled."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.options import encoder_options, every_frame_option, names, settings_of

NAME = "replay"
HELP = "measure the live loop on a video whose gestures are labelled"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("video", metavar="VIDEO", help="each gesture is recorded from it, then recognised in it")
    add(
        "segments",
        type=Path,
        metavar="SEGMENTS.json",
        help='{"segments": [{"label", "first_frame", "last_frame"}, …]}',
    )
    add(
        "--leave-out",
        type=names,
        default=[],
        metavar="A,B,…",
        help="labels that aren't recorded, and should stay unknown",
    )
    add(
        "--references",
        type=Path,
        metavar="DIR",
        help="record from these pictures instead: DIR/…/<label>/<image>",
    )
    add(
        "--other-hand",
        action="store_true",
        help="recognise the mirror image: the hand that wasn't recorded",
    )
    every_frame_option(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from calibration.finite import json_text
    from engines.files import check_folder
    from engines.say import print_result
    from realtime.measuring.replay import read_segments, replay

    figures = replay(
        replace(settings_of(arguments), camera=arguments.video),
        read_segments(arguments.segments),
        arguments.leave_out,
        check_folder(arguments.references) if arguments.references else None,
        arguments.other_hand,
    )
    print_result(json_text(figures, ensure_ascii=False))
