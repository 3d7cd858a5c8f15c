"""One recorded reference: a showing of a gesture, as one or more views of a hand."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Protocol

import cv2
import numpy as np

from engines.errors import UserError
from realtime.gallery.labels import check_label
from realtime.types import Detection, Frame, Hand

LARGEST = 1024  # pixels of a stored picture's side
MOST_VIEWS = 64  # of a reference; a recording takes far fewer
STILL = "still"  # a gesture that is held
NEGATIVE = "negative"  # a hand that is no gesture, though it was taken for one
KINDS = (STILL, NEGATIVE)
SIDES = ("left", "right")

_last_moment = datetime.min.replace(tzinfo=timezone.utc)
_lock = threading.Lock()

Points = tuple[np.ndarray, np.ndarray]  # landmarks (21, 3) px, world landmarks (21, 3) m


class Shot(Protocol):
    """A frame and the hand in it that is to be recorded."""

    @property
    def frame(self) -> Frame: ...
    @property
    def hand(self) -> Hand: ...


@dataclass(frozen=True, eq=False)
class View:
    """One picture of a hand.

    Attributes:
        picture: uint8 (K, K, 3) BGR, the frame around the hand, neither turned nor mirrored;
            outside the frame it repeats the frame's border, as crops do.
        landmarks: float32 (21, 3) in the picture's pixels.
        world_landmarks: float32 (21, 3) metres.
        side: "left" or "right", the person's own.
        score: 0…1, of that side.
        time_s: of the frame, seconds from the source's first.
        twin: landmarks and world landmarks of the person's other hand, as the detector saw it in
            the picture's mirror image; None where it saw none.
    """

    picture: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    side: str
    score: float
    time_s: float = 0.0
    twin: Points | None = None

    def mirror(self) -> View:
        """The same view of the other hand, with the twin's landmarks or else mirrored ones."""
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
class Reference:
    """One recording of a gesture.

    Attributes:
        id: unique among programs; sorts by time of recording.
        label: the gesture, in NFC.
        views: 1 to MOST_VIEWS, the best first.
        recorded_at: ISO 8601, UTC.
        kind: "still".
    """

    id: str
    label: str
    views: tuple[View, ...]
    recorded_at: str
    kind: str = STILL


def make_reference(shots: Sequence[Shot], label: str, kind: str = STILL) -> Reference:
    """Make a reference of one showing of a hand.

    Args:
        shots: 1 to MOST_VIEWS, the best first; their frames are unmirrored.
        label: the gesture, or of a negative reference what it was taken for.
        kind: one of KINDS.
    Raises:
        UserError: the label can't be a gesture's name, or a hand is too far out of its frame.
    """
    if not 1 <= len(shots) <= MOST_VIEWS:
        raise ValueError(f"a reference has 1 to {MOST_VIEWS} views; got {len(shots)}")
    label = check_label(label)
    views = tuple(_make_view(shot.frame, shot.hand) for shot in shots)
    moment = _next_moment()
    return Reference(_id(moment), label, views, moment.isoformat(timespec="microseconds"), kind)


def other_side(side: str) -> str:
    return "left" if side == "right" else "right"


def new_id(behind: Collection[str] = ()) -> str:
    """An id for a reference recorded now.

    Args:
        behind: ids that it sorts behind, even if the clock has been set back since.
    """
    moment = _next_moment()
    with suppress(OverflowError):  # behind the end of all years
        moment = max([moment, *(m + timedelta(microseconds=1) for m in map(_moment, behind))])
    return _id(moment)


def _make_view(frame: Frame, hand: Hand) -> View:
    """A hand and the frame around it.

    The picture is twice as wide as the hand's square and moved by whole pixels, so a crop cut
    from it shows what it would show of the frame. Raises UserError.
    """
    square = hand.square
    finite = np.isfinite(hand.landmarks).all() and np.isfinite(hand.world_landmarks).all()
    height, width = frame.image.shape[:2]
    if not finite or square.width > 2 * max(height, width):
        raise UserError("The hand can't be recorded: it is not all in the frame. Move it inside.")
    half = max(math.ceil(square.width), 8)  # at least 8: room for interpolation around tiny hands
    left, top = round(square.x) - half, round(square.y) - half
    x0, x1 = max(left, 0), min(left + 2 * half, width)
    y0, y1 = max(top, 0), min(top + 2 * half, height)
    if x0 >= x1 or y0 >= y1:
        raise UserError("The hand can't be recorded: it is outside the frame. Move it inside.")
    around = (y0 - top, top + 2 * half - y1, x0 - left, left + 2 * half - x1)
    picture = cv2.copyMakeBorder(frame.image[y0:y1, x0:x1], *around, cv2.BORDER_REPLICATE)
    landmarks = hand.landmarks - np.array([left, top, 0], np.float32)
    if len(picture) > LARGEST:
        landmarks = landmarks * np.float32(LARGEST / len(picture))
        picture = cv2.resize(picture, (LARGEST, LARGEST), interpolation=cv2.INTER_AREA)
    return View(
        picture=picture,
        landmarks=landmarks.astype(np.float32),
        world_landmarks=hand.world_landmarks.astype(np.float32),
        side=hand.side,
        score=min(max(float(hand.score), 0.0), 1.0),
        time_s=float(frame.time_s),
    )


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


def _moment(id: str) -> datetime:
    """When an id was made; long ago where it names no moment."""
    try:
        moment = datetime.strptime(id.rpartition("-")[0], "%Y%m%d-%H%M%S-%f")
    except ValueError:
        moment = datetime.min
    return moment.replace(tzinfo=timezone.utc)
