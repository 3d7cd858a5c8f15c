"""`run.py calibrate`: an encoder's threshold and probabilities, fitted on people's pictures."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from realtime.commands.options import (
    encoder_options,
    labels_option,
    recordings_option,
    still_detector,
)
from realtime.settings import CALIBRATED_FAR

NAME = "calibrate"
HELP = "fit an encoder's threshold and probabilities"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "sources",
        type=Path,
        nargs="+",
        metavar="DIR|FILE.npz",
        help="people to fit it on: folders of pictures, or what `embed` wrote",
    )
    add("--out", type=Path, metavar="FILE.json", help="default: beside the encoder")
    add(
        "--far",
        type=float,
        default=CALIBRATED_FAR,
        help="share of false accepts to allow, at most 0.3 (%(default)s)",
    )
    recordings_option(parser)
    labels_option(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    import dataclasses

    from calibration.threshold import calibration_path, save
    from engines.encoder import encoder_path, open_encoder
    from engines.files import check_writable, explain_errors
    from realtime.measuring.evaluate import calibrate
    from realtime.measuring.report import print_calibration

    path = arguments.out or calibration_path(encoder_path(arguments.encoder))
    check_writable(path)
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        fitted = calibrate(
            arguments.sources,
            encoder,
            still_detector(arguments),
            arguments.far,
            arguments.labels,
            arguments.fps,
        )
    if all(source.is_dir() for source in arguments.sources):  # else `embed` found the hands
        fitted = dataclasses.replace(fitted, detector=arguments.detector)
    with explain_errors(f"The calibration can't be written to {path}"):
        save(fitted, path)
    print_calibration(fitted, path)
