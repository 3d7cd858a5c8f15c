"""How old a frame is when its result comes out: from the camera's shutter to the event line."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.live.opening import open_session
from realtime.live.output import Output, Threaded
from realtime.live.session import Session
from realtime.live.state import State
from realtime.settings import Settings
from realtime.sources.open import open_source
from realtime.timing.stream import now_ms, read_stamp, stamped_stream
from realtime.types import FrameResult

WARM_UP = 30  # frames that aren't counted
SLOW_S = 0.1  # processor time that the slow view takes for a frame


@dataclass(frozen=True)
class Ages:
    """What came out of a paced stream.

    Attributes:
        fps: frames that the stream sends a second.
        age_ms: (N,) from a frame's capture until its result was handed to the outputs.
        work_ms: (N,) that the loop worked on each frame.
        step_ms: (N - 1,) between the captures of frames that follow one another.
    """

    fps: float
    age_ms: np.ndarray
    work_ms: np.ndarray
    step_ms: np.ndarray

    @property
    def handled(self) -> float:
        """Share of the stream's frames that were handled; the others were dropped."""
        return len(self.step_ms) / (float(self.step_ms.sum()) * self.fps / 1000)

    @property
    def growth(self) -> float:
        """Median age in the last third, divided by that in the first."""
        third = len(self.age_ms) // 3
        return float(np.median(self.age_ms[-third:]) / np.median(self.age_ms[:third]))


class AgeMeter:
    """An output that notes how old each result is when it gets it."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, float]] = []  # now, capture, work

    def show(self, result: FrameResult | None, state: State) -> None:
        if result is not None and result.timings_ms:  # the last one repeats a frame
            work_ms = sum(result.timings_ms.values())
            self._rows.append((now_ms(), read_stamp(result.frame.image), work_ms))

    def close(self) -> None: ...

    def ages(self, fps: float) -> Ages:
        """What was noted after the warm-up."""
        now, captured, work = np.array(self._rows[WARM_UP:]).T
        return Ages(fps, now - captured, work, np.diff(captured))


class SlowView:
    """An output as slow as a large window on a slow machine: SLOW_S of work for each frame."""

    def __init__(self) -> None:
        self.shown = 0

    def show(self, result: FrameResult | None, state: State) -> None:
        if result is None:
            return
        self.shown += 1
        until_s = time.thread_time() + SLOW_S
        while time.thread_time() < until_s:
            cv2.GaussianBlur(result.frame.image, (0, 0), 3)

    def close(self) -> None: ...


def measure_age(settings: Settings, fps: float, frames: int, overload: bool = False) -> Ages:
    """Run the live loop on a stamped stream.

    Args:
        settings: encoder, engine and detector; the gallery holds the demo's ten gestures.
        fps: frames that the stream sends a second.
        frames: how many results are counted.
        overload: beside a slow view, and another process that keeps a core busy.
    Raises:
        UserError: the loop can't be opened.
    """
    settings = dataclasses.replace(settings, camera="demo", gallery=None)
    meter = AgeMeter()
    with ExitStack() as stack:
        recognizer = stack.enter_context(open_session(settings)).recognizer
        address = stack.enter_context(stamped_stream(fps))
        outputs: list[Output] = [meter]
        if overload:
            stack.enter_context(_busy_core())
            view = Threaded(SlowView(), lossless=False)
            stack.callback(view.close)
            outputs.append(view)
        source = stack.enter_context(open_source(address))
        Session(recognizer, source).run(outputs, WARM_UP + frames)
    return meter.ages(fps)


@contextmanager
def _busy_core() -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _spin() -> None:
    while True:
        pass
