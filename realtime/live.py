"""The main job: a source, recognised frame by frame, shown, logged, and steered by keys."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.errors import UserError
from realtime.capture import Burst, Shot
from realtime.events import EventWriter
from realtime.overlay import Status, draw, make_strip
from realtime.picture_file import write_picture
from realtime.recognizer import Recognizer, Settings, source_of
from realtime.record import COUNTDOWN_S, enrol, enrol_demo
from realtime.say import tell, warn
from realtime.sources import Source
from realtime.types import Frame, FrameResult
from realtime.video_writer import VideoWriter

MESSAGE_S = 4.0
VIEWS = ("window", "terminal", "none")


@dataclass(frozen=True)
class Outputs:
    """Where the recognised goes. view None: a window where there is a display."""

    view: str | None = None
    events: str | None = None
    log_frames: bool = False
    save: Path | None = None
    max_frames: int | None = None


class View(Protocol):
    def show(self, result: FrameResult, status: Status) -> None: ...

    def close(self) -> None: ...


def run(settings: Settings, outputs: Outputs, header: dict[str, object]) -> None:
    """Recognise until the source ends, --max-frames, `q`, or Ctrl-C. Raises UserError.

    header: what else the event file's first line says.
    """
    with ExitStack() as stack:
        view = _open_view(outputs.view)
        if view is not None:
            stack.callback(view.close)
        if settings.camera == "demo" and view is not None:
            settings = dataclasses.replace(settings, realtime=True)  # for eyes, at its own pace
        source = stack.enter_context(source_of(settings))
        recognizer = stack.enter_context(Recognizer(settings, not source.unrelated))
        enrol_demo(recognizer)
        live = Live(recognizer, view)
        events = None
        if outputs.events is not None:
            header = {**header, **_header(recognizer, source)}
            events = stack.enter_context(
                EventWriter(outputs.events, header, log_frames=outputs.log_frames)
            )
        video = None
        if outputs.save is not None:
            video = stack.enter_context(VideoWriter(outputs.save, source.fps or 30.0))
        try:
            _loop(source, live, events, video, outputs.max_frames)
        finally:  # Ctrl-C too: whoever reads the events gets the ends of what was held
            for event in recognizer.finish():
                if events is not None:
                    events.event(event)


def _loop(
    source: Source,
    live: Live,
    events: EventWriter | None,
    video: VideoWriter | None,
    max_frames: int | None,
) -> None:
    if max_frames == 0:
        return
    for frame in source:
        result = live.step(frame)
        if events is not None:
            events.frame(result)
        if video is not None:
            video.write(draw(result, live.status()), frame.time_s)
        if live.quit or (max_frames is not None and frame.index + 1 >= max_frames):
            return


class Live:
    """One recognizer under one view: the state that keys change."""

    def __init__(self, recognizer: Recognizer, view: View | None) -> None:
        self.quit = False
        self._recognizer = recognizer
        self._view = view
        self._burst: Burst | None = None
        self._result: FrameResult | None = None
        self._paused = self._help = False
        self._message, self._message_until = "", 0.0
        self._pictured: object = None
        self._strip = make_strip(())
        self._fps, self._latency_ms, self._last = 0.0, 0.0, time.perf_counter()
        self._countdown: int | None = None

    def step(self, frame: Frame) -> FrameResult:
        """Recognise one frame, show it, and do what the person asked for meanwhile."""
        result = self._result = self._recognizer.step(frame)
        self._measure(result)
        if self._burst is not None:
            self._advance_burst(result)
        self._present(result)
        while self._paused and not self.quit:
            self._view.wait(30)  # type: ignore[union-attr]  # only a view with keys pauses
            self._present(result)
        return result

    def status(self) -> Status:
        if time.monotonic() > self._message_until:
            self._message = ""
        return Status(
            gallery=self._recognizer.gallery.folder.name,
            far=self._recognizer.calibration.far,
            fps=self._fps,
            latency_ms=self._latency_ms,
            strip=self._recorded(),
            message=self._message,
            countdown=self._countdown,
            help=self._help,
            paused=self._paused,
        )

    def _present(self, result: FrameResult) -> None:
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
        index = self._recognizer.index
        if self._pictured is not index and self._result is not None:
            self._pictured = index
            newest = {r.label: r.picture for r in self._recognizer.gallery.references()}
            thumbnails = [(label, _thumbnail(picture)) for label, picture in newest.items()]
            self._strip = make_strip(thumbnails, max(self._result.frame.image.shape[1], 640))
        return self._strip

    # What keys do.

    def start_recording(self) -> None:
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
            warnings = enrol(self._recognizer, shot, name.strip())
        except UserError as error:
            warn(str(error))
            self._say(str(error))
            return
        for sentence in warnings:
            warn(sentence)
        self._say(f"Recorded {name.strip()}" + (f", but {warnings[0]}" if warnings else "."))

    def delete_last(self) -> None:
        index = self._recognizer.index
        references = sorted(zip(index.ids, index.labels, strict=True))  # ids sort by age
        if not references:
            self._say("There is no gesture to delete.")
            return
        last, label = references[-1]
        try:
            self._recognizer.gallery.delete_reference(last)
        except UserError as error:
            self._say(str(error))
        else:
            self._say(f"Deleted the last reference of {label}.")
        self._recognizer.refresh()

    def loosen(self, steps: int) -> None:
        calibration = self._recognizer.calibration.stepped(steps)
        self._recognizer.set_operating_point(calibration)
        if calibration.far is None:
            self._say("This encoder has no calibration to move along.")

    def snapshot(self) -> None:
        assert self._result is not None
        path = Path("snapshots") / time.strftime("%Y%m%d-%H%M%S.png")
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
    "record": Live.start_recording,
    "delete": Live.delete_last,
    "pause": Live.toggle_pause,
    "snapshot": Live.snapshot,
    "help": Live.toggle_help,
    "looser": lambda live: live.loosen(+1),
    "stricter": lambda live: live.loosen(-1),
    "quit": Live.stop,
}


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """The middle half of a reference's picture, as the selfie view shows it."""
    quarter = picture.shape[0] // 4
    return picture[quarter : 3 * quarter + 1, quarter : 3 * quarter + 1][:, ::-1]


def _open_view(name: str | None) -> View | None:
    if name == "none":
        return None
    if name != "terminal":
        from realtime.window import WindowView, has_display

        if name == "window":
            return WindowView()
        if has_display():
            try:
                return WindowView()
            except UserError as error:
                tell(str(error))
    from realtime.terminal import TerminalView

    return TerminalView()


def _header(recognizer: Recognizer, source: Source) -> dict[str, object]:
    calibration = recognizer.calibration
    return {
        "source": source.name,
        "fps": source.fps,
        "encoder": recognizer.encoder.spec.name,
        "fingerprint": recognizer.encoder.fingerprint,
        "gestures": list(dict.fromkeys(recognizer.index.labels)),
        "far": calibration.far,
        "threshold": round(calibration.threshold, 4),
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
