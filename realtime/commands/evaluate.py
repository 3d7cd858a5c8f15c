"""`run.py evaluate`: few-shot figures of an encoder on people's pictures."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from realtime.commands.options import (
    counts,
    encoder_options,
    far_option,
    labels_option,
    recordings_option,
    shown_hands_options,
    still_detector,
)

NAME = "evaluate"
HELP = "measure one-shot accuracy and rejection on people's pictures"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dir", type=Path, metavar="DIR", help="folder of pictures: DIR/<subject>/<label>/<image>")
    add("--references", type=Path, metavar="DIR", help="take the references from these people")
    add(
        "--shots",
        type=counts,
        default=[1],
        metavar="1,3,5",
        help="also give figures for these numbers of references of each gesture",
    )
    add(
        "--views",
        type=counts,
        default=[1],
        metavar="1,5",
        help="also give figures for one reference of these numbers of views; needs --fps",
    )
    recordings_option(parser)
    labels_option(parser)
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    far_option(parser)
    shown_hands_options(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from calibration.finite import json_text
    from engines.encoder import open_encoder
    from engines.errors import UserError
    from engines.files import check_folder, check_writable, explain_errors, write_file
    from realtime.measuring.evaluate import evaluate
    from realtime.measuring.report import print_report
    from realtime.recognition.recognizer import open_calibration

    if max(arguments.views) > 1 and arguments.fps is None:
        raise UserError(
            "--views needs --fps N: views are frames of one recording, N of them a second by the "
            "numbers at the end of their names."
        )
    check_writable(arguments.json)
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        report = evaluate(
            check_folder(arguments.dir),
            check_folder(arguments.references) if arguments.references else None,
            encoder,
            still_detector(arguments),
            arguments.mirror_hands,
            arguments.labels,
            open_calibration(arguments.encoder, encoder, arguments.far),
            arguments.hand,
            arguments.shots,
            arguments.views,
            arguments.fps,
        )
    print_report(report)
    if arguments.json:
        with explain_errors(f"--json can't write {arguments.json}"):
            write_file(arguments.json, json_text(report.to_json()) + "\n")
