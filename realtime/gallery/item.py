"""An item: what a reference is on disk, a JSON file and a PNG file for each of its views.

Format 2 is <id>.item.json, <id>.png, <id>-1.png, <id>-2.png …: programs that know format 1 alone
look for <id>.json and so leave it alone. The JSON says the item's kind and, of each view, what its
picture is and where the hand is in it. Format 1, <id>.json and <id>.png, holds one view; it is
read, and nothing is written in it.

What is of a later version, or of a kind that is unknown here, is NewerFormat. It is carried as it
is, by the names of its files.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cv2
import numpy as np

from realtime.gallery.reference import LARGEST, MOST_VIEWS, SIDES, STILL, Points, Reference, View

VERSION = 2
LARGEST_PNG = 8 << 20  # bytes; a 1024-pixel picture is 3 MiB before compression
LARGEST_JSON = 1 << 18  # bytes; a view takes about 3 KiB
ID = r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}"
JSON = re.compile(rf"({ID})(?:\.item)?\.json", re.ASCII)
PICTURE = re.compile(rf"({ID})(?:-\d+)?\.png", re.ASCII)

Files = dict[str, bytes]  # an item's files by their names, the JSON last


class DamagedReference(Exception):
    """The files hold no reference; the text says why, without the file's name."""


class NewerFormat(Exception):
    """A later version of this program wrote the file: it is not damaged, only unknown here."""


@dataclass(frozen=True, eq=False)
class ViewRecord:
    """What an item's JSON file says of a view: a View, with where its picture is instead of it.

    Attributes:
        file: the PNG file's name.
        sha256: hex, of the PNG file.
        bytes: the PNG file's size.
        size: K, the picture's side in pixels.
    """

    file: str
    sha256: str
    bytes: int
    size: int
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    side: str
    score: float
    time_s: float
    twin: Points | None


@dataclass(frozen=True, eq=False)
class ReferenceRecord:
    """What an item's JSON file says: a Reference without its label and pictures.

    Attributes:
        digest: SHA-256 of the JSON file, hex. It covers all that makes the embeddings, since the
            JSON holds the pictures' own.
    """

    id: str
    views: tuple[ViewRecord, ...]
    recorded_at: str
    kind: str
    digest: str


def to_files(reference: Reference) -> Files:
    """Encode a reference as the files of its item."""
    files: Files = {}
    views = []
    for number, view in enumerate(reference.views):
        done, encoded = cv2.imencode(".png", view.picture)
        if not done:
            raise ValueError("the picture can't be encoded as PNG")
        name = _picture_name(reference.id, number)
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
    files[f"{reference.id}.item.json"] = json.dumps(fields, separators=(",", ":")).encode()
    return files


