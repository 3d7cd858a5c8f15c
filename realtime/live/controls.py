"""What keys do in the live loop: record, delete, pause, snapshot, move the operating point."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from engines.errors import UserError
from engines.say import warn
from realtime.live.burst import Burst, Shot
from realtime.live.enrol import COUNTDOWN_S, enrol
from realtime.picture_files import write_picture
from realtime.recognition.recognizer import Recognizer
from realtime.sources.open import Source
from realtime.types import FrameResult
from realtime.views.overlay import THUMBNAIL, Status, draw, make_strip

MESSAGE_S = 4.0
OUTAGE_S = 1.0  # without a frame before it is worth a word


class View(Protocol):
    """Where results are shown. A view with keys also has actions(), wait() and ask_name()."""

    def show(self, result: FrameResult, status: Status) -> None: ...

    def close(self) -> None: ...


class Controls:
    """A recognizer under a view: the state that keys change.

    Without a view nothing is shown and nothing asked for.
    """

    def __init__(self, recognizer: Recognizer, source: Source, view: View | None) -> None:
        self.quit = False
        self.recognizer = recognizer
        self.source = source
        self._view = view
        self._burst: Burst | None = None
        self._result: FrameResult | None = None
        self._paused = self._help = False
        self._message, self._message_until = "", 0.0
        self._pictured: object = None
        self._strip = make_strip(())
        self._thumbnails: dict[str, np.ndarray] = {}  # by the reference's id
        self._fps, self._latency_ms, self._last = 0.0, 0.0, time.perf_counter()
        self._countdown: int | None = None

    def present(self, result: FrameResult) -> None:
        """Show a frame, and do what the person asked for meanwhile."""
        self._result = result
        self._measure(result)
        if self._burst is not None:
            self._advance_burst(result)
        self._show(result)
        while self._paused and not self.quit:
            self._view.wait(30)  # type: ignore[union-attr]  # only a view with keys pauses
            self._show(result)

    def idle(self) -> None:
        """The source has nothing new: the window stays alive, and says why it stands still."""
        if self._view is None or self._result is None:
            return
        if time.perf_counter() - self._last > OUTAGE_S:
            self._say("Waiting for the camera …")
        self._show(self._result)
        if self.quit:
            self.source.close()

    def status(self) -> Status:
        if time.monotonic() > self._message_until:
            self._message = ""
        return Status(
            gallery=self.recognizer.gallery.folder.name,
            far=self.recognizer.calibration.far,
            fps=self._fps,
            latency_ms=self._latency_ms,
            strip=self._recorded(),
            message=self._message,
            countdown=self._countdown,
            help=self._help,
            paused=self._paused,
        )

    def _show(self, result: FrameResult) -> None:
        if self._view is None:
            return
        self._view.show(result, self.status())
        for action in getattr(self._view, "actions", list)():
            if self._burst is None or action == "quit":  # nothing else while a hand is held up
                ACTIONS[action](self)

    def _measure(self, result: FrameResult) -> None:
        now = time.perf_counter()
        rate = 1.0 / max(now - self._last, 1e-6)
        self._last = now
        latency = sum(result.timings_ms.values())
        first = result.frame.index == 0
        self._fps = rate if first else 0.9 * self._fps + 0.1 * rate
        self._latency_ms = latency if first else 0.9 * self._latency_ms + 0.1 * latency

    def _say(self, message: str) -> None:
        self._message, self._message_until = message, time.monotonic() + MESSAGE_S

    def _recorded(self) -> np.ndarray:
        """The strip of thumbnails, one per gesture, made again only when the gallery changed."""
        index = self.recognizer.index
        if self._pictured is not index and self._result is not None:
            self._pictured = index
            newest = dict(zip(index.labels, index.ids, strict=True))  # sorted by age within a label
            for id in newest.values() - self._thumbnails.keys():
                picture = self.recognizer.gallery.picture(id)
                if picture is not None:
                    self._thumbnails[id] = _thumbnail(picture)
            shown = [(n, self._thumbnails[i]) for n, i in newest.items() if i in self._thumbnails]
            self._strip = make_strip(shown, max(self._result.frame.image.shape[1], 640))
        return self._strip

    # What keys do.

    def start_recording(self) -> None:
        self._paused = False  # the burst needs frames to come
        self._burst = Burst(COUNTDOWN_S)

    def _advance_burst(self, result: FrameResult) -> None:
        burst = self._burst
        assert burst is not None
        burst.update(result.frame, result.hands)
        self._countdown = int(np.ceil(burst.seconds_left(result.frame.time_s)))
        if burst.shot is None and not burst.given_up:
            return
        self._burst, self._countdown = None, None
        if burst.shot is None:
            self._say("No hand was seen: nothing recorded. Press r to try again.")
        else:
            self._name(burst.shot)

    def _name(self, shot: Shot) -> None:
        name = self._view.ask_name(shot.frame.image)  # type: ignore[union-attr]
        if name is None:
            self._say("Not recorded.")
            return
        try:
            warnings = enrol(self.recognizer, shot, name.strip())
        except UserError as error:
            warn(str(error))
            self._say(str(error))
            return
        for sentence in warnings:
            warn(sentence)
        self._say(f"Recorded {name.strip()}" + (f", but {warnings[0]}" if warnings else "."))

    def delete_last(self) -> None:
        index = self.recognizer.index
        references = sorted(zip(index.ids, index.labels, strict=True))  # ids sort by age
        if not references:
            self._say("There is no gesture to delete.")
            return
        last, label = references[-1]
        try:
            self.recognizer.gallery.delete_reference(last)
        except UserError as error:
            self._say(str(error))
        else:
            self._say(f"Deleted the last reference of {label}.")
        self.recognizer.refresh()

    def loosen(self, steps: int) -> None:
        calibration = self.recognizer.calibration.stepped(steps)
        self.recognizer.set_operating_point(calibration)
        if calibration.far is None:
            self._say("This encoder has no calibration to move along.")

    def snapshot(self) -> None:
        assert self._result is not None
        path = (
            Path("snapshots") / f"{time.strftime('%Y%m%d-%H%M%S')}-{self._result.frame.index}.png"
        )
        try:
            path.parent.mkdir(exist_ok=True)
            write_picture(path, draw(self._result, self.status()))
            self._say(f"Saved {path}.")
        except OSError as error:
            self._say(f"{path} can't be written ({error.strerror}).")

    def toggle_pause(self) -> None:
        self._paused = not self._paused

    def toggle_help(self) -> None:
        self._help = not self._help

    def stop(self) -> None:
        self.quit = True


ACTIONS = {
    "record": Controls.start_recording,
    "delete": Controls.delete_last,
    "pause": Controls.toggle_pause,
    "snapshot": Controls.snapshot,
    "help": Controls.toggle_help,
    "looser": lambda controls: controls.loosen(+1),
    "stricter": lambda controls: controls.loosen(-1),
    "quit": Controls.stop,
}


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """The middle half of a reference's picture, small, as the selfie view shows it."""
    quarter = picture.shape[0] // 4
    middle = picture[quarter : 3 * quarter + 1, quarter : 3 * quarter + 1]
    return cv2.flip(cv2.resize(middle, (THUMBNAIL, THUMBNAIL)), 1)
