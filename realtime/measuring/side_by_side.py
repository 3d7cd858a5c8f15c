"""Both hand detectors on the same frames or pictures: who finds which hands, and how far apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.say import warn
from realtime.hands.detector import Detector, detect_all
from realtime.hands.geometry import upright_square
from realtime.picture_files import read_picture
from realtime.types import Detection, Frame, Hand

BLOCK_S = 2.0  # frames of so many seconds belong together: the bootstrap resamples them whole
SAME_PLACE = 0.5  # widths of a hand's square between the centres of two squares of one hand
FAR = 0.05  # mean distance of landmarks, in widths of the square, that is worth a look

AnyHand = Hand | Detection


@dataclass(frozen=True)
class Pair:
    """A hand that both found.

    Attributes:
        side: "left" or "right", as MediaPipe says.
        same_side: Whether our own detector says so, too.
        away: float (21, 2), our landmarks from MediaPipe's, right and down as the hand is held
            upright, in widths of the hand's square.
        tracked: Whether both tracked it: they found it in the frame before, too, or saw it in a
            still picture, which is looked at several times.
    """

    side: str
    same_side: bool
    away: np.ndarray
    tracked: bool


@dataclass(frozen=True)
class Seen:
    """What both found in a frame.

    Attributes:
        name: Number of the frame, or path of the picture.
        block: What it is resampled with: seconds of a video, the folder of a picture.
        ours: How many hands our own detector found.
        theirs: How many MediaPipe found.
        pairs: The hands that both found.
    """

    name: str
    block: str
    ours: int
    theirs: int
    pairs: tuple[Pair, ...]

    def disagreement(self) -> str | None:
        """What the two disagree on, in a few words; None where they agree."""
        if self.ours != self.theirs:
            return f"hands: {self.ours} | {self.theirs}"
        if len(self.pairs) < self.theirs:
            return "hands in other places"
        if not all(pair.same_side for pair in self.pairs):
            return "another side"
        apart = max((np.linalg.norm(p.away, axis=1).mean() for p in self.pairs), default=0.0)
        return f"landmarks {apart:.0%} apart" if apart > FAR else None


# Shown a frame on which the two disagree, with the hands that ours and MediaPipe's found.
Show = Callable[[np.ndarray, Sequence[AnyHand], Sequence[AnyHand], str], None]


def watch(
    frames: Iterable[Frame], ours: Detector, theirs: Detector, show: Show | None = None
) -> Iterator[Seen]:
    """Let both detectors see a video.

    Args:
        frames: Its frames.
        ours: Our own detector, for video.
        theirs: MediaPipe's, for video.
        show: Is shown frames on which they disagree.
    """
    before: set[tuple[int, int]] = set()
    for frame in frames:
        hands, others = ours.detect(frame), theirs.detect(frame)
        matched = [(hands[i], others[j]) for i, j in match_hands(hands, others)]
        tracks = {(a.track, b.track) for a, b in matched}
        pairs = tuple(_pair(a, b, (a.track, b.track) in before) for a, b in matched)
        before = tracks
        block = str(int(frame.time_s / BLOCK_S))
        seen = Seen(str(frame.index), block, len(hands), len(others), pairs)
        _show(show, frame.image, hands, others, seen)
        yield seen


def leaf_through(
    paths: Iterable[Path], ours: Detector, theirs: Detector, show: Show | None = None
) -> Iterator[Seen]:
    """Let both detectors look at pictures, as at those that gestures are recorded from.

    Args:
        paths: The pictures; one that can't be read is warned about and left out.
        ours: Our own detector, for single pictures.
        theirs: MediaPipe's, for single pictures.
        show: Is shown pictures on which they disagree.
    """
    for path in paths:
        try:
            image = read_picture(path)
        except UserError as error:
            warn(f"{error} It is left out.")
            continue
        found, others = detect_all(ours, image), detect_all(theirs, image)
        matched = match_hands(found, others)
        pairs = tuple(_pair(found[i], others[j], True) for i, j in matched)
        seen = Seen(path.name, str(path.parent), len(found), len(others), pairs)
        _show(show, image, found, others, seen)
        yield seen


def _show(
    show: Show | None,
    image: np.ndarray,
    ours: Sequence[AnyHand],
    theirs: Sequence[AnyHand],
    seen: Seen,
) -> None:
    said = seen.disagreement()
    if show is not None and said is not None:
        show(image, ours, theirs, f"{seen.name}  {said}")


def match_hands(ours: Sequence[AnyHand], theirs: Sequence[AnyHand]) -> list[tuple[int, int]]:
    """Indices of the hands that both found, nearest first, each at most once."""
    squares = [[upright_square(hand.landmarks) for hand in hands] for hands in (ours, theirs)]
    apart = sorted(
        (float(np.hypot(a.x - b.x, a.y - b.y)) / b.width, i, j)
        for i, a in enumerate(squares[0])
        for j, b in enumerate(squares[1])
    )
    chosen: dict[int, int] = {}
    for distance, i, j in apart:
        if distance <= SAME_PLACE and i not in chosen and j not in chosen.values():
            chosen[i] = j
    return list(chosen.items())


def _pair(ours: AnyHand, theirs: AnyHand, tracked: bool) -> Pair:
    square = upright_square(theirs.landmarks)
    away = (ours.landmarks - theirs.landmarks)[:, :2] / square.width
    cos, sin = np.cos(square.angle), np.sin(square.angle)
    upright = away @ np.array([[cos, -sin], [sin, cos]])
    return Pair(theirs.side, ours.side == theirs.side, upright, tracked)
