"""`run.py false-alarms`: how often a gesture starts that nobody shows."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import UserError
from realtime.commands.options import (
    encoder_options,
    far_option,
    keep_option,
    positive,
    settings_of,
)

if TYPE_CHECKING:
    from realtime.recognition.recognizer import Recognizer

NAME = "false-alarms"
HELP = "count gestures that start though nobody shows them, on drawn hours or a video"
DRAWN = "drawn"
FEWEST_MINUTES = 30.0  # of a video, for a rate


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--camera",
        default=DRAWN,
        metavar="drawn|FILE",
        help="drawn people, or a video in which no recorded gesture is shown (%(default)s)",
    )
    add(
        "--gallery",
        metavar="DIR",
        help="recorded gestures; into an empty one, and without it, a drawn person records ten",
    )
    add(
        "--minutes",
        type=positive,
        default=10.0,
        metavar="N",
        help="in which no recorded gesture is shown (%(default)g)",
    )
    add("--seed", type=int, default=0, metavar="S", help="of the drawn people (%(default)s)")
    add(
        "--fps",
        type=positive,
        default=30.0,
        metavar="N",
        help="frames a second of the drawn hours (%(default)g)",
    )
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="keep the figures there after every drawn film; the same command goes on from it",
    )
    keep_option(parser)
    far_option(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    import tempfile
    from dataclasses import replace

    from engines.files import check_writable
    from realtime.alarms.taught import teach
    from realtime.recognition.recognizer import Recognizer

    check_writable(arguments.json)
    drawn = arguments.camera == DRAWN
    if not drawn and not Path(arguments.camera).is_file():
        raise UserError(
            f"There is no video {arguments.camera}: --camera takes a video file, or {DRAWN}."
        )
    if arguments.seed < 0:
        raise UserError(f"--seed takes 0 or more; got {arguments.seed}.")
    with ExitStack() as stack:
        gallery = arguments.gallery
        if gallery is None:
            gallery = stack.enter_context(tempfile.TemporaryDirectory(prefix="taught-gestures-"))
        settings = replace(settings_of(arguments), gallery=gallery)
        recognizer = stack.enter_context(Recognizer(settings))
        teach(recognizer, arguments.seed)
        (_draw if drawn else _watch)(recognizer, arguments)


def _draw(recognizer: Recognizer, arguments: argparse.Namespace) -> None:
    """Measure drawn films."""
    from engines.say import tell, warn
    from realtime.alarms.count import count
    from realtime.alarms.results import (
        ALL,
        per_activity,
        per_gesture,
        print_films,
        read_films,
        write_films,
    )
    from realtime.alarms.taught import RECORDED

    labels = recognizer.gallery.labels()
    recorded = {label: pose for label, pose in RECORDED.items() if label in labels}
    strange = sorted(set(labels) - set(recorded))
    if strange:
        warn(
            f"drawn hands don't know {', '.join(strange)}: they never show them, and where they "
            "come near them by accident, a start counts as false all the same."
        )
    run = _identity(recognizer, arguments)
    films = read_films(arguments.json, run)
    for film in count(
        recognizer, arguments.seed, recorded, arguments.minutes, arguments.fps, films
    ):
        films.append(film)
        write_films(arguments.json, run, films)
        minutes, false, _ = per_activity(films)[ALL]
        shown, right, wrong, *_ = per_gesture(films)[ALL]
        tell(
            f"{minutes:.1f} of {arguments.minutes:g} minutes, false starts: {false}; "
            f"{right} of {shown} shown gestures started, wrong starts: {wrong}"
        )
    print_films(films)


def _identity(recognizer: Recognizer, arguments: argparse.Namespace) -> dict[str, Any]:
    """What two runs have to share, so that their films may be counted together."""
    from realtime.recognition.pipeline import FAST
    from realtime.recognition.smooth import HOLD_S, START_S

    return {
        "seed": arguments.seed,
        "fps": arguments.fps,
        "encoder": recognizer.encoder.fingerprint,
        "detector": arguments.detector,
        "threshold": recognizer.calibration.threshold,
        "smoothing": [START_S, HOLD_S, FAST],
        "gestures": list(recognizer.gallery.labels()),
        "views": len(recognizer.index.labels),
    }


def _watch(recognizer: Recognizer, arguments: argparse.Namespace) -> None:
    """Count a video's starts."""
    import json
    from collections import Counter
    from dataclasses import asdict

    from calibration.rates import hourly
    from engines.files import explain_errors, write_file
    from realtime.alarms.video import watch
    from realtime.sources.video import Video

    with Video(Path(arguments.camera), mirrored=False, realtime=False) as video:
        seen = watch(recognizer, video, arguments.minutes)
    labels = Counter(event.label for event in seen.starts)
    print(
        f"{arguments.camera}: {seen.minutes:.1f} minutes, {seen.frames} frames, a hand found in "
        f"{seen.frames_with_hand}; {len(seen.starts)} starts"
    )
    for label, number in labels.most_common():
        times = ", ".join(f"{e.time_s:.1f}" for e in seen.starts if e.label == label)
        print(f"  {label}: {number} (at {times} s)")
    if seen.minutes >= FEWEST_MINUTES:
        print(f"an hour: {hourly(len(seen.starts), seen.minutes / 60)}, with a 95 % interval")
    else:
        print(f"No rate: it takes {FEWEST_MINUTES:g} minutes.")
    if arguments.json:
        with explain_errors(f"--json can't write {arguments.json}"):
            write_file(
                arguments.json, json.dumps(asdict(seen), indent=1, ensure_ascii=False) + "\n"
            )
