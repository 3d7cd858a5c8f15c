"""What is special about `--camera demo`: a gallery of its own, taught by the drawn teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from engines.errors import UserError
from engines.files import temporary_folder
from realtime.live.enrol import enrol_drawings
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.sources.demo import DEMO_GESTURES, demo_reference

DEMO = "demo"


@contextmanager
def own_gallery(settings: Settings, recording: bool) -> Iterator[Settings]:
    """Give the demo a temporary gallery, unless one is named. Other sources keep theirs.

    Args:
        recording: the gallery is to be kept, so the demo's has to be named.
    Raises:
        UserError: it isn't.
    """
    if settings.camera != DEMO or settings.gallery is not None:
        yield settings
        return
    if recording:
        raise UserError(
            "The demo leaves your own gestures alone: say where to record its hand, with "
            "--gallery DIR."
        )
    with temporary_folder("demo-gestures-") as folder:
        yield dataclasses.replace(settings, gallery=str(folder))


def pace(settings: Settings) -> Settings:
    """Give the demo its own speed, for people to look at. Other sources keep theirs."""
    return dataclasses.replace(settings, realtime=True) if settings.camera == DEMO else settings


def teach(recognizer: Recognizer) -> None:
    """Record one reference per gesture, drawn by the demo's teacher, into an empty gallery.

    Raises UserError where the detector finds no hand in a drawing.
    """
    if recognizer.settings.camera == DEMO and not recognizer.gallery.labels():
        drawings = {label: [demo_reference(label)] for label in DEMO_GESTURES}
        enrol_drawings(recognizer, drawings, "Try another --detector, or without --hand-model.")
