"""Open what a session needs, in the right order: the library's front door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from realtime.hands.opening import mediapipe_model
from realtime.live import demo
from realtime.live.session import Session
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.sources.open import source_of
from realtime.types import FrameResult


@contextmanager
def open_session(settings: Settings, recording: bool = False) -> Iterator[Session]:
    """A session over the source that the settings name.

    Args:
        recording: it is opened to record only; the demo's teacher stays out of the gallery.
    Raises:
        UserError: the source, the encoder, the gallery or the hand model can't be opened.
    """
    with ExitStack() as stack:
        if settings.detector == "mediapipe":
            mediapipe_model(settings.hand_model)  # may take a minute, without the camera's light on
        settings = stack.enter_context(demo.own_gallery(settings, recording))
        source = stack.enter_context(source_of(settings))
        recognizer = stack.enter_context(Recognizer(settings, video=not source.unrelated))
        if not recording:
            demo.teach(recognizer)
        yield Session(recognizer, source)


def recognize(camera: str | int = "0", **settings: Any) -> Iterator[FrameResult]:
    """`for result in recognize("demo"): …`: the live loop as a generator.

    The last result repeats the last frame, without hands, and carries the ends of the gestures
    still held.

    Args:
        camera: what `--camera` takes.
        settings: fields of Settings.
    Raises:
        UserError: the source, the encoder, the gallery or the hand model can't be opened.
    """
    with open_session(Settings(camera=str(camera), **settings)) as session:
        assert session.source is not None
        for frame in session.source:
            yield session.step(frame)
        last = session.finish()
        if last is not None:
            yield last
