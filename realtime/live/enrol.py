"""Enrolment: the shots of one showing become a reference in the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from engines.errors import UserError
from realtime.gallery.labels import check_label
from realtime.gallery.reference import NEGATIVE, STILL, Reference, View, make_reference
from realtime.hands.detector import Detector, detect_picture
from realtime.live.burst import Shot, find_faults
from realtime.recognition.recognizer import Recognizer
from realtime.types import Frame


def enrol(
    recognizer: Recognizer,
    shots: Sequence[Shot],
    label: str,
    replace: bool = False,
    negative: bool = False,
) -> list[str]:
    """Add a showing of a hand to the gallery, as one reference of `label` with a view per shot.

    Args:
        shots: one or several, the best first.
        replace: the gesture's other references go to the trash; of a negative one, its other
            negative ones.
        negative: what is shown is no gesture, though it is taken for `label`.
    Returns:
        What the person should be warned of, a clause each: a poor best picture, a near twin.
    Raises:
        UserError: the label or a hand can't be recorded, or the gallery can't be written.
    """
    label = check_label(label)
    warnings = find_faults(shots[0])
    kind = NEGATIVE if negative else STILL
    if negative:
        recognizer.gallery.check_there(label)
    else:
        warnings += _find_likeness(recognizer, shots, label)
    reference = add_twins(make_reference(shots, label, kind), recognizer.still_detector)
    recognizer.gallery.add(reference, replace=replace)
    recognizer.refresh(newest=1)
    return warnings


def _find_likeness(recognizer: Recognizer, shots: Sequence[Shot], label: str) -> list[str]:
    """What else in the gallery the shots look like."""
    warnings = []
    matches = [recognizer.match(shot.hand, ignore=label) for shot in shots]
    if any(match.negative for match in matches):
        warnings.append(
            "this looks like a hand that was taught as no gesture: it may stay unknown (`gestures "
            "clear` forgets such hands)"
        )
    near = [match for match in matches if match.label is not None]
    if near:
        match = max(near, key=lambda match: match.score)
        warnings.append(
            f"this looks like your gesture {match.nearest!r} (similarity {match.score:.2f}): the "
            "two may be taken for one another"
        )
    return warnings


def enrol_drawings(
    recognizer: Recognizer, drawings: Mapping[str, Sequence[np.ndarray]], remedy: str
) -> None:
    """Record drawn hands, each gesture as one reference with a view per picture.

    Args:
        recognizer: where they are recorded.
        drawings: by label, pictures uint8 (H, W, 3) BGR; those without a hand are left out.
        remedy: what to do where no picture of a gesture shows a hand.

    Raises:
        UserError: no picture of a gesture shows a hand.
    """
    with recognizer.open_detector(video=False) as detector:
        for label, pictures in drawings.items():
            found = [(picture, detect_picture(detector, picture)) for picture in pictures]
            shots = [
                Shot(Frame(picture, 0, 0.0), recognizer.cut(picture, detection))
                for picture, detection in found
                if detection is not None
            ]
            if not shots:
                raise UserError(f"No hand is found in the drawings of {label!r}. {remedy}")
            recognizer.gallery.add(add_twins(make_reference(shots, label), detector))
    recognizer.refresh()


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
