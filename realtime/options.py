"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import argparse
from pathlib import Path


def encoder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", default="default", metavar="default|landmarks|FILE.onnx",
                        help="what embeds hands (default)")  # fmt: skip
    parser.add_argument("--engine", default="auto", metavar="auto|onnx",
                        help="what runs the encoder (auto)")  # fmt: skip
    parser.add_argument("--hand-model", metavar="FILE", help="MediaPipe's hand_landmarker.task")


def source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--camera",
        default="0",
        help="index, device, URL, video file, folder of pictures, or demo (0)",
    )
    parser.add_argument("--size", type=_size, metavar="WxH", help="asked of the camera")
    parser.add_argument("--fps", type=float, help="asked of the camera")
    parser.add_argument("--mirrored", action="store_true", help="the source is a mirror image")
    parser.add_argument("--realtime", action="store_true", help="pace a video like a camera")
    parser.add_argument("--hands", type=int, choices=(1, 2), default=2, help="hands at most")
    parser.add_argument("--gallery", metavar="DIR", help="recorded gestures (gestures/)")


def live_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--view",
        choices=("window", "terminal", "none"),
        help="default: a window where there is a display, else the terminal",
    )
    parser.add_argument("--events", metavar="FILE|-", help="write JSON Lines; - is stdout")
    parser.add_argument("--log-frames", action="store_true", help="a line per frame as well")
    parser.add_argument("--save", type=Path, metavar="FILE.mp4", help="save what is shown")
    parser.add_argument("--max-frames", type=_count, metavar="N", help="stop after N frames")


def gesture_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    positional = {
        "list": [], "rename": ["old", "new"], "delete": ["label"], "export": ["file"],
        "import": ["file"],
    }  # fmt: skip
    where = "recorded gestures (gestures/)"
    parser.add_argument("--gallery", metavar="DIR", help=where)
    for name, arguments in positional.items():
        action = actions.add_parser(name, allow_abbrev=False)
        for argument in arguments:
            kind = Path if argument == "file" else str
            action.add_argument(argument, type=kind)
        action.add_argument("--gallery", metavar="DIR", default=argparse.SUPPRESS, help=where)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"1280x720 is the form; got {text!r}") from None
    if width <= 0 or height <= 0:
        raise argparse.ArgumentTypeError(f"width and height are positive; got {text!r}")
    return width, height


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number from 0 on is expected; got {text!r}")
    return int(text)
