"""The .npz file of prepared hands that `run.py prepare` writes and training reads.

It holds no object arrays, so it loads without pickle. Needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from engines.bundles import Bundle, join
from engines.errors import UserError, no_arrays
from realtime.names import join_spellings, readable
from realtime.picture_files import decode

VERSION = 2  # of the file format
MARGIN = 1.25  # width of a stored crop over the encoder's: training turns and shifts within it
STORED_SIZE = 280  # px; the encoder's crop is the inner 224
REMEDY = "Make it with: python run.py prepare DIR… --out FILE.npz"


@dataclass(frozen=True)
class StoredHand:
    """The hand in one picture; a left hand is stored mirrored, as a right one.

    Attributes:
        side: The person's own hand, "left" or "right"; "" if the picture shows no hand.
        webp: The crop as a WebP file.
        landmarks: float16 (21, 3), in widths of the encoder's crop.
        world_landmarks: float16 (21, 3), metres.
        angle: Radians by which the stored crop's up is turned clockwise from the camera's.
    """

    side: str
    webp: bytes
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    angle: float


NO_POINTS = np.zeros((21, 3), np.float16)
WITHOUT_HAND = StoredHand("", b"", NO_POINTS, NO_POINTS, 0.0)


def to_arrays(hands: Sequence[StoredHand]) -> dict[str, np.ndarray]:
    """Turn one or more hands into the arrays of a file."""
    return {
        "side": np.array([hand.side for hand in hands]),
        "webp": np.frombuffer(b"".join(hand.webp for hand in hands), np.uint8),
        "offsets": ends([len(hand.webp) for hand in hands]),
        "landmarks": np.stack([hand.landmarks for hand in hands]),
        "world_landmarks": np.stack([hand.world_landmarks for hand in hands]),
        "angle": np.array([hand.angle for hand in hands], np.float32),
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[StoredHand]:
    """Turn the arrays of a file into hands: the inverse of `to_arrays`."""
    webp, offsets = arrays["webp"].tobytes(), arrays["offsets"].tolist()
    crops = [webp[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    points = arrays["landmarks"], arrays["world_landmarks"]
    rows = zip(arrays["side"].tolist(), crops, *points, arrays["angle"].tolist(), strict=True)
    return [StoredHand(*row) for row in rows]


def ends(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the offsets of N consecutive pieces: int64 (N + 1,), the last is the total size."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


@dataclass(frozen=True)
class Prepared(Bundle):
    """N prepared hands; left hands are mirrored, as right ones.

    Attributes:
        webp: uint8 (bytes,), the crops as WebP files, one after the other.
        offsets: int64 (N + 1,); crop i is webp[offsets[i] : offsets[i + 1]].
        landmarks: float32 (N, 21, 3), in widths of the encoder's crop, which is the middle of
            the stored one.
        world_landmarks: float32 (N, 21, 3), metres.
        angles: float32 (N,), radians by which the crops' up is turned clockwise from the camera's.
        sets: str (N,), names of the data sets.
        subjects: str (N,), the people, as "set/subject".
        labels: str (N,), the gestures.
        paths: str (N,), the picture files below their set's folder, with "/".
    """

    webp: np.ndarray
    offsets: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    angles: np.ndarray
    sets: np.ndarray
    subjects: np.ndarray
    labels: np.ndarray
    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def crop(self, i: int) -> np.ndarray:
        """Decode crop i: uint8 (STORED_SIZE, STORED_SIZE, 3) RGB, with the margin.

        Raises:
            UserError: The crop is damaged.
        """
        data = self.webp[self.offsets[i] : self.offsets[i + 1]]
        name = f"The crop of {self.sets[i]}/{self.paths[i]}"
        image = decode(data.tobytes(), name).image
        if image.shape != (STORED_SIZE, STORED_SIZE, 3):
            raise UserError(f"{name} is {image.shape[1]} px wide, not {STORED_SIZE}. {REMEDY}")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def where(self, mask: np.ndarray) -> Prepared:
        """Return the hands where the mask, bool (N,), is true."""
        sizes = np.diff(self.offsets)
        return self.take(mask, webp=self.webp[np.repeat(mask, sizes)], offsets=ends(sizes[mask]))


def load_prepared(paths: Sequence[Path]) -> Prepared:
    """Load one or more files of `run.py prepare` as one.

    Labels and people whose names differ only in how they are spelt become one, with a warning.

    Raises:
        UserError: A file is missing, damaged, something else, of another version or without hands;
            or a set is in two files, which would mix up its people.
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
    data = join(parts, offsets=ends(sizes))
    return replace(
        data,
        labels=np.array(join_spellings(data.labels.tolist(), "label")),
        subjects=np.array(join_spellings(data.subjects.tolist(), "person")),
    )


def _load(path: Path) -> Prepared:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            form = int(file["version"]), float(file["margin"]), int(file["stored"])
            if form != (VERSION, MARGIN, STORED_SIZE):
                raise UserError(
                    f"{path} was written by another version of this program (format {form[0]}, "
                    f"crops of {form[2]} px; expected {VERSION} and {STORED_SIZE}). {REMEDY}"
                )
            sets, people, labels, paths = (
                np.array([readable(name) for name in file[part].tolist()], str)
                for part in ("set", "subject", "label", "path")
            )
            part = Prepared(
                file["webp"],
                file["offsets"],
                file["landmarks"].astype(np.float32),
                file["world_landmarks"].astype(np.float32),
                file["angle"],
                sets,
                np.char.add(np.char.add(sets, "/"), people),
                labels,
                paths,
            )
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        raise UserError(
            f"{path} isn't what `run.py prepare` writes ({no_arrays(error)}). {REMEDY}"
        ) from None
    count = part.labels.size
    if not count:
        raise UserError(f"{path} holds no pictures. {REMEDY}")
    points = (part.landmarks, part.world_landmarks, part.angles)
    names = (part.labels, part.sets, part.subjects, part.paths, part.angles)
    if (
        any(array.shape != (count,) for array in names)
        or any(array.shape != (count, 21, 3) for array in (part.landmarks, part.world_landmarks))
        or part.offsets.shape != (count + 1,)
        or (part.offsets[0], part.offsets[-1]) != (0, part.webp.size)
        or (np.diff(part.offsets) <= 0).any()
        or not all(np.isfinite(array).all() for array in points)
    ):
        raise UserError(f"{path} is damaged: its parts don't fit each other. {REMEDY}")
    return part
