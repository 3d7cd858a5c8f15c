"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

MOST_HANDS = 256  # in a batch, whose memory is reserved when a plan is opened


def encoder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", default="default", metavar="default|landmarks|FILE.onnx",
                        help="what embeds hands (default)")  # fmt: skip
    parser.add_argument("--engine", default="auto", metavar="auto|onnx|onnx:cuda|FILE.plan|triton://…",
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
        "list": [], "rename": ["old", "new"], "delete": ["label"], "undo": [], "export": ["file"],
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


def _counts(text: str) -> tuple[int, ...]:
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if not 1 <= min(numbers) <= max(numbers) <= MOST_HANDS:
        raise argparse.ArgumentTypeError(
            f"numbers from 1 to {MOST_HANDS} are expected, as 1,2,8; got {text!r}"
        )
    return tuple(sorted(set(numbers)))


def picture_options(made: Mapping[str, argparse.ArgumentParser]) -> None:
    """Of the commands that look at people's pictures."""
    for name in ("embed", "evaluate"):
        made[name].add_argument("dir", type=Path, metavar="DIR", help="folder of pictures")
    made["embed"].add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    for name in ("evaluate", "calibrate"):
        made[name].add_argument("--labels", type=lambda text: text.split(","), metavar="A,B,…",
                                help="only these labels")  # fmt: skip
    made["evaluate"].add_argument("--references", type=Path, metavar="DIR",
                                  help="take the references from these people")  # fmt: skip
    made["evaluate"].add_argument("--json", type=Path, metavar="FILE")
    made["calibrate"].add_argument("sources", type=Path, nargs="+",
                                   metavar="DIR|FILE.npz")  # fmt: skip
    made["calibrate"].add_argument("--out", type=Path, metavar="FILE.json",
                                   help="default: beside the encoder")  # fmt: skip


def training_options(
    train: argparse.ArgumentParser,
    cross_validate: argparse.ArgumentParser,
    export: argparse.ArgumentParser,
) -> None:
    for parser in (train, cross_validate):
        parser.add_argument("--recipe", default="default", metavar="NAME",
                            help="a name in train/encoder/recipes.py, or siamese")  # fmt: skip
        parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE.npz",
                            help="what `prepare` wrote")  # fmt: skip
        parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                            help="where it happens; the same command goes on there")  # fmt: skip
        parser.add_argument("--features", type=Path, metavar="DIR",
                            help="where frozen features are kept (beside the data)")  # fmt: skip
        parser.add_argument("--seed", type=int, help="of everything random (the recipe's)")
        parser.add_argument("--hand-model", metavar="FILE", help="MediaPipe's .task bundle")
    train.add_argument("--without", nargs="+", default=[], metavar="SET",
                       help="leave sets out, to test on them")  # fmt: skip
    cross_validate.add_argument("--calibrate", metavar="FILE.onnx",
                                help="fit this encoder's calibration, too")  # fmt: skip
    export.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    export.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    export.add_argument("--name", default="gesture-encoder", help="what the encoder is called")


def build_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--onnx", type=Path, metavar="FILE", help="an encoder's ONNX file")
    source.add_argument("--checkpoint", type=Path, metavar="FILE.pt",
                        help="what `train` left; its ONNX file goes beside the plan")  # fmt: skip
    add = parser.add_argument
    add("--engine", type=Path, metavar="FILE.plan", help="where the plan goes")
    add("--triton", type=Path, metavar="DIR",
        help="a repository of Triton Inference Server: add the plan, or the ONNX file")  # fmt: skip
    add("--precision", default="fp16", metavar="fp32|fp16|int8", help="of the arithmetic (fp16)")
    add("--runtime", metavar="tensorrt|tensorrt-rtx", help="what will run it (the one installed)")
    add("--batch", type=_counts, default=(1, 2), metavar="1,2,8",
        help="numbers of hands to be fast at, the last the most it takes (1,2)")  # fmt: skip
    add("--target", type=lambda text: tuple(text.lower().split(",")), default=(),
        metavar="sm89,sm120", help="GPUs to build for (this machine's)")  # fmt: skip
    add("--pictures", type=Path, metavar="DIR|FILE.npz",
        help="with int8: people to quantise with, see `quantize`")  # fmt: skip
    add("--hand-model", metavar="FILE", help="with --pictures DIR: MediaPipe's .task bundle")
    add("--portable", action="store_true",
        help="a plan that newer releases of TensorRT run, too, and the lean runtime")  # fmt: skip
    add("--name", default="gesture-encoder", help="with --checkpoint: what the encoder is called")


def study_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="asl-volume, faces, omniglot or gallery")
    add("--data", type=Path, required=True, metavar="PATH",
        help="what the study learns from; see docs/siamese.md")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR",
        help="where the report is left; the same command goes on there")  # fmt: skip
    add("--size", default="laptop", metavar="full|laptop|minute",
        help="as published, for two cores (default), or to see that it works")  # fmt: skip
    add("--seeds", type=int, metavar="N", help="runs that only differ in chance (as --size says)")
    add("--storage", metavar="URL",
        help="Optuna's, for a sweep shared by many machines (a file in --out)")  # fmt: skip
