"""`run.py compare-detectors`: whether our own hand detector finds what MediaPipe's finds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import encoder_option, engine_option, hand_model_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from calibration.metrics import Figure
    from realtime.measuring.agreement import Agreement, Delays, Landmarks

NAME = "compare-detectors"
HELP = "compare the hands that our own detector and MediaPipe's find in the same pictures"
MOST_TILES = 60
SIDES = ("all", "left", "right")
LEGEND = (
    "apart, offset: of our landmarks from MediaPipe's, in hundredths of the width of the hand's "
    "square, while both track the hand; offsets as the hand is held upright. back: a hand that "
    "comes after frames without any. first, second: hands that are made to appear in frames "
    "composed of the video, alone and beside a tracked one; later: in frames. Times are medians. "
    "In brackets: 95 % intervals, bootstrap over 2 s of a video, a folder of pictures, or hands "
    "that appear."
)


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="VIDEO|DIR|demo",
        help="videos, folders of single pictures, or the drawn hands; each is reported by itself",
    )
    add(
        "--pictures",
        type=int,
        default=2000,
        metavar="N",
        help="of a folder with more, take so many, evenly spread (%(default)s)",
    )
    add(
        "--without-hands",
        action="store_true",
        help="the sources show no hands: count those that are invented",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    add(
        "--sheet",
        type=Path,
        metavar="FILE.jpg",
        help=f"draw what they disagree on, ours on the left ({MOST_TILES} pictures at most)",
    )
    encoder_option(
        parser, help="its network is our detector's, if it finds landmarks (%(default)s)"
    )
    engine_option(parser)
    hand_model_option(parser)


def run(arguments: argparse.Namespace) -> None:
    import functools
    from contextlib import closing

    from engines.encoder import open_encoder
    from engines.files import check_writable
    from engines.say import tell
    from realtime.hands.opening import open_detector
    from realtime.measuring.detectors import compare, find_material
    from realtime.picture_files import SUFFIXES
    from realtime.views.contact_sheet import ContactSheet

    check_writable(arguments.json)
    check_writable(arguments.sheet)
    if arguments.sheet and arguments.sheet.suffix.lower() not in SUFFIXES:
        raise UserError(f"--sheet takes the name of a picture, as FILE.jpg; got {arguments.sheet}.")
    material = [find_material(source, arguments.pictures) for source in arguments.sources]
    sheet, made = ContactSheet(), []
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        ours = functools.partial(open_detector, "engine", encoder)
        theirs = functools.partial(open_detector, "mediapipe", model=arguments.hand_model)
        for each in [part for parts in material for part in parts]:
            show = functools.partial(sheet.add, each.name) if arguments.sheet else None
            made.append(compare(each, ours, theirs, show, trials=not arguments.without_hands))
            _print_invented(made[-1]) if arguments.without_hands else _print(made[-1])
    if not arguments.without_hands:
        print(LEGEND)
    if arguments.json:
        _write(arguments.json, arguments.encoder, made)
    if arguments.sheet:
        sheet.save(arguments.sheet, MOST_TILES)
        shown = min(sheet.count, MOST_TILES)
        tell(f"Wrote {arguments.sheet}: {shown} of {sheet.count} disagreements, ours on the left.")


def _print_invented(made: Agreement) -> None:
    from engines.say import print_result

    print_result(
        f"{made.source}: of {made.frames} pictures without a hand, our own detector sees one in "
        f"{made.ours}, MediaPipe's in {made.theirs}."
    )


def _print(made: Agreement) -> None:
    from engines.say import print_result
    from realtime.measuring.report import print_table

    print_result(
        f"\n{made.source}: {made.frames} pictures; our own detector finds a hand in "
        f"{made.ours}, MediaPipe's in {made.theirs}; only ours in {made.only_ours}, only "
        f"MediaPipe's in {made.only_theirs}."
    )
    rows = [
        ["hand or none alike", _percent(made.same_frames, 1), "", "", _least(made.same_frames)],
        ["count alike", _percent(made.same_count, 1), "", "", _least(made.same_count)],
        *_landmark_rows(made.landmarks),
    ]
    print_table(["%"], ["all", "left", "right", "gate"], rows)
    delays = {"back": made.back, "first": made.first, "second": made.second}
    delay_rows = [_delay_row(name, delay) for name, delay in delays.items() if delay]
    if delay_rows:
        print_table(["hand"], ["times", "ours", "MediaPipe", "later", "gate"], delay_rows)
    for name, delay in delays.items():
        if delay and (delay.missed_by_ours or delay.missed_by_theirs):
            missed = f"{delay.missed_by_ours} by ours, {delay.missed_by_theirs} by MediaPipe's"
            print(f"{name}: not found {missed}")


def _landmark_rows(by_side: dict[str, Landmarks]) -> list[list[str]]:
    """A row per figure; all hands with intervals, left and right ones without."""
    from realtime.measuring.agreement import MOST_APART

    def row(name: str, digits: int, of: Callable[[Landmarks], Figure | None]) -> list[str]:
        found = [of(by_side[side]) if side in by_side else None for side in SIDES]
        cells = [_percent(figure, digits, i == 0) for i, figure in enumerate(found)]
        return [name, *cells]

    if not by_side:
        return []
    everything = by_side["all"]
    rows = [
        ["hands of both", *(str(by_side[s].hands) if s in by_side else "" for s in SIDES), ""],
        [*row("side alike", 1, lambda made: made.same_side), _least(everything.same_side)],
    ]
    for name, percentile, apart in (
        ("apart, median", 50, lambda made: made.median),
        ("apart, 95 %", 95, lambda made: made.p95),
    ):
        found, most = apart(everything), MOST_APART[percentile]
        gate = "" if found is None else _gate(found.value <= most, f"≤ {100 * most:g}")
        rows.append([*row(name, 2, apart), gate])
    rows.append([*row("offset right", 2, lambda made: made.right), ""])
    rows.append([*row("offset down", 2, lambda made: made.down), ""])
    return rows


def _delay_row(name: str, made: Delays) -> list[str]:
    from realtime.measuring.agreement import MOST_FRAMES_LATER, MOST_SECOND_S

    ours, later = made.ours, made.frames_later
    if name == "second":
        gate = _gate(ours.value <= MOST_SECOND_S, f"≤ {MOST_SECOND_S} s")
    else:
        gate = _gate(later.value <= MOST_FRAMES_LATER, f"≤ {MOST_FRAMES_LATER:.0f} later")
    return [
        name,
        str(made.count),
        f"{ours.value:.2f} s ({ours.low:.2f}–{ours.high:.2f})",
        f"{made.theirs.value:.2f} s",
        f"{later.value:.0f} ({later.low:.0f}–{later.high:.0f})",
        gate,
    ]


def _percent(figure: Figure | None, digits: int, interval: bool = True) -> str:
    if figure is None:
        return ""
    value, low, high = (
        f"{round(100 * each, digits) + 0.0:.{digits}f}"
        for each in (figure.value, figure.low, figure.high)
    )
    return f"{value} ({low}–{high})" if interval else value


def _least(share: Figure) -> str:
    from realtime.measuring.agreement import LEAST_SHARE

    return _gate(share.value >= LEAST_SHARE, f"≥ {100 * LEAST_SHARE:g}")


def _gate(holds: bool, text: str) -> str:
    return f"{text} {'holds' if holds else 'fails'}"


def _write(path: Path, encoder: str, made: list[Agreement]) -> None:
    import dataclasses

    from calibration.finite import json_text
    from engines.files import explain_errors, write_file
    from engines.selftest.machine import facts

    sources = [dataclasses.asdict(each) for each in made]
    report = {"machine": facts(), "encoder": Path(encoder).name, "sources": sources}
    with explain_errors(f"--json can't write {path}"):
        write_file(path, json_text(report) + "\n")
