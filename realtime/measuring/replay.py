"""The live loop, measured on a video whose segments are labelled.

Each gesture is enrolled from the middle frame of its first segment, as `run.py record --image`
does it; then the video is recognised as by `run.py --camera VIDEO --view none`.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import UserError
from engines.files import explain_errors, temporary_folder
from engines.say import warn
from realtime.folders import list_pictures
from realtime.live.burst import Shot
from realtime.live.enrol import enrol
from realtime.names import spelling_key
from realtime.picture_files import read_picture
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.sources.open import source_of
from realtime.types import Frame


@dataclass(frozen=True)
class Segment:
    """A stretch of a video that shows one gesture.

    Attributes:
        label: The gesture.
        first_frame: Index of its first frame; the video's first is 0.
        last_frame: Index of its last frame.
    """

    label: str
    first_frame: int
    last_frame: int

    def __contains__(self, frame: int) -> bool:
        return self.first_frame <= frame <= self.last_frame


@dataclass(frozen=True)
class Recognised:
    """What the live loop made of a video.

    Attributes:
        starts: Frame and label of each gesture that started.
        hands: Frame, nearest label and accepted label (None: unknown) of each frame with a hand.
        frames: How many frames were recognised.
        seconds: How long that took.
    """

    starts: Sequence[tuple[int, str]]
    hands: Sequence[tuple[int, str | None, str | None]]
    frames: int
    seconds: float


def read_segments(path: Path) -> list[Segment]:
    """Read {"segments": [{"label": …, "first_frame": …, "last_frame": …}, …]}.

    Raises:
        UserError: If the file isn't that.
    """
    try:
        with explain_errors(f"{path} can't be read", "Name the file with the video's segments."):
            text = path.read_text(encoding="utf-8")
        rows = json.loads(text)["segments"]
        if not isinstance(rows, list):
            raise ValueError("its segments are no list")
        segments = [
            Segment(str(row["label"]), int(row["first_frame"]), int(row["last_frame"]))
            for row in rows
        ]
        if not segments or any(not 0 <= s.first_frame <= s.last_frame for s in segments):
            raise ValueError("there are none, or frames are out of order")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} holds no labelled segments ({error}). It takes JSON: "
            '{"segments": [{"label": "A", "first_frame": 0, "last_frame": 29}]}'
        ) from None
    return segments


def replay(
    settings: Settings,
    segments: Sequence[Segment],
    leave_out: Collection[str] = (),
    references: Path | None = None,
    other_hand: bool = False,
) -> dict[str, Any]:
    """Enrol the gestures of a video once each, then recognise the video.

    Args:
        settings: `camera` is the video file; its `gallery` isn't used.
        segments: What the video shows, and when.
        leave_out: Labels that aren't enrolled and should stay unknown.
        references: A folder …/<label>/<image> of somebody's pictures to enrol instead.
        other_hand: Recognise the video's mirror image, which shows gestures by the hand that
            wasn't enrolled.

    Returns:
        The figures, by name.

    Raises:
        UserError: If the video or a reference can't be used.
    """
    if not Path(settings.camera).is_file():
        raise UserError(f"There is no video {settings.camera}.")
    unknown = set(leave_out) - {segment.label for segment in segments}
    if unknown:
        raise UserError(f"No segment shows {', '.join(sorted(unknown))}, which you leave out.")
    recorded = {s.label: s for s in reversed(segments) if s.label not in leave_out}
    with temporary_folder() as gallery:
        settings = dataclasses.replace(settings, gallery=str(gallery))
        if references is None:
            shown = _middles(settings, recorded)
        else:
            shown = _pictures(references, recorded)
        missing = set(recorded)
        with Recognizer(settings, video=False) as recognizer:
            for label, frame in shown:
                _enrol(recognizer, label, frame)
                missing.discard(label)
        if missing and (references is None or missing == set(recorded)):
            raise UserError(
                f"{references or settings.camera} doesn't show {', '.join(sorted(missing))}, so "
                "there is nothing to enrol."
            )
        if missing:
            warn(
                f"{references} doesn't show {', '.join(sorted(missing))}: not enrolled, so their "
                "segments can't be recognised."
            )
        recognised = _recognise(dataclasses.replace(settings, mirrored=other_hand))
    return {"encoder": settings.encoder} | figures(segments, leave_out, recognised)


def _middles(settings: Settings, recorded: dict[str, Segment]) -> Iterator[tuple[str, Frame]]:
    """Each label with the middle frame of its segment."""
    labels = {(s.first_frame + s.last_frame) // 2: label for label, s in recorded.items()}
    with source_of(settings) as source:
        for frame in source:
            if frame.index in labels:
                yield labels[frame.index], frame


def _pictures(folder: Path, recorded: Collection[str]) -> Iterator[tuple[str, Frame]]:
    labels = {spelling_key(label): label for label in recorded}
    for path in list_pictures(folder, recursive=True):
        label = labels.get(spelling_key(path.parent.name))
        if label is not None:
            yield label, Frame(read_picture(path), 0, 0.0)


def _enrol(recognizer: Recognizer, label: str, frame: Frame) -> None:
    hands = recognizer.detector.detect(Frame(frame.image, 0, 0.0))
    if not hands:
        raise UserError(f"No hand is found in the reference of {label}.")
    enrol(recognizer, [Shot(frame, hands[0])], label)


def _recognise(settings: Settings) -> Recognised:
    starts, hands, frames = [], [], 0
    began = time.perf_counter()
    with source_of(settings) as source, Recognizer(settings) as recognizer:
        for frame in source:
            result = recognizer.step(frame)
            frames += 1
            starts += [(e.frame, e.label) for e in result.events if e.kind == "start"]
            if result.matches:
                match = result.matches[0]
                hands.append((frame.index, match.nearest, match.label))
    return Recognised(starts, hands, frames, time.perf_counter() - began)


def figures(
    segments: Sequence[Segment], leave_out: Collection[str], recognised: Recognised
) -> dict[str, Any]:
    """Compare what was recognised with what was shown.

    A segment is exact if its gesture starts in it once, and no other does; one that is left out,
    if none does.
    """
    truth = {i: s.label for s in segments for i in range(s.first_frame, s.last_frame + 1)}
    hands = [(truth[i], nearest, label) for i, nearest, label in recognised.hands if i in truth]
    known = [nearest == shown for shown, nearest, _ in hands if shown not in leave_out]
    wrong, missed = [], []
    for segment in segments:
        started = [label for frame, label in recognised.starts if frame in segment]
        wrong += [(segment.label, label) for label in started if label != segment.label]
        if started != ([] if segment.label in leave_out else [segment.label]):
            missed.append((segment.label, started))
    rejected = {}
    for left in sorted(leave_out):
        labels = [label for shown, _, label in hands if shown == left]
        rejected[left] = round(labels.count(None) / len(labels), 3) if labels else None
    return {
        "frames": len(truth),
        "frames_with_hand": len(hands),
        "nearest_right": round(sum(known) / len(known), 4) if known else None,
        "segments_exact": f"{len(segments) - len(missed)} of {len(segments)}",
        "wrong_starts": wrong,
        "segments_not_exact": missed,
        "unknown_share_of_left_out": rejected,
        "frames_per_second": round(recognised.frames / recognised.seconds, 1),
    }
