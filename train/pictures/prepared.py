"""The file that `run.py prepare` writes, and what is read back from it for training.

An .npz without object arrays; needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.bundles import Bundle, join
from engines.errors import UserError

VERSION = 1  # of the file
MARGIN = 1.25  # a stored crop is so much wider than the encoder's, for training to turn and shift
STORED = 200  # px; the encoder's crop is the inner 160
AGAIN = "Make it with: python run.py prepare DIR… --out FILE.npz"


@dataclass(frozen=True)
class StoredHand:
    """side "left" or "right", "" where there is no hand; webp: the crop; landmarks and
    world_landmarks float16 (21, 3); all mirrored where the hand is a left one."""

    side: str
    webp: bytes
    landmarks: np.ndarray
    world_landmarks: np.ndarray


NOTHING = StoredHand("", b"", np.zeros((21, 3), np.float16), np.zeros((21, 3), np.float16))


def to_arrays(hands: Sequence[StoredHand]) -> dict[str, np.ndarray]:
    """One or more hands as a file holds them."""
    return {
        "side": np.array([hand.side for hand in hands]),
        "webp": np.frombuffer(b"".join(hand.webp for hand in hands), np.uint8),
        "offsets": ends([len(hand.webp) for hand in hands]),
        "landmarks": np.stack([hand.landmarks for hand in hands]),
        "world_landmarks": np.stack([hand.world_landmarks for hand in hands]),
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[StoredHand]:
    """The inverse of to_arrays."""
    webp, offsets = arrays["webp"].tobytes(), arrays["offsets"].tolist()
    crops = [webp[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    sides, points = arrays["side"].tolist(), (arrays["landmarks"], arrays["world_landmarks"])
    return [StoredHand(*row) for row in zip(sides, crops, *points, strict=True)]


def ends(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Sizes of N pieces → where each begins and the last ends: int64 (N + 1,)."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


@dataclass(frozen=True)
class Prepared(Bundle):
    """N hands, all right or seen as right.

    webp uint8: their crops one after the other, crop i from offsets[i] to offsets[i + 1],
    offsets int64 (N + 1,); landmarks float32 (N, 21, 3) in widths of the encoder's crop, which
    is the middle of the stored one; world_landmarks float32 (N, 21, 3) metres; sets, subjects as
    "set/subject", labels and paths (below their set's folder, with /) str (N,).
    """

    webp: np.ndarray
    offsets: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    sets: np.ndarray
    subjects: np.ndarray
    labels: np.ndarray
    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def crop(self, i: int) -> np.ndarray:
        """uint8 (STORED, STORED, 3) RGB, MARGIN times as wide as the encoder's; 0 ≤ i < N."""
        data = self.webp[self.offsets[i] : self.offsets[i + 1]]
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None  # the .npz has vouched for its bytes with a checksum
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def where(self, mask: np.ndarray) -> Prepared:
        """Only the hands where bool (N,) is true."""
        sizes = np.diff(self.offsets)
        return self.take(mask, webp=self.webp[np.repeat(mask, sizes)], offsets=ends(sizes[mask]))


def load_prepared(paths: Sequence[Path]) -> Prepared:
    """Files of `run.py prepare`, joined; one or more.

    Raises UserError for a file that is missing, damaged, something else or of another version,
    that holds no hands, or whose set is also in another: its people would be mixed up.
    """
    parts = [_load(path) for path in paths]
    home: dict[str, Path] = {}
    for path, part in zip(paths, parts, strict=True):
        for name in np.unique(part.sets).tolist():
            if name in home:
                raise UserError(
                    f"The set {name} is both in {home[name]} and in {path}. Name one of them, or "
                    "rename the folder of the other and prepare it again."
                )
            home[name] = path
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return join(parts, offsets=ends(sizes))


def _load(path: Path) -> Prepared:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            form = int(file["version"]), float(file["margin"]), int(file["stored"])
            subjects = np.char.add(np.char.add(file["set"], "/"), file["subject"])
            part = Prepared(
                file["webp"],
                file["offsets"],
                file["landmarks"].astype(np.float32),
                file["world_landmarks"].astype(np.float32),
                file["set"],
                subjects,
                file["label"],
                file["path"],
            )
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        # numpy takes any other file for a pickle, and advises to load that unsafely.
        reason = "it is no .npz" if "pickle" in str(error) else error
        raise UserError(f"{path} isn't what `run.py prepare` writes ({reason}). {AGAIN}") from None
    if form != (VERSION, MARGIN, STORED):
        raise UserError(f"{path} was written by another version of this program. {AGAIN}")
    count = part.labels.size
    if not count:
        raise UserError(f"{path} holds no pictures. {AGAIN}")
    names = (part.labels, part.sets, part.subjects, part.paths)
    if (
        any(array.shape != (count,) for array in names)
        or any(array.shape != (count, 21, 3) for array in (part.landmarks, part.world_landmarks))
        or part.offsets.shape != (count + 1,)
        or (part.offsets[0], part.offsets[-1]) != (0, part.webp.size)
        or (np.diff(part.offsets) <= 0).any()
    ):
        raise UserError(f"{path} is damaged: its parts don't fit each other. {AGAIN}")
    return part
