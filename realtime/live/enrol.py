"""Enrolment: a shot becomes a reference in the gallery."""

from __future__ import annotations

import dataclasses

import cv2

from realtime.gallery.labels import check_label
from realtime.gallery.reference import Reference, make_reference
from realtime.hands.detector import HandDetector, detect_picture
from realtime.live.burst import Shot, complaints
from realtime.recognition.recognizer import Recognizer


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
