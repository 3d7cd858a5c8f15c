"""Figures of films that were measured, and the file that keeps them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from calibration.finite import json_text
from calibration.rates import Rate, hourly
from engines.errors import UserError
from engines.files import explain_errors, write_file
from realtime.alarms.count import Counted, FalseStart, Showing
from realtime.measuring.report import print_table

ALL = "all"


def per_activity(films: Sequence[Counted]) -> dict[str, tuple[float, int, Rate]]:
    """Minutes, false starts and their rate an hour, of each activity and of ALL."""
    seconds: defaultdict[str, float] = defaultdict(float)
    starts: Counter[str] = Counter()
    for film in films:
        for name, length_s in film.seconds.items():
            seconds[name] += length_s
            seconds[ALL] += length_s
        for start in film.false_starts:
            starts[start.activity] += 1
            starts[ALL] += 1
    names = [*sorted(seconds.keys() - {ALL}), ALL]
    return {
        name: (seconds[name] / 60, starts[name], hourly(starts[name], seconds[name] / 3600))
        for name in names
    }


def per_gesture(films: Sequence[Counted]) -> dict[str, tuple[int, int, int, int, float | None]]:
    """Showings, those that started right, wrong starts, false starts, median delay.

    Of each gesture and of ALL. False starts are those of the gesture while none was shown.
    """
    showings = [showing for film in films for showing in film.showings]
    false = Counter(start.label for film in films for start in film.false_starts)
    rows = {}
    for name in [*sorted({s.label for s in showings} | set(false)), ALL]:
        own = [s for s in showings if name in (s.label, ALL)]
        delays = [s.after_s for s in own if s.after_s is not None]
        rows[name] = (
            len(own),
            len(delays),
            sum(s.wrong for s in own),
            false.total() if name == ALL else false[name],
            median(delays) if delays else None,
        )
    return rows


def print_films(films: Sequence[Counted]) -> None:
    """Print what was counted, and what it cost."""
    print_table(
        ["activity"],
        ["minutes", "false starts", "an hour (95 %)"],
        [[n, f"{m:.1f}", str(c), str(rate)] for n, (m, c, rate) in per_activity(films).items()],
    )
    print_table(
        ["gesture"],
        ["shown", "started", "share", "wrong starts", "false starts", "after, s"],
        [
            [
                name,
                str(shown),
                str(right),
                f"{right / shown:.1%}" if shown else "–",
                str(wrong),
                str(false),
                "–" if after_s is None else f"{after_s:.2f}",
            ]
            for name, (shown, right, wrong, false, after_s) in per_gesture(films).items()
        ],
    )
    frames = sum(film.frames for film in films)
    drawing, recognising = (
        sum(getattr(film, name) * film.frames for film in films) / frames
        for name in ("drawing_ms", "recognising_ms")
    )
    hands = sum(film.frames_with_hand for film in films) / frames
    print(
        f"{frames} frames, a hand found in {hands:.0%}; processor time a frame: "
        f"{drawing:.1f} ms to draw, {recognising:.1f} ms to recognise"
    )


def write_films(path: Path | None, run: Mapping[str, Any], films: Sequence[Counted]) -> None:
    """Keep what was counted, and the figures, in a JSON file. Raises UserError."""
    if path is None:
        return
    activities = {
        name: {"minutes": minutes, "false_starts": starts, "an_hour": asdict(rate)}
        for name, (minutes, starts, rate) in per_activity(films).items()
    }
    names = ("shown", "started", "wrong_starts", "false_starts", "median_after_s")
    gestures = {
        name: dict(zip(names, row, strict=True)) for name, row in per_gesture(films).items()
    }
    report = {
        "run": run,
        "activities": activities,
        "gestures": gestures,
        "films": [asdict(film) for film in films],
    }
    with explain_errors(f"--json can't write {path}"):
        write_file(path, json_text(report, indent=1, ensure_ascii=False) + "\n")


def read_films(path: Path | None, run: Mapping[str, Any]) -> list[Counted]:
    """The films that a run like this one has kept; none where there is no file.

    Raises:
        UserError: The file can't be read, or it is another run's.
    """
    if path is None or not path.exists():
        return []
    other = UserError(
        f"{path} holds figures of another run. Name another file with --json, or delete this one."
    )
    with explain_errors(f"{path} can't be read"):
        text = path.read_text(encoding="utf-8")
    try:
        report = json.loads(text)
        if report["run"] != json.loads(json.dumps(run)):
            raise other
        return [_film(row) for row in report["films"]]
    except (ValueError, KeyError, TypeError):
        raise other from None


def _film(row: Mapping[str, Any]) -> Counted:
    false = tuple(FalseStart(**each) for each in row["false_starts"])
    showings = tuple(
        Showing(each["label"], tuple(each["started"]), each["after_s"]) for each in row["showings"]
    )
    return Counted(**{**row, "false_starts": false, "showings": showings})
