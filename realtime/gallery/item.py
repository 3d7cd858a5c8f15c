"""An item: what a reference is on disk, a JSON file and a PNG file for each of its views.

Format 2 is <id>.item.json, <id>.png, <id>-1.png, <id>-2.png …: programs that know format 1 alone
look for <id>.json and so leave it alone. The JSON says the item's kind and, of each view, what its
picture is and where the hand is in it. Format 1, <id>.json and <id>.png, holds one view; it is
read, and nothing is written in it.

A negative reference is <id>.negative.json: it shows a hand that was taken for the gesture and isn't
one. Its name keeps it apart from references that are counted without being opened.

Items of a later version, or of a kind that is unknown here, raise NewerFormat. They are moved,
exported and imported byte for byte: the JSON, and the PNG files whose names begin with the id.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Collection, Mapping

import cv2
import numpy as np

from realtime.gallery.record import (
    VERSION,
    DamagedPicture,
    DamagedReference,
    NewerFormat,
    ReferenceRecord,
    ViewRecord,
    parse_record,
    picture_name,
)
from realtime.gallery.reference import NEGATIVE, Reference, View
from realtime.picture_files import decode_quietly

ID = r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}"
JSON = re.compile(rf"({ID})(?:\.item|\.negative)?\.json", re.ASCII)
PICTURE = re.compile(rf"({ID})(?:-\d+)?\.png", re.ASCII)

NEGATIVE_NAME = ".negative.json"  # what the JSON file of a negative reference ends in

Files = dict[str, bytes]  # an item's files by their names, the JSON last


def to_files(reference: Reference) -> Files:
    """Encode a reference as the files of its item."""
    files: Files = {}
    views = []
    for number, view in enumerate(reference.views):
        done, encoded = cv2.imencode(".png", view.picture)
        if not done:
            raise ValueError("the picture can't be encoded as PNG")
        name = picture_name(reference.id, number)
        files[name] = png = encoded.tobytes()
        picture = {
            "file": name,
            "sha256": hashlib.sha256(png).hexdigest(),
            "bytes": len(png),
            "size": len(view.picture),
        }
        views.append(
            {
                "picture": picture,
                "side": view.side,
                "score": view.score,
                "time_s": view.time_s,
                **_numbers(view.landmarks, view.world_landmarks),
                **({} if view.twin is None else {"twin": _numbers(*view.twin)}),
            }
        )
    fields = {
        "version": VERSION,
        "kind": reference.kind,
        "recorded_at": reference.recorded_at,
        "views": views,
    }
    # Without blanks, so that MOST_VIEWS of them stay below LARGEST_JSON.
    ending = NEGATIVE_NAME if reference.kind == NEGATIVE else ".item.json"
    files[reference.id + ending] = json.dumps(fields, separators=(",", ":")).encode()
    return files


def picture_names(id: str, json_file: bytes, there: Collection[str]) -> list[str]:
    """The names of an item's pictures.

    Args:
        json_file: the bytes of its JSON file.
        there: the names of all pictures that its id begins; those it has, where its format or
            kind is unknown here.
    Raises:
        DamagedReference: the JSON is no item's.
    """
    try:
        return [view.file for view in parse_record(id, json_file).views]
    except NewerFormat:
        return sorted(there)


def check_files(id: str, files: Files) -> None:
    """Raise DamagedReference where files hold no item. Those of an unknown kind may hold any.

    Pictures may be missing, as long as there is one.
    """
    try:
        record = parse_record(id, files[list(files)[-1]])
    except NewerFormat:
        return
    to_views(record, files)


def to_views(record: ReferenceRecord, files: Mapping[str, bytes]) -> dict[int, View]:
    """The views of a record whose pictures are there, by their numbers, the best first.

    Raises DamagedPicture about a picture, DamagedReference where there is none.
    """
    views = {
        view.number: View(
            picture=decode_picture(view, files[view.file]),
            landmarks=view.landmarks,
            world_landmarks=view.world_landmarks,
            side=view.side,
            score=view.score,
            time_s=view.time_s,
            twin=view.twin,
        )
        for view in record.views
        if view.file in files
    }
    if not views:
        raise DamagedReference("its picture is missing")
    return views


def decode_picture(view: ViewRecord, png: bytes) -> np.ndarray:
    """A view's picture, uint8 (K, K, 3) BGR. Raises DamagedPicture."""
    if hashlib.sha256(png).hexdigest() != view.sha256:
        raise DamagedPicture("its picture is not the one recorded", view.file)
    # Read before decoding: a small file can ask for gigabytes of pixels.
    if len(png) < 24 or struct.unpack(">II", png[16:24]) != (view.size, view.size):
        raise DamagedPicture("its picture has another size", view.file)
    picture = decode_quietly(png, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None or picture.shape != (view.size, view.size, 3):
        raise DamagedPicture("its picture can't be decoded", view.file)
    return picture


def _numbers(landmarks: np.ndarray, world_landmarks: np.ndarray) -> dict[str, list[list[float]]]:
    # str gives the shortest decimal that reads back as the same float32.
    return {
        name: [[float(str(value)) for value in row] for row in points.astype(np.float32)]
        for name, points in (("landmarks", landmarks), ("world_landmarks", world_landmarks))
    }
