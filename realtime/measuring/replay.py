"""Measure the live loop on a video whose segments are labelled.

    python -m realtime.measuring.replay VIDEO.mp4 SEGMENTS.json [--encoder E]
        [--leave-out A,F,…] [--other-hand] [--references DIR]

SEGMENTS.json: {"segments": [{"label", "first_frame", "last_frame"}, …]}. Each gesture is enrolled
from the middle frame of its first segment, as `run.py record --image` does; then the video is
replayed as `run.py --camera VIDEO --view none` does; with --other-hand as its mirror image, so that
the gestures come from the hand they were not taught with; with --references from one photograph
each of another person, DIR/…/<label>/<image>.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

from engines.errors import short_reason
from realtime.live.burst import Shot
from realtime.live.enrol import enrol
from realtime.picture_files import list_pictures, read_picture
from realtime.recognition.recognizer import Recognizer, source_of
from realtime.settings import Settings
from realtime.types import Frame


def replay(
    video: str,
    segments: list[dict],
    encoder: str,
    leave_out: set[str],
    other_hand: bool = False,
    references: Path | None = None,
) -> dict:
    """→ the figures of one replay."""
    recorded = {s["label"]: s for s in reversed(segments) if s["label"] not in leave_out}
    middles = {(s["first_frame"] + s["last_frame"]) // 2: label for label, s in recorded.items()}
    with tempfile.TemporaryDirectory() as gallery:
        settings = Settings(camera=video, gallery=gallery, encoder=encoder)
        with source_of(settings) as source, Recognizer(settings, video=False) as recognizer:
            if references is None:
                shown = ((middles[f.index], f) for f in source if f.index in middles)
            else:
                paths = [p for p in list_pictures(references, True) if p.parent.name in recorded]
                shown = ((p.parent.name, Frame(read_picture(p), 0, 0.0)) for p in paths)
            for label, frame in shown:
                hands = recognizer.detector.detect(Frame(frame.image, 0, 0.0))
                if not hands:
                    raise SystemExit(f"no hand in the reference of {label}")
                enrol(recognizer, Shot(frame, hands[0]), label)
        truth = {
            index: s["label"]
            for s in segments
            for index in range(s["first_frame"], s["last_frame"] + 1)
        }
        starts: list[tuple[int, str]] = []
        rows: list[tuple[int, str | None, str | None]] = []  # frame, nearest, label
        began = time.perf_counter()
        settings = dataclasses.replace(settings, mirrored=other_hand)
        with source_of(settings) as source, Recognizer(settings) as recognizer:
            for frame in source:
                result = recognizer.step(frame)
                starts += [(e.frame, e.label) for e in result.events if e.kind == "start"]
                if result.matches:
                    match = result.matches[0]
                    rows.append((frame.index, match.nearest, match.label))
        seconds = time.perf_counter() - began
    rows = [row for row in rows if row[0] in truth]
    known = [row for row in rows if truth[row[0]] not in leave_out]
    unknown = [row for row in rows if truth[row[0]] in leave_out]
    exact, wrong, missed = 0, [], []
    for segment in segments:
        inside = [
            label
            for frame_index, label in starts
            if segment["first_frame"] <= frame_index <= segment["last_frame"]
        ]
        wrong += [(segment["label"], label) for label in inside if label != segment["label"]]
        wanted = [] if segment["label"] in leave_out else [segment["label"]]
        exact += inside == wanted
        if inside != wanted:
            missed.append((segment["label"], inside))
    left = {}
    for label in sorted(leave_out):
        labels = [row[2] for row in unknown if truth[row[0]] == label]
        left[label] = round(sum(x is None for x in labels) / max(len(labels), 1), 3)
    return {
        "encoder": encoder,
        "frames": len(truth),
        "frames_with_hand": len(rows),
        "nearest_right": round(sum(truth[i] == n for i, n, _ in known) / len(known), 4),
        "segments_exact": f"{exact} of {len(segments)}",
        "wrong_starts": wrong,
        "segments_not_exact": missed,
        "unknown_share_of_left_out": left,
        "frames_per_second": round(len(truth) / seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("segments", type=Path)
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--leave-out", type=lambda text: set(text.split(",")), default=set())
    parser.add_argument("--other-hand", action="store_true")
    parser.add_argument("--references", type=Path)
    arguments = parser.parse_args()
    try:
        segments = json.loads(arguments.segments.read_text())["segments"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{arguments.segments} holds no labelled segments ({short_reason(error)})."
        ) from None
    figures = replay(
        arguments.video,
        segments,
        arguments.encoder,
        arguments.leave_out,
        arguments.other_hand,
        arguments.references,
    )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
