"""Enrolment: the shots of one showing become a reference in the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2

from realtime.gallery.labels import check_label
from realtime.gallery.reference import Reference, View, make_reference
from realtime.hands.detector import Detector, detect_picture
from realtime.live.burst import Shot, find_faults
from realtime.recognition.recognizer import Recognizer


def enrol(
    recognizer: Recognizer, shots: Sequence[Shot], label: str, replace: bool = False
) -> list[str]:
    """Add a showing of a hand to the gallery, as one reference of `label` with a view per shot.

    Args:
        shots: one or several, the best first.
        replace: the gesture's other references go to the trash.
    Returns:
        What the person should be warned of, a clause each: a poor best picture, a near twin.
    Raises:
        UserError: the label or a hand can't be recorded, or the gallery can't be written.
    """
    label = check_label(label)
    warnings = find_faults(shots[0])
    matches = [recognizer.match(shot.hand, ignore=label) for shot in shots]
    near = [match for match in matches if match.label is not None]
    if near:
        match = max(near, key=lambda match: match.score)
        warnings.append(
            f"this looks like your gesture {match.nearest!r} (similarity {match.score:.2f}): the "
            "two may be taken for one another"
        )
    reference = add_twins(make_reference(shots, label), recognizer.still_detector)
    recognizer.gallery.add(reference, replace=replace)
    recognizer.refresh(newest=1)
    return warnings


def add_twins(reference: Reference, detector: Detector) -> Reference:
    """Add what the detector sees in the mirror image of each picture, if it sees a hand there.

    Detectors aren't symmetric: without its twin, the person's other hand is known less well.
    """
    views = tuple(_add_twin(view, detector) for view in reference.views)
    return dataclasses.replace(reference, views=views)


def _add_twin(view: View, detector: Detector) -> View:
    # A view's picture has room around the hand: it needs no border.
    found = detect_picture(detector, cv2.flip(view.picture, 1), borders=(0.0,))
    if found is None:
        return view
    return dataclasses.replace(view, twin=(found.landmarks, found.world_landmarks))
