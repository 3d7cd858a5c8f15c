"""Options that several commands share, each declared once, with the defaults of Settings."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from realtime.settings import GALLERY, MOST_KEPT, Settings

if TYPE_CHECKING:
    from realtime.hands.detector import Detector


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings among a command's options; what isn't given is default."""
    names = {field.name for field in fields(Settings)}
    return Settings(**{name: value for name, value in vars(arguments).items() if name in names})


def encoder_options(parser: argparse.ArgumentParser) -> None:
    """What finds hands and what embeds them: --encoder, --engine, --detector, --hand-model."""
    encoder_option(parser)
    engine_option(parser)
    detector_options(parser)


def still_detector(arguments: argparse.Namespace) -> Callable[[], Detector]:
    """What opens the detector that the options name, for single pictures."""
    from realtime.hands.opening import open_detector

    kind, model = arguments.detector, arguments.hand_model
    return functools.partial(open_detector, kind, video=False, model=model)


def encoder_option(
    parser: argparse.ArgumentParser,
    default: str = Settings.encoder,
    help: str = "what embeds hands (%(default)s)",
) -> None:
    parser.add_argument(
        "--encoder", default=default, metavar="default|landmarks|FILE.onnx", help=help
    )


def engine_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        default=Settings.engine,
        metavar="auto|onnx|onnx:cuda|FILE.plan|triton://…",
        help="what runs the encoder and the networks that find hands (%(default)s)",
    )


def detector_options(parser: argparse.ArgumentParser) -> None:
    """What finds hands: --detector, --hand-model."""
    parser.add_argument(
        "--detector",
        choices=("engine", "mediapipe"),
        default=Settings.detector,
        help="what finds hands: MediaPipe's networks on our engine, or its package (%(default)s)",
    )
    hand_model_option(parser)


def hand_model_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hand-model",
        metavar="FILE",
        help="another hand_landmarker.task for MediaPipe's own detector",
    )


def camera_options(parser: argparse.ArgumentParser) -> None:
    """Where frames come from: --camera, --size, --fps, --mirrored."""
    add = parser.add_argument
    add(
        "--camera",
        default=argparse.SUPPRESS,
        help=f"index, device, URL, video file, folder of pictures, or demo ({Settings.camera})",
    )
    add("--size", type=_size, metavar="WxH", help="asked of the camera")
    add("--fps", type=positive, help="asked of the camera")
    add("--mirrored", action="store_true", help="the source is a mirror image")


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"1280x720 is the form; got {text!r}") from None
    if width <= 0 or height <= 0:
        raise argparse.ArgumentTypeError(f"width and height are positive; got {text!r}")
    return width, height


def every_frame_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every-frame",
        action="store_true",
        help="run the networks on every frame, not only where something has changed",
    )


def gallery_option(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--gallery", metavar="DIR", default=default, help=f"recorded gestures ({GALLERY}/)"
    )


def mirror_hands_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--no-mirror-hands",
        dest="mirror_hands",
        action="store_false",
        help="keep left and right hands apart",
    )


def shown_hands_options(parser: argparse.ArgumentParser) -> None:
    """As which hand pictures show their hands to the encoder: --hand, --no-mirror-hands."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--hand",
        choices=("left", "right"),
        default="right",
        help="show all hands as this one, mirrored where need be (%(default)s)",
    )
    mirror_hands_option(group)


def far_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--far", type=float, help="share of false accepts (what the encoder was calibrated at)"
    )


def keep_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"views of a recording, 1 to {MOST_KEPT}; 1 takes half a second ({Settings.keep})",
    )


def labels_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=names, metavar="A,B,…", help="only these labels")


def recordings_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fps",
        type=positive,
        metavar="N",
        help="frames a second of the recordings that the pictures are numbered frames of",
    )


def positive(text: str) -> float:
    """An option's number above 0."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"it takes a number above 0, such as 30; got {text!r}")
    return rate


def counts(text: str) -> list[int]:
    """An option's comma-separated numbers, each at least 1."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [0]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(
            f"it takes whole numbers from 1, such as 1,3,5; got {text!r}"
        )
    return list(dict.fromkeys(values))


def names(text: str) -> list[str]:
    """An option's comma-separated names, without blanks around them."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"it takes names, such as A,B; got {text!r}")
    return found
