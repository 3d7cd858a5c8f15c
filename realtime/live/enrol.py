"""Enrolment: what was shown becomes a reference in the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2

from realtime.gallery.labels import check_label
from realtime.gallery.reference import Reference, make_reference
from realtime.hands.detector import Detector, detect_picture
from realtime.live.burst import Shot, find_faults
from realtime.recognition.recognizer import Recognizer


def enrol(
    recognizer: Recognizer, shots: Sequence[Shot], label: str, replace: bool = False
) -> list[str]:
    """Add a showing's hand to the gallery, as a reference of `label`.

    Args:
        shots: its views, the best first.
        replace: the gesture's other references go to the trash.
    Returns:
        What the person should be warned of, a clause each: a poor picture, a near twin.
    Raises:
        UserError: the label or the hand can't be recorded, or the gallery can't be written.
    """
    label, shot = check_label(label), shots[0]
    warnings = find_faults(shot)
    match = recognizer.match(shot.hand, ignore=label)
    if match.nearest is not None and match.score >= recognizer.calibration.threshold:
        warnings.append(
            f"this looks like your gesture {match.nearest!r} (similarity {match.score:.2f}): the "
            "two may be taken for one another"
        )
    reference = make_reference(shot.frame.image, shot.hand, label)
    reference = add_twin(reference, recognizer.still_detector)
    recognizer.gallery.add(reference, replace=replace)
    recognizer.refresh()
    return warnings


def add_twin(reference: Reference, detector: Detector) -> Reference:
    """Add what the detector sees in the picture's mirror image, if it sees a hand there.

    Detectors aren't symmetric: without its twin, the person's other hand is known less well.
    """
    found = detect_picture(detector, cv2.flip(reference.picture, 1))
    if found is None:
        return reference
    return dataclasses.replace(reference, twin=(found.landmarks, found.world_landmarks))