def parse_record(id: str, data: bytes) -> ReferenceRecord:
    """Read the bytes of an item's JSON file. Raises DamagedReference and NewerFormat."""
    fields = parse_json(data, VERSION)
    try:
        if fields["version"] == 1:
            fields = _like_format_2(id, fields)
        kind, views = fields["kind"], fields["views"]
        if not isinstance(kind, str):
            raise DamagedReference("its kind is no text")
        if kind != STILL:
            raise NewerFormat
        if not isinstance(views, list) or not 1 <= len(views) <= MOST_VIEWS:
            raise DamagedReference(f"it has no list of 1 to {MOST_VIEWS} views")
        record = ReferenceRecord(
            id=id,
            views=tuple(_parse_view(view) for view in views),
            recorded_at=fields["recorded_at"],
            kind=kind,
            digest=hashlib.sha256(data).hexdigest(),
        )
        datetime.fromisoformat(record.recorded_at)
    except KeyError as error:
        raise DamagedReference(f"it has no {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedReference(f"{error}") from None
    for number, view in enumerate(record.views):
        if view.file != _picture_name(id, number):  # it could lead anywhere
            raise DamagedReference("it names a picture that is not its own")
    return record


def parse_json(data: bytes, newest: int) -> dict[str, Any]:
    """A JSON object of a version up to `newest`. Raises DamagedReference and NewerFormat."""
    try:
        fields: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedReference("it is no JSON") from None
    if not isinstance(fields, dict):
        raise DamagedReference("it is no JSON object")
    version = fields.get("version")
    if isinstance(version, int) and version > newest:
        raise NewerFormat
    if version not in range(1, newest + 1):
        raise DamagedReference("its version is none that there is")
    return fields


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
    """Raise DamagedReference where files hold no item. Those of an unknown kind may hold any."""
    try:
        record = parse_record(id, files[list(files)[-1]])
    except NewerFormat:
        return
    with_pictures(record, "", files)


def with_pictures(record: ReferenceRecord, label: str, files: Mapping[str, bytes]) -> Reference:
    """Complete a record with the bytes of its PNG files by name. Raises DamagedReference."""
    views = []
    for view in record.views:
        if view.file not in files:
            raise DamagedReference("its picture is missing")
        views.append(
            View(
                picture=decode_picture(view, files[view.file]),
                landmarks=view.landmarks,
                world_landmarks=view.world_landmarks,
                side=view.side,
                score=view.score,
                time_s=view.time_s,
                twin=view.twin,
            )
        )
    return Reference(record.id, label, tuple(views), record.recorded_at, record.kind)


def decode_picture(view: ViewRecord, png: bytes) -> np.ndarray:
    """A view's picture, uint8 (K, K, 3) BGR. Raises DamagedReference."""
    if hashlib.sha256(png).hexdigest() != view.sha256:
        raise DamagedReference("its picture is not the one recorded")
    # Read before decoding: a small file can ask for gigabytes of pixels.
    if len(png) < 24 or struct.unpack(">II", png[16:24]) != (view.size, view.size):
        raise DamagedReference("its picture has another size")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(png, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None or picture.shape != (view.size, view.size, 3):
        raise DamagedReference("its picture can't be decoded")
    return picture


def _picture_name(id: str, number: int) -> str:
    return f"{id}-{number}.png" if number else f"{id}.png"


def _like_format_2(id: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Format 1 said the same of its one view, in one object."""
    picture = {name: fields[f"picture_{name}"] for name in ("sha256", "bytes", "size")}
    picture["file"] = _picture_name(id, 0)
    return {
        "kind": STILL,
        "recorded_at": fields["recorded_at"],
        "views": [{**fields, "picture": picture, "time_s": 0.0}],
    }


def _parse_view(fields: dict[str, Any]) -> ViewRecord:
    """Raises DamagedReference, KeyError, TypeError, ValueError and OverflowError."""
    if not isinstance(fields, dict):
        raise DamagedReference("a view of it is no JSON object")
    picture, twin = fields["picture"], fields.get("twin")
    view = ViewRecord(
        file=picture["file"],
        sha256=picture["sha256"],
        bytes=int(picture["bytes"]),
        size=int(picture["size"]),
        landmarks=_points(fields["landmarks"]),
        world_landmarks=_points(fields["world_landmarks"]),
        side=fields["side"],
        score=float(fields["score"]),
        time_s=float(fields["time_s"]),
        twin=None
        if twin is None
        else (_points(twin["landmarks"]), _points(twin["world_landmarks"])),
    )
    sound = (
        view.side in SIDES
        and 0.0 <= view.score <= 1.0
        and math.isfinite(view.time_s)
        and 0 < view.bytes <= LARGEST_PNG
        and 0 < view.size <= LARGEST
    )
    if not sound:
        raise DamagedReference("its side, score, time or picture size is none that is written here")
    return view


def _numbers(landmarks: np.ndarray, world_landmarks: np.ndarray) -> dict[str, list[list[float]]]:
    # str gives the shortest decimal that reads back as the same float32.
    return {
        name: [[float(str(value)) for value in row] for row in points.astype(np.float32)]
        for name, points in (("landmarks", landmarks), ("world_landmarks", world_landmarks))
    }


def _points(rows: object) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large for float32: infinite, and refused below
        points = np.array(rows, np.float32)
    if points.shape != (21, 3) or not np.isfinite(points).all():
        raise ValueError(f"it needs 21 finite points of 3 numbers; got {points.shape}")
    return points
