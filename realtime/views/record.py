"""Recording one reference without a window, from a camera or a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.say import how_many, tell, warn
from realtime.gallery.labels import check_label
from realtime.hands.detector import detect_picture
from realtime.live.burst import Shot
from realtime.live.command import COUNTDOWN_S, Command, Name, Quit, Record
from realtime.live.enrol import enrol
from realtime.live.opening import open_session
from realtime.live.output import run_beside
from realtime.live.recording import describe_views
from realtime.live.session import Session
from realtime.live.state import Answer, State
from realtime.picture_files import read_picture
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.types import Frame, FrameResult


def run_record(
    settings: Settings, label: str, image: Path | None, replace: bool, negative: bool = False
) -> None:
    """Record, with a warning about a poor picture or a near twin; refuse only without a hand.

    Args:
        settings: the source, the gallery and the networks.
        label: the gesture.
        image: a picture to record from instead of the source.
        replace: the gesture's other references go to the trash.
        negative: what is shown is no gesture, though it is taken for `label`.

    Raises UserError.
    """
    name = Name(label := check_label(label.strip()), replace, negative)
    if image is not None:
        picture = read_picture(image)
        with Recognizer(settings, video=False) as recognizer:
            tell(recognizer.gallery.describe())
            if negative:
                recognizer.gallery.check_there(label)
            shot = _find_hand(recognizer, picture, image)
            warnings = enrol(recognizer, [shot], label, replace, negative)
            _report(recognizer, name, warnings, views=1, could_be_more=False)
        return
    with open_session(settings, recording=True) as session:
        assert session.source is not None
        tell(session.recognizer.gallery.describe())
        if negative:
            session.recognizer.gallery.check_there(label)
        live = session.source.live
        if live:
            turn = ", then turn your hand a little" if settings.keep > 1 else ""
            what = f"what isn't {label!r}" if negative else repr(label)
            tell(f"Show {what} and hold it{turn}.")
        record = Record(countdown_s=COUNTDOWN_S if live else 0.0)
        recorder = _Recorder(session, record, name)
        run_beside(
            run=lambda: session.run([recorder]),
            stop=lambda: session.post(Quit()),
            here=lambda: None,
        )
        answer = recorder.answer
        if answer is None or not answer.done:
            raise UserError(
                answer.text
                if answer is not None and recorder.named
                else f"No hand was seen in {session.source.name}, so nothing was recorded. Hold "
                "the whole hand in view, with light on it, and record again."
            )
        more = live and settings.keep > 1
        _report(session.recognizer, name, answer.warnings, answer.views, more)


class _Recorder:
    """An output that records one gesture: it says what to do, names what was shown, and quits."""

    def __init__(self, session: Session, record: Record, name: Name) -> None:
        self.answer: Answer | None = None  # to the last command
        self.named = False
        self._session = session
        self._name = name
        self._waits_for: Command = record
        self._said = int(record.countdown_s) + 1
        self._aloud = session.source is not None and session.source.live
        self._turning = False
        session.post(record)

    def show(self, result: FrameResult | None, state: State) -> None:
        if state.countdown and state.countdown < self._said:
            self._said = state.countdown
            tell(f"{state.countdown} …")
        progress = state.progress
        if progress is not None and progress.kept and not self._turning and self._aloud:
            self._turning = True
            tell("Turn your hand a little …")
        answer = state.answer(self._waits_for.id)
        if answer is None:
            return
        self.answer = answer
        if answer.done and not self.named:
            self.named, self._waits_for = True, self._name
            self._session.post(self._name)
        else:
            self._session.post(Quit())

    def close(self) -> None: ...


def _find_hand(recognizer: Recognizer, picture: np.ndarray, path: Path) -> Shot:
    settings = recognizer.settings
    if settings.mirrored:
        picture = cv2.flip(picture, 1)
    detection = detect_picture(recognizer.detector, picture)
    if detection is None:
        raise UserError(
            f"No hand was found in {path}, so nothing was recorded. Use a picture with the whole "
            "hand in view, well lit, not too small."
        )
    return Shot(Frame(picture, 0, 0.0), recognizer.cut(picture, detection))


def _report(
    recognizer: Recognizer, name: Name, warnings: Sequence[str], views: int, could_be_more: bool
) -> None:
    for sentence in warnings:
        warn(sentence)
    label, folder = name.label, recognizer.gallery.folder
    if name.negative:
        tell(f"Recorded what isn't {label!r} in {folder}.")
        return
    count = recognizer.gallery.labels()[label]
    notes = [how_many(count, "reference"), *describe_views(count, views, could_be_more)]
    tell(f"Recorded {label!r} ({', '.join(notes)}) in {folder}.")
