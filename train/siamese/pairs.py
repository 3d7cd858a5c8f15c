"""Pairs of pictures, same or different: drawn, saved, loaded; and triplets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.bundles import Bundle
from engines.errors import UserError
from engines.files import explain_errors, replace_file
from train.siamese.class_index import ClassIndex, places
from train.siamese.pictures import Pictures


@dataclass(frozen=True)
class Pairs(Bundle):
    """P pairs of some pictures: first, second int64 (P,) their numbers; same bool (P,): whether
    the two are of one class."""

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


def draw_pairs(rng: np.random.Generator, index: ClassIndex, count: int) -> Pairs:
    """count // 2 pairs of two pictures of one class, the rest of two classes of one group, mixed.

    Classes are drawn uniformly, however many pictures they have.
    """
    same = rng.permutation(np.arange(count) < count // 2)
    classes = rng.integers(len(index.counts), size=count)
    first, match = _two_of(rng, index, classes)
    return Pairs(first, np.where(same, match, _rival(rng, index, classes)), same)


def draw_triplets(rng: np.random.Generator, index: ClassIndex, count: int) -> np.ndarray:
    """int64 (count, 3): an anchor, another picture of its class, one of another class of its group.

    Classes are drawn uniformly, however many pictures they have.
    """
    classes = rng.integers(len(index.counts), size=count)
    anchor, match = _two_of(rng, index, classes)
    return np.stack([anchor, match, _rival(rng, index, classes)], axis=1)


def save_pairs(path: Path, pictures: Pictures, pairs: Pairs) -> None:
    """Write pairs with their pictures as an .npz without objects: first, second uint8 (P, H, W);
    same bool (P,); first_label, second_label str (P,).

    Raises UserError where it can't be written.
    """
    remedy = "Make room, or name another file."
    with explain_errors(f"{path} can't be written", remedy), replace_file(path) as file:
        np.savez_compressed(
            file,
            first=pictures.images[pairs.first],
            second=pictures.images[pairs.second],
            same=pairs.same,
            first_label=pictures.labels[pairs.first],
            second_label=pictures.labels[pairs.second],
        )


def load_pairs(path: Path) -> tuple[Pictures, Pairs]:
    """The inverse of save_pairs: 2 P pictures, first the pairs' first ones. groups and subjects
    are "", order the place in the file.

    Raises UserError for a file that is missing, damaged or something else.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            first, second, same = file["first"], file["second"], file["same"]
            names = file["first_label"], file["second_label"]
    except FileNotFoundError:
        raise UserError(f"There is no file of pairs {path}: check the path.") from None
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        # numpy takes any other file for a pickle, and advises to load that unsafely.
        reason = "it is no .npz" if "pickle" in str(error) else error
        raise UserError(f"{path} isn't a file of pairs ({reason}). Make it again.") from None
    count = len(same) if same.ndim == 1 else -1
    if (
        same.dtype != bool
        or any(part.dtype != np.uint8 or part.ndim != 3 for part in (first, second))
        or first.shape != second.shape
        or len(first) != count
        or any(part.dtype.kind != "U" or part.shape != (count,) for part in names)
        or not np.array_equal(names[0] == names[1], same)
    ):
        raise UserError(f"{path} is damaged: its parts don't fit each other. Make it again.")
    labels = np.concatenate(names)
    nothing = np.full(len(labels), "")
    images = np.concatenate([first, second])
    pictures = Pictures(images, labels, nothing, nothing, places(labels))
    return pictures, Pairs(np.arange(count), count + np.arange(count), same)


def _two_of(
    rng: np.random.Generator, index: ClassIndex, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two different pictures of each of some classes."""
    counts, starts = index.counts[classes], index.starts[classes]
    one = rng.integers(counts)
    other = rng.integers(counts - 1)
    return index.rows[starts + one], index.rows[starts + other + (other >= one)]


def _rival(rng: np.random.Generator, index: ClassIndex, classes: np.ndarray) -> np.ndarray:
    """For each of some classes a picture of another class of its group."""
    starts = index.group_starts[classes]
    others = starts + rng.integers(index.group_counts[classes] - 1)
    others += others >= classes
    return index.rows[index.starts[others] + rng.integers(index.counts[others])]
