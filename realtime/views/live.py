"""The live program: a session with the outputs that are wanted, and its view on this thread."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engines.errors import UserError, at_end
from engines.say import tell
from realtime.gallery.gallery import Gallery
from realtime.live import demo
from realtime.live.command import Quit
from realtime.live.events import EventFile
from realtime.live.opening import open_session
from realtime.live.output import Output, Threaded, run_beside
from realtime.live.session import Session
from realtime.settings import Settings
from realtime.views.canvas import Canvas
from realtime.views.terminal import Terminal
from realtime.views.video import SavedVideo
from realtime.views.window import Window, has_display


@dataclass(frozen=True)
class Wanted:
    """Where results are to go.

    Attributes:
        view: "window", "terminal" or "none"; None: a window where there is a display.
        events: file of gesture events, "-" for stdout.
        log_frames: a line per frame as well.
        save: video of what the window shows.
        max_frames: stop after so many.
    """

    view: str | None = None
    events: str | None = None
    log_frames: bool = False
    save: Path | None = None
    max_frames: int | None = None


def run_live(settings: Settings, wanted: Wanted, program: str) -> None:
    """Recognise until the source ends, --max-frames, `q`, or Ctrl-C. Raises UserError."""
    if wanted.log_frames and wanted.events is None:
        raise UserError("--log-frames adds lines to --events: say where, with --events FILE or -.")
    if wanted.view != "none":
        settings = demo.pace(settings)
    with ExitStack() as stack:
        session = stack.enter_context(open_session(settings))
        source = session.source
        assert source is not None
        canvas = Canvas(session.recognizer.gallery.pictures)
        outputs: list[Output] = []

        def add(output: Output) -> None:
            outputs.append(output)
            stack.enter_context(at_end(output.close))

        if wanted.events is not None:
            header = {"program": program, **_header(session)}
            add(EventFile(wanted.events, header, log_frames=wanted.log_frames))
        if wanted.save is not None:
            video = SavedVideo(wanted.save, source.fps, canvas)
            add(Threaded(video, lossless=not source.live))
        view = _open_view(wanted.view, canvas)
        if view is not None:
            add(view)
        tell(_describe(session.recognizer.gallery))

        def here() -> None:
            if isinstance(view, Window):
                view.run(session.post)

        run_beside(
            run=lambda: session.run(outputs, wanted.max_frames),
            stop=lambda: session.post(Quit()),
            here=here,
        )


def _describe(gallery: Gallery) -> str:
    """Which gallery is used; of an empty one, what to do, since it may lie in another folder."""
    sentence = gallery.describe()
    if gallery.labels():
        return sentence
    return (
        f"{sentence} ({gallery.folder.absolute()}), so every hand stays unknown. Record one with r "
        "in the window or with: python run.py record NAME. If yours are elsewhere: --gallery DIR"
    )


def _open_view(name: str | None, canvas: Canvas) -> Window | Terminal | None:
    if name == "none":
        return None
    if name == "window":
        return Window(canvas)
    if name is None and has_display():
        try:
            return Window(canvas)
        except UserError as error:
            tell(str(error))
    return Terminal()


def _header(session: Session) -> dict[str, object]:
    recognizer, source = session.recognizer, session.source
    assert source is not None
    calibration = recognizer.calibration
    return {
        "source": source.name,
        "fps": source.fps,
        "encoder": recognizer.encoder.spec.name,
        "fingerprint": recognizer.encoder.fingerprint,
        "gestures": [label for label, _ in session.state.references],
        "far": calibration.far,
        "threshold": round(calibration.threshold, 4),
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
