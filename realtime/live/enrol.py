"""Enrolment: one reference into the gallery, from a camera, a picture, or the demo's teacher."""

from __future__ import annotations

import dataclasses
import math
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.say import tell, warn
from realtime.gallery.labels import check_label
from realtime.gallery.reference import Reference, make_reference
from realtime.hands.detector import HandDetector, cut_hand, detect_picture
from realtime.live.burst import Burst, Shot, complaints
from realtime.picture_files import read_picture
from realtime.recognition.recognizer import Recognizer, source_of
from realtime.settings import Settings
from realtime.sources.open import Source
from realtime.types import Frame, Hand

COUNTDOWN_S = 3.0


def record(settings: Settings, label: str, image: Path | None, replace: bool) -> None:
    """`run.py record`: warns about a poor picture or a near twin, refuses only without a hand.

    Raises UserError.
    """
    label = check_label(label)
    with ExitStack() as stack:
        if image is not None:
            # The demo's gallery is its own; a picture is meant for the user's.
            settings = dataclasses.replace(settings, camera="picture")
            picture = read_picture(image)
            recognizer = stack.enter_context(Recognizer(settings, video=False))
            shot = _shot_of_picture(recognizer, picture, image)
        else:
            if settings.camera == "demo" and settings.gallery is None:
                raise UserError(
                    "The demo never touches your own gestures: say where to record its hand, "
                    "with --gallery DIR."
                )
            source = stack.enter_context(source_of(settings))
            recognizer = stack.enter_context(Recognizer(settings, not source.unrelated))
            shot = _shot_of_source(recognizer, source, label)
        for sentence in enrol(recognizer, shot, label, replace):
            warn(sentence)
        count = recognizer.gallery.labels()[label]
        plural = "" if count == 1 else "s"
        tell(f"Recorded {label!r} ({count} reference{plural}) in {recognizer.gallery.folder}.")


def enrol(recognizer: Recognizer, shot: Shot, label: str, replace: bool = False) -> list[str]:
    """Add the shot's hand as a reference of `label`; → what the person should be warned of."""
    label = check_label(label)
    warnings = complaints(shot)
    match = recognizer.match(shot.hand, ignore=label)
    if match.nearest is not None and match.score >= recognizer.calibration.threshold:
        warnings.append(
            f"this looks like your gesture {match.nearest!r} (similarity {match.score:.2f}): the "
            "two may be taken for one another"
        )
    reference = make_reference(shot.frame.image, shot.hand, label)
    with HandDetector(recognizer.model, video=False, max_hands=1) as detector:
        reference = with_twin(reference, detector)
    recognizer.gallery.add(reference, replace=replace)
    recognizer.refresh()
    return warnings


def with_twin(reference: Reference, detector: HandDetector) -> Reference:
    """The reference as the person's other hand would show it too, if the detector sees that."""
    found = detect_picture(detector, cv2.flip(reference.picture, 1))
    if found is None:
        return reference
    return dataclasses.replace(reference, twin=(found.landmarks, found.world_landmarks))


def enrol_demo(recognizer: Recognizer) -> None:
    """For the demo with an empty gallery: one reference per gesture, drawn by its teacher."""
    if recognizer.settings.camera != "demo" or recognizer.gallery.labels():
        return
    from realtime.sources.demo import DEMO_GESTURES, demo_reference

    with HandDetector(recognizer.model, video=False) as detector:
        for label in DEMO_GESTURES:
            image = demo_reference(label)
            hand = _largest_hand(recognizer, detector, image)
            if hand is None:
                raise UserError(
                    f"The hand model finds no hand in the drawing of {label!r}. Try without "
                    "--hand-model."
                )
            recognizer.gallery.add(with_twin(make_reference(image, hand, label), detector))
    recognizer.refresh()


def _largest_hand(recognizer: Recognizer, detector: HandDetector, image: np.ndarray) -> Hand | None:
    detection = detect_picture(detector, image)
    if detection is None:
        return None
    size = recognizer.encoder.spec.crop_size
    return cut_hand(image, detection, size, recognizer.settings.mirror_hands)


def _shot_of_picture(recognizer: Recognizer, picture: np.ndarray, path: Path) -> Shot:
    if recognizer.settings.mirrored:
        picture = cv2.flip(picture, 1)
    hand = _largest_hand(recognizer, recognizer.detector, picture)
    if hand is None:
        raise UserError(
            f"No hand was found in {path}, so nothing was recorded. Use a picture with the whole "
            "hand in view, well lit, not too small."
        )
    return Shot(Frame(picture, 0, 0.0), hand)


def _shot_of_source(recognizer: Recognizer, source: Source, label: str) -> Shot:
    burst = Burst(COUNTDOWN_S if source.live else 0.0)
    if source.live:
        tell(f"Show {label!r} and hold it.")
    said = int(COUNTDOWN_S) + 1
    for frame in source:
        burst.update(frame, recognizer.detector.detect(frame))
        left = math.ceil(burst.seconds_left(frame.time_s))
        if source.live and 0 < left < said:
            tell(f"{left} …")
            said = left
        if burst.shot or burst.given_up:
            break
    burst.finish()
    if burst.shot is None:
        raise UserError(
            f"No hand was seen in {source.name}, so nothing was recorded. Hold the whole hand in "
            "view, with light on it, and record again."
        )
    return burst.shot
