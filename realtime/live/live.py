"""The main job: a source, recognised frame by frame, shown, logged, and steered by keys."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engines.errors import UserError
from engines.say import tell
from realtime.hands.model import hand_model
from realtime.live.controls import Controls, View
from realtime.live.enrol import enrol_demo
from realtime.live.events import EventWriter
from realtime.recognition.recognizer import Recognizer, source_of
from realtime.settings import Settings
from realtime.sources.open import Source
from realtime.views.overlay import draw
from realtime.views.video_writer import VideoWriter


@dataclass(frozen=True)
class Outputs:
    """Where the recognised goes. view None: a window where there is a display."""

    view: str | None = None
    events: str | None = None
    log_frames: bool = False
    save: Path | None = None
    max_frames: int | None = None


def run(settings: Settings, outputs: Outputs, header: dict[str, object]) -> None:
    """Recognise until the source ends, --max-frames, `q`, or Ctrl-C. Raises UserError.

    header: what else the event file's first line says.
    """
    if outputs.log_frames and outputs.events is None:
        raise UserError("--log-frames adds lines to --events: say where, with --events FILE or -.")
    if settings.camera == "demo" and outputs.view != "none":
        settings = dataclasses.replace(settings, realtime=True)  # for eyes, at its own pace
    with ExitStack() as stack:
        hand_model(settings.hand_model)  # may take a minute, without the camera's light on
        source = stack.enter_context(source_of(settings))
        recognizer = stack.enter_context(Recognizer(settings, not source.unrelated))
        enrol_demo(recognizer)
        events = None
        if outputs.events is not None:
            header = {**header, **_header(recognizer, source)}
            events = stack.enter_context(
                EventWriter(outputs.events, header, log_frames=outputs.log_frames)
            )
        video = None
        if outputs.save is not None:
            video = stack.enter_context(VideoWriter(outputs.save, source.fps or 30.0))
        view = _open_view(outputs.view)
        if view is not None:
            stack.callback(view.close)
        controls = Controls(recognizer, source, view)
        source.idle = controls.idle
        try:
            _loop(controls, events, video, outputs.max_frames)
        finally:  # Ctrl-C too: whoever reads the events gets the ends of what was held
            for event in recognizer.finish():
                if events is not None:
                    events.event(event)


def _loop(
    controls: Controls,
    events: EventWriter | None,
    video: VideoWriter | None,
    max_frames: int | None,
) -> None:
    if max_frames == 0:
        return
    for frame in controls.source:
        result = controls.recognizer.step(frame)
        if events is not None:  # before anything that may take a person's time
            events.frame(result)
        controls.present(result)
        if video is not None:
            video.write(draw(result, controls.status()), frame.time_s)
        if controls.quit or (max_frames is not None and frame.index + 1 >= max_frames):
            return


def _open_view(name: str | None) -> View | None:
    if name == "none":
        return None
    if name != "terminal":
        from realtime.views.window import WindowView, has_display

        if name == "window":
            return WindowView()
        if has_display():
            try:
                return WindowView()
            except UserError as error:
                tell(str(error))
    from realtime.views.terminal import TerminalView

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
