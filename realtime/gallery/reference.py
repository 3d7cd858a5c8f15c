"""One recorded reference: made from a hand, written as a PNG and a JSON file, read back."""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import struct
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import cv2
import numpy as np

from engines.errors import UserError
from realtime.gallery.labels import check_label
from realtime.types import Detection, Hand

VERSION = 1
LARGEST = 1024  # pixels of a stored picture's side
LARGEST_PNG = 8 << 20  # bytes; a 1024-pixel picture is 3 MiB before compression
LARGEST_JSON = 1 << 18  # bytes; a reference takes about 3 KiB
ID = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}")
SIDES = ("left", "right")

_last_moment = datetime.min.replace(tzinfo=timezone.utc)
_lock = threading.Lock()


class DamagedReference(Exception):
    """The files hold no reference; the text says why, without the file's name."""


class NewerFormat(Exception):
    """A later version of this program wrote the file: it is not damaged, only unknown here."""


Points = tuple[np.ndarray, np.ndarray]  # landmarks (21, 3) px, world landmarks (21, 3) m


@dataclass(frozen=True, eq=False)
class Reference:
    """One recording of a gesture.

    Attributes:
        id: unique among programs; sorts by time of recording.
        label: the gesture, in NFC.
        side: "left" or "right", the person's own.
        score: 0…1, of that side.
        picture: uint8 (K, K, 3) BGR, the frame around the hand, neither turned nor mirrored;
            outside the frame it repeats the frame's border, as crops do.
        landmarks: float32 (21, 3) in the picture's pixels.
        world_landmarks: float32 (21, 3) metres.
        recorded_at: ISO 8601, UTC.
        twin: landmarks and world landmarks of the person's other hand, as the detector saw it in
            the picture's mirror image; None where it saw none.
    """

    id: str
    label: str
    side: str
    score: float
    picture: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    recorded_at: str
    twin: Points | None = None

    def mirror(self) -> Reference:
        """The same gesture by the other hand, with the twin's landmarks or else mirrored ones."""
        twin = self.twin
        if twin is None:
            flip = np.array([-1, 1, 1], np.float32)
            mirrored = self.landmarks * flip + np.array([len(self.picture) - 1, 0, 0], np.float32)
            twin = mirrored, self.world_landmarks * flip
        return replace(
            self,
            side=other_side(self.side),
            picture=cv2.flip(self.picture, 1),
            landmarks=twin[0],
            world_landmarks=twin[1],
            twin=None,
        )

    def detection(self) -> Detection:
        """What cut_hand takes beside the picture."""
        return Detection(self.landmarks, self.world_landmarks, self.side, self.score)


@dataclass(frozen=True, eq=False)
class ReferenceRecord:
    """What a reference's JSON file says: a Reference without its label and picture.

    Attributes:
        picture_sha256: hex, of the PNG file.
        picture_bytes: the PNG file's size.
        picture_size: K, in pixels.
        digest: SHA-256 of the JSON file, hex. It covers all that makes the embedding, since the
            JSON holds the picture's own.
    """

    id: str
    side: str
    score: float
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    recorded_at: str
    picture_sha256: str
    picture_bytes: int
    picture_size: int
    digest: str
    twin: Points | None = None


def make_reference(frame_image: np.ndarray, hand: Hand, label: str) -> Reference:
    """Make a reference of a hand.

    Its picture is twice as wide as the hand's square and moved by whole pixels, so a crop cut
    from it shows what it would show of the frame.

    Args:
        frame_image: uint8 (H, W, 3) BGR, unmirrored.
    Raises:
        UserError: the label can't be a gesture's name, or the hand is too far out of the frame.
    """
    label = check_label(label)
    square = hand.square
    finite = np.isfinite(hand.landmarks).all() and np.isfinite(hand.world_landmarks).all()
    height, width = frame_image.shape[:2]
    if not finite or square.width > 2 * max(height, width):
        raise UserError("The hand can't be recorded: it is not all in the frame. Move it inside.")
    half = max(math.ceil(square.width), 8)  # at least 8: room for interpolation around tiny hands
    left, top = round(square.x) - half, round(square.y) - half
    x0, x1 = max(left, 0), min(left + 2 * half, width)
    y0, y1 = max(top, 0), min(top + 2 * half, height)
    if x0 >= x1 or y0 >= y1:
        raise UserError("The hand can't be recorded: it is outside the frame. Move it inside.")
    around = (y0 - top, top + 2 * half - y1, x0 - left, left + 2 * half - x1)
    picture = cv2.copyMakeBorder(frame_image[y0:y1, x0:x1], *around, cv2.BORDER_REPLICATE)
    landmarks = hand.landmarks - np.array([left, top, 0], np.float32)
    if len(picture) > LARGEST:
        landmarks = landmarks * np.float32(LARGEST / len(picture))
        picture = cv2.resize(picture, (LARGEST, LARGEST), interpolation=cv2.INTER_AREA)
    moment = _next_moment()
    return Reference(
        id=_id(moment),
        label=label,
        side=hand.side,
        score=min(max(float(hand.score), 0.0), 1.0),
        picture=picture,
        landmarks=landmarks.astype(np.float32),
        world_landmarks=hand.world_landmarks.astype(np.float32),
        recorded_at=moment.isoformat(timespec="microseconds"),
    )


