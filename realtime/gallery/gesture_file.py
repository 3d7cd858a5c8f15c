"""The file gesture.json in a gesture's folder: its label, and a false-accept rate of its own.

Functions raise OSError unless they say otherwise.
"""

from __future__ import annotations

import json
from pathlib import Path

from engines.errors import UserError
from engines.files import write_file
from realtime.gallery.labels import check_label, label_of_folder
from realtime.gallery.record import DamagedReference, NewerFormat, parse_json, read_json

GESTURE = "gesture.json"
VERSION = 1


def write_label(folder: Path, label: str, far: float | None = None) -> None:
    """The label of a gesture's folder, and its own false-accept rate, from now on."""
    write_file(folder / GESTURE, label_json(label, far))


def label_json(label: str, far: float | None = None) -> bytes:
    """What gesture.json says of a gesture: its label, and its own false-accept rate if any."""
    own = {} if far is None else {"far": far}
    return json.dumps({"version": VERSION, "label": label, **own}).encode()


def parse_label(data: bytes) -> str:
    """The label that gesture.json says. Raises DamagedReference and NewerFormat."""
    label = parse_json(data, VERSION).get("label")
    if not isinstance(label, str):
        raise DamagedReference("it holds no label")
    try:
        return check_label(label)
    except UserError as error:
        raise DamagedReference(str(error)) from None


def parse_far(data: bytes) -> float | None:
    """The gesture's own false-accept rate that gesture.json says; None where it says none."""
    try:
        far = parse_json(data, VERSION).get("far")
    except (DamagedReference, NewerFormat):
        return None
    return far if isinstance(far, float) and 0.0 < far < 1.0 else None


def read_label(folder: Path) -> str:
    """The label of a gesture's folder: gesture.json's, or else the folder's name.

    Raises DamagedReference and NewerFormat about gesture.json, UserError about the name.
    """
    try:
        return parse_label(read_json(folder / GESTURE))
    except FileNotFoundError:
        return label_of_folder(folder.name)


def read_far(folder: Path) -> float | None:
    """A gesture's own false-accept rate; None where it has none."""
    try:
        return parse_far(read_json(folder / GESTURE))
    except (OSError, DamagedReference):
        return None
