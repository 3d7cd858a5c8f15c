"""What an item's JSON file says, in either format."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from realtime.gallery.reference import KINDS, LARGEST, MOST_VIEWS, SIDES, STILL, Points

VERSION = 2
LARGEST_PNG = 8 << 20  # bytes; a 1024-pixel picture is 3 MiB before compression
LARGEST_JSON = 1 << 18  # bytes; a view takes about 3 KiB


class DamagedReference(Exception):
    """The files hold no reference; the text says why, without the file's name."""


class DamagedPicture(DamagedReference):
    """One of an item's pictures is none, though the item may have others.

    Attributes:
        file: the PNG file's name.
    """

    def __init__(self, why: str, file: str) -> None:
        super().__init__(why)
        self.file = file


class NewerFormat(Exception):
    """A later version of this program wrote the file: it is not damaged, only unknown here."""


@dataclass(frozen=True, eq=False)
class ViewRecord:
    """What an item's JSON file says of a view: a View, with where its picture is instead of it.

    Attributes:
        number: its place in the JSON file, from 0.
        file: the PNG file's name.
        sha256: hex, of the PNG file.
        bytes: the PNG file's size.
        size: K, the picture's side in pixels.
    """

    number: int
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


def parse_record(id: str, data: bytes) -> ReferenceRecord:
    """Read the bytes of an item's JSON file. Raises DamagedReference and NewerFormat."""
    fields = parse_json(data, VERSION)
    try:
        if fields["version"] == 1:
            fields = _like_format_2(id, fields)
        kind, views = fields["kind"], fields["views"]
        if not isinstance(kind, str):
            raise DamagedReference("its kind is no text")
        if kind not in KINDS:
            raise NewerFormat
        if not isinstance(views, list) or not 1 <= len(views) <= MOST_VIEWS:
            raise DamagedReference(f"it has no list of 1 to {MOST_VIEWS} views")
        record = ReferenceRecord(
            id=id,
            views=tuple(_parse_view(*view) for view in enumerate(views)),
            recorded_at=fields["recorded_at"],
            kind=kind,
            digest=hashlib.sha256(data).hexdigest(),
        )
        datetime.fromisoformat(record.recorded_at)
    except KeyError as error:
        raise DamagedReference(f"it has no {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedReference(f"{error}") from None
    for view in record.views:
        if view.file != picture_name(id, view.number):  # it could lead anywhere
            raise DamagedReference("it names a picture that is not its own")
    return record


def read_json(path: Path) -> bytes:
    """A JSON file's bytes. Raises OSError, and DamagedReference where it is too long to be one."""
    with open(path, "rb") as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        raise DamagedReference("it is too long")
    return data


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


def picture_name(id: str, number: int) -> str:
    """The name of the PNG file of an item's view, counted from 0."""
    return f"{id}-{number}.png" if number else f"{id}.png"


def _like_format_2(id: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Format 1 said the same of its one view, in one object."""
    picture = {name: fields[f"picture_{name}"] for name in ("sha256", "bytes", "size")}
    picture["file"] = picture_name(id, 0)
    return {
        "kind": STILL,
        "recorded_at": fields["recorded_at"],
        "views": [{**fields, "picture": picture, "time_s": 0.0}],
    }


def _parse_view(number: int, fields: dict[str, Any]) -> ViewRecord:
    """Raises DamagedReference, KeyError, TypeError, ValueError and OverflowError."""
    if not isinstance(fields, dict):
        raise DamagedReference("a view of it is no JSON object")
    picture, twin = fields["picture"], fields.get("twin")
    view = ViewRecord(
        number=number,
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


def _points(rows: object) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large for float32: infinite, and refused below
        points = np.array(rows, np.float32)
    if points.shape != (21, 3) or not np.isfinite(points).all():
        raise ValueError(f"it needs 21 finite points of 3 numbers; got {points.shape}")
    return points
