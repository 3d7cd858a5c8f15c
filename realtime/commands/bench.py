"""`run.py bench`: what a frame of the whole live loop costs, beside MediaPipe's bare detector.

Also what its parts cost, and how old a frame is when its result comes out.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import (
    encoder_option,
    engine_option,
    hand_model_option,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from engines.selftest.bench import Ratio
    from realtime.measuring.bench import Comparison, SceneBench, Times
    from realtime.types import Frame

NAME = "bench"
HELP = "time the whole live loop beside MediaPipe's bare hand detector, interleaved"
DAY_S = 86400.0  # a scene starts so long after the one before: nothing of that is tracked any more


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--camera",
        dest="cameras",
        nargs="+",
        default=["demo"],
        metavar="VIDEO|demo",
        help="videos; demo draws one hand, two hands and none (%(default)s)",
    )
    add(
        "--rounds",
        type=int,
        default=20,
        metavar="N",
        help="turns of 30 frames of each contender, fewer where a video ends (%(default)s)",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument(
        "--parts", action="store_true", help="only what a frame costs beside the networks"
    )
    alone.add_argument(
        "--age",
        action="store_true",
        help="only how old frames of a stream are when their results come out",
    )
    encoder_option(parser)
    engine_option(parser)
    hand_model_option(parser)


def run(arguments: argparse.Namespace) -> None:
    from rich.progress import Progress

    from engines.files import check_writable
    from engines.say import console, warn
    from realtime.measuring.bench import measure, summarise
    from realtime.measuring.contenders import open_contenders

    if arguments.parts or arguments.age:
        from realtime.timing.report import print_ages, print_parts

        if arguments.json:
            raise UserError("--json is for the whole bench: leave it out with --parts or --age.")
        (print_parts if arguments.parts else print_ages)(settings_of(arguments))
        return
    check_writable(arguments.json)
    for camera in arguments.cameras:
        if camera != "demo" and not Path(camera).is_file():
            raise UserError(f"There is no video {camera}: --camera takes video files, or demo.")
    settings = settings_of(arguments)
    made: list[SceneBench] = []
    with open_contenders(settings) as (contenders, left_out):
        if left_out:
            warn(left_out)
        for scene, frames in _scenes(arguments.cameras):
            with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task(scene, total=arguments.rounds)
                samples = measure(
                    contenders,
                    frames,
                    arguments.rounds,
                    progress=functools.partial(_show, bar, task),
                )
            made.append(summarise(scene, samples))
            _print(made[-1])
    print(
        "Milliseconds a frame; stages in wall time. bare N: MediaPipe's HandLandmarker for N "
        "hands, alone. Ratios are of mean times, with 95 % intervals by bootstrap over rounds."
    )
    if arguments.json:
        _write(arguments.json, settings.encoder, made)


def _show(bar: Progress, task: TaskID, done: int) -> None:
    bar.update(task, completed=done)


def _scenes(cameras: list[str]) -> Iterator[tuple[str, Iterator[Frame]]]:
    """The name and the frames of each scene; times go on from one to the next."""
    from realtime.measuring.scenes import SCENES, after, play
    from realtime.sources.video import Video

    starts = itertools.count(0.0, DAY_S)
    for camera in cameras:
        if camera == "demo":
            for name, picture in SCENES.items():
                yield name, after(play(picture), next(starts))
        else:
            with Video(Path(camera), mirrored=False, realtime=False) as video:
                yield video.name, after(iter(video), next(starts))


def _print(made: SceneBench) -> None:
    from engines.say import print_result
    from realtime.measuring.report import print_table

    heads = ["mean", "p50", "p95", "p99"]
    for hands in dict.fromkeys(row.in_view for row in made.rows):
        rows = [row for row in made.rows if row.in_view == hands]
        frames = f"{rows[0].frames} frames of {made.rounds} rounds"
        print_result(f"\n{made.scene}: hands in view {hands}, {frames}")
        times = []
        for row in rows:
            found = f"{row.found:.2f}"
            times.append([row.contender, "processor", found, *_figures(row.processor)])
            times.append(["", "wall", "", *_figures(row.wall)])
        print_table(["contender", "time"], ["found", *heads], times)
        stages = [
            [row.contender, stage, f"{row.ran[stage]:.0%}", *_figures(times)]
            for row in rows
            for stage, times in row.stages.items()
        ]
        print_table(["contender", "stage"], ["ran in", *heads], stages)
        ratios = [
            [c.contender, c.baseline, _ratio(c.processor), _ratio(c.wall), _gate(c)]
            for c in made.comparisons
            if c.in_view == hands
        ]
        if ratios:
            print_table(["contender", "to"], ["processor ratio", "wall ratio", "gate"], ratios)


def _figures(times: Times) -> list[str]:
    return [f"{value:.2f}" for value in (times.mean, times.p50, times.p95, times.p99)]


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def _gate(comparison: Comparison) -> str:
    if comparison.most is None:
        return ""
    return f"≤ {comparison.most:.1f} {'holds' if comparison.holds else 'fails'}"


def _write(path: Path, encoder: str, made: list[SceneBench]) -> None:
    import dataclasses

    from calibration.finite import json_text
    from engines.files import explain_errors, write_file
    from engines.selftest.machine import facts

    scenes = [dataclasses.asdict(each) for each in made]
    report = {"machine": facts(), "encoder": Path(encoder).name, "scenes": scenes}
    with explain_errors(f"--json can't write {path}"):
        write_file(path, json_text(report) + "\n")
