"""The live loop for long: sources in turn, faults in them, and a gallery that changes meanwhile."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.files import temporary_folder
from engines.say import tell
from realtime.gallery.gallery import Gallery
from realtime.gallery.reference import new_id
from realtime.live.command import Quit
from realtime.live.events import EventFile
from realtime.live.opening import open_session
from realtime.live.output import Threaded
from realtime.live.session import Session
from realtime.live.state import State
from realtime.settings import Settings
from realtime.sources.demo import FPS, demo_image
from realtime.timing.faults import damage_file
from realtime.timing.stream import now_ms, read_number, read_stamp, stamped_stream
from realtime.timing.usage import Usage, read_usage, settled_usage
from realtime.types import FrameResult
from realtime.views.video import VideoWriter

DEMO, VIDEO, STREAM = "demo", "video", "stream"
TURN_S = 30.0  # a source's turn
FEWEST_TURNS = 9  # three of each source; turns of a short soak are shorter
CHANGE_S = 2.0  # between two changes of the gallery


@dataclass(frozen=True)
class Turn:
    """What a source's turn came to.

    Attributes:
        source: DEMO, VIDEO or STREAM.
        at_s: when it was over, from the soak's beginning.
        frames: that were handled.
        dropped: frames that the source had and the loop didn't handle.
        fps: frames a second, by the median step from one to the next.
        age_p50_ms: from a frame's capture until its result; from when the loop took it where the
            source waits for the loop.
        age_p95_ms: its 95th percentile.
        starts: of gestures, in the event file.
        without_end: starts without an end, and ends without a start.
        running_mb: resident memory at its end, MiB; None where the system doesn't tell.
        usage: what the process holds once the turn's session is closed.
    """

    source: str
    at_s: float
    frames: int
    dropped: int
    fps: float
    age_p50_ms: float
    age_p95_ms: float
    starts: int
    without_end: int
    running_mb: float | None
    usage: Usage


class _Meter:
    """An output that notes each frame, and ends the turn in time."""

    def __init__(self, session: Session, stamped: bool, seconds: float) -> None:
        self._session, self._stamped = session, stamped
        self._until_s = time.monotonic() + seconds
        self._rows: list[tuple[float, float, int]] = []  # shown and age (ms), number

    def show(self, result: FrameResult | None, state: State) -> None:
        if result is not None and result.timings_ms:  # the last one repeats a frame
            image, shown_ms = result.frame.image, time.monotonic() * 1000
            if self._stamped:
                age_ms = float(now_ms() - read_stamp(image))
                number = read_number(image)
            else:
                age_ms = float(sum(result.timings_ms.values()))
                number = result.frame.index
            self._rows.append((shown_ms, age_ms, number))
        if time.monotonic() > self._until_s:
            self._session.post(Quit())

    def close(self) -> None: ...

    def figures(self) -> dict[str, float]:
        """Fields of Turn. Where fewer than two frames came, there is no rate and no age."""
        if len(self._rows) < 2:
            nothing = dict.fromkeys(("fps", "age_p50_ms", "age_p95_ms"), 0.0)
            return {"frames": len(self._rows), "dropped": 0, **nothing}
        shown, age, number = np.array(self._rows).T
        p50, p95 = np.percentile(age, (50, 95))
        return {
            "frames": len(age),
            "dropped": int(number[-1] - number[0]) + 1 - len(age),
            "fps": float(1000 / np.median(np.diff(shown))),
            "age_p50_ms": float(p50),
            "age_p95_ms": float(p95),
        }


class _NoView:
    """An output that shows nothing."""

    def show(self, result: FrameResult | None, state: State) -> None: ...

    def close(self) -> None: ...


def soak(settings: Settings, minutes: float, seed: int) -> Iterator[Turn]:
    """Run sources in turn; each turn opens a session, and closes it.

    Args:
        settings: encoder, engine and detector.
        minutes: in all, but at least FEWEST_TURNS turns.
        seed: of the faults and of the gallery's changes.
    Yields:
        Each turn when it is over.
    Raises:
        UserError: a session can't be opened or fails.
    """
    seconds = min(TURN_S, minutes * 60 / FEWEST_TURNS)
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("soak-"))
        tell("Drawing a video …")
        video = _write_video(folder / "drawn.mp4", seconds, seed)
        address = stack.enter_context(stamped_stream(FPS, seed))
        sources = {DEMO: DEMO, VIDEO: str(video), STREAM: address}
        settings = dataclasses.replace(settings, realtime=True, gallery=str(folder / "gestures"))
        began_s, usage = time.monotonic(), None
        for number, source in enumerate(itertools.cycle(sources)):
            if number >= FEWEST_TURNS and time.monotonic() - began_s >= minutes * 60:
                return
            events = folder / "events.jsonl"
            own = dataclasses.replace(settings, camera=sources[source])
            figures, running_mb = _run(own, source == STREAM, seconds, events, seed + number)
            starts, without_end = count_starts(events)
            usage = settled_usage(usage)
            at_s = time.monotonic() - began_s
            yield Turn(
                source,
                at_s,
                **figures,  # type: ignore[arg-type]
                starts=starts,
                without_end=without_end,
                running_mb=running_mb,
                usage=usage,
            )


def _run(
    settings: Settings, stamped: bool, seconds: float, events: Path, seed: int
) -> tuple[dict[str, float], float | None]:
    """One turn. Returns fields of Turn, and running_mb."""
    with ExitStack() as stack:
        session = stack.enter_context(open_session(settings))
        file = stack.enter_context(closing(EventFile(str(events), {})))
        view = stack.enter_context(closing(Threaded(_NoView(), lossless=False)))
        stack.enter_context(_changing(session.recognizer.gallery.folder, seed))
        meter = _Meter(session, stamped, seconds)
        session.run([file, meter, view])
        running_mb = read_usage().memory_mb
    return meter.figures(), running_mb


@contextmanager
def _changing(folder: Path, seed: int) -> Iterator[None]:
    """Meanwhile change a gallery, as another program does: a reference is added, then deleted."""
    rng, stop = np.random.default_rng(seed), threading.Event()

    def change() -> None:
        gallery = Gallery(folder)
        while not stop.wait(CHANGE_S):
            there = gallery.references()
            copied = dataclasses.replace(there[rng.integers(len(there))], id=new_id())
            added = gallery.add(copied)
            stop.wait(CHANGE_S)
            gallery.delete_reference(added.id)

    thread = threading.Thread(target=change, name="changes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def count_starts(events: Path) -> tuple[int, int]:
    """Read an event file.

    Returns:
        How many starts there are, and how many starts have no end or ends no start.
    Raises:
        ValueError: a line isn't whole.
    """
    held: Counter[tuple[str, str]] = Counter()
    starts = orphans = 0
    for text in events.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if line["type"] != "gesture":
            continue
        key = line["side"], line["label"]
        if line["kind"] == "start":
            starts += 1
            held[key] += 1
        elif held[key]:
            held[key] -= 1
        else:
            orphans += 1
    return starts, orphans + held.total()


def _write_video(path: Path, seconds: float, seed: int) -> Path:
    """The demo's hand as a video file with damaged places."""
    with VideoWriter(path, FPS) as writer:
        for index in range(round(seconds * FPS)):
            writer.write(demo_image(index), index / FPS)
    path.write_bytes(damage_file(path.read_bytes(), seed))
    return path