def other_side(side: str) -> str:
    return "left" if side == "right" else "right"


def new_id() -> str:
    """An id for a reference recorded now."""
    return _id(_next_moment())


def to_files(reference: Reference) -> tuple[bytes, bytes]:
    """Encode a reference as the bytes of its PNG and of its JSON file."""
    done, encoded = cv2.imencode(".png", reference.picture)
    if not done:
        raise ValueError("the picture can't be encoded as PNG")
    png = encoded.tobytes()
    fields: dict[str, Any] = {
        "version": VERSION,
        "side": reference.side,
        "score": reference.score,
        "recorded_at": reference.recorded_at,
        "picture_sha256": hashlib.sha256(png).hexdigest(),
        "picture_bytes": len(png),
        "picture_size": len(reference.picture),
        "landmarks": _numbers(reference.landmarks),
        "world_landmarks": _numbers(reference.world_landmarks),
    }
    if reference.twin is not None:
        names = ("landmarks", "world_landmarks")
        fields["twin"] = {
            name: _numbers(points) for name, points in zip(names, reference.twin, strict=True)
        }
    return png, json.dumps(fields, indent=1).encode()


def parse_record(id: str, data: bytes) -> ReferenceRecord:
    """Read the bytes of a JSON file. Raises DamagedReference and NewerFormat."""
    fields = parse_json(data)
    try:
        twin = fields.get("twin")
        record = ReferenceRecord(
            id=id,
            side=fields["side"],
            score=float(fields["score"]),
            landmarks=_points(fields["landmarks"]),
            world_landmarks=_points(fields["world_landmarks"]),
            recorded_at=fields["recorded_at"],
            picture_sha256=fields["picture_sha256"],
            picture_bytes=int(fields["picture_bytes"]),
            picture_size=int(fields["picture_size"]),
            digest=hashlib.sha256(data).hexdigest(),
            twin=twin and (_points(twin["landmarks"]), _points(twin["world_landmarks"])),
        )
        datetime.fromisoformat(record.recorded_at)
    except KeyError as error:
        raise DamagedReference(f"it has no {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedReference(f"{error}") from None
    sound = (
        record.side in SIDES
        and 0.0 <= record.score <= 1.0
        and 0 < record.picture_bytes <= LARGEST_PNG
        and 0 < record.picture_size <= LARGEST
    )
    if not sound:
        raise DamagedReference("its side, score or picture size is none that is written here")
    return record


def parse_json(data: bytes) -> dict[str, Any]:
    """A JSON object of this format's version. Raises DamagedReference and NewerFormat."""
    try:
        fields: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedReference("it is no JSON") from None
    if not isinstance(fields, dict):
        raise DamagedReference("it is no JSON object")
    version = fields.get("version")
    if isinstance(version, int) and version > VERSION:
        raise NewerFormat
    if version != VERSION:
        raise DamagedReference(f"its version is not {VERSION}")
    return fields


def with_picture(record: ReferenceRecord, label: str, png: bytes) -> Reference:
    """Complete a record with the bytes of its PNG file. Raises DamagedReference."""
    if hashlib.sha256(png).hexdigest() != record.picture_sha256:
        raise DamagedReference("its picture is not the one recorded")
    size = record.picture_size
    # Read before decoding: a small file can ask for gigabytes of pixels.
    if len(png) < 24 or struct.unpack(">II", png[16:24]) != (size, size):
        raise DamagedReference("its picture has another size")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(png, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None or picture.shape != (size, size, 3):
        raise DamagedReference("its picture can't be decoded")
    r = record
    return Reference(
        r.id, label, r.side, r.score, picture, r.landmarks, r.world_landmarks, r.recorded_at, r.twin
    )


def _numbers(points: np.ndarray) -> list[list[float]]:
    # str gives the shortest decimal that reads back as the same float32.
    return [[float(str(value)) for value in row] for row in points.astype(np.float32)]


def _points(rows: object) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large for float32: infinite, and refused below
        points = np.array(rows, np.float32)
    if points.shape != (21, 3) or not np.isfinite(points).all():
        raise ValueError(f"it needs 21 finite points of 3 numbers; got {points.shape}")
    return points


def _next_moment() -> datetime:
    """Now, but always later than the last one: ids of one program sort as they were recorded."""
    global _last_moment
    with _lock:
        now = datetime.now(timezone.utc)
        if now <= _last_moment:
            now = _last_moment + timedelta(microseconds=1)
        _last_moment = now
        return now


def _id(moment: datetime) -> str:
    return f"{moment:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}"
