"""`run.py live`, or just `run.py`: recognise gestures from a camera."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.options import (
    camera_options,
    encoder_options,
    every_frame_option,
    far_option,
    gallery_option,
    keep_option,
    mirror_hands_option,
    settings_of,
)
from realtime.settings import Settings

NAME = "live"
HELP = "recognise gestures from a camera (also without naming a command)"


def options(parser: argparse.ArgumentParser) -> None:
    camera_options(parser)
    add = parser.add_argument
    add("--realtime", action="store_true", help="pace a video like a camera")
    add("--hands", type=int, choices=(1, 2), default=Settings.hands, help="hands at most")
    every_frame_option(parser)
    gallery_option(parser)
    keep_option(parser)
    mirror_hands_option(parser)
    far_option(parser)
    encoder_options(parser)
    add(
        "--view",
        choices=("window", "terminal", "none"),
        help="default: a window where there is a display, else the terminal",
    )
    add("--events", metavar="FILE|-", help="write JSON Lines; - is stdout")
    add("--log-frames", action="store_true", help="a line per frame as well")
    add("--save", type=Path, metavar="FILE.mp4", help="save what is shown")
    add("--max-frames", type=_count, metavar="N", help="stop after N frames")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number from 0 on is expected; got {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> None:
    from realtime.views.live import Wanted, run_live

    wanted = Wanted(
        view=arguments.view,
        events=arguments.events,
        log_frames=arguments.log_frames,
        save=arguments.save,
        max_frames=arguments.max_frames,
    )
    run_live(settings_of(arguments), wanted, arguments.program)
