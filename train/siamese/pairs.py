"""Pairs of pictures of the same class or of different ones, and triplets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.bundles import Bundle
from engines.errors import UserError, no_arrays
from engines.files import explain_errors, replace_file
from train.siamese.class_index import ClassIndex, rank_within_class
from train.siamese.pictures import Pictures


@dataclass(frozen=True)
class Pairs(Bundle):
    """P pairs of pictures.

    Attributes:
        first: int64 (P,), numbers of the first pictures.
        second: int64 (P,), numbers of the second pictures.
        same: bool (P,), whether the two are of one class.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


def draw_pairs(rng: np.random.Generator, index: ClassIndex, count: int) -> Pairs:
    """Draw pairs in random order, count // 2 of one class and the others of two classes.

    The two classes are of one group. Classes are drawn uniformly, however many pictures they have.
    """
    same = rng.permutation(np.arange(count) < count // 2)
    classes = rng.integers(len(index.counts), size=count)
    first, match = _draw_two(rng, index, classes)
    return Pairs(first, np.where(same, match, _draw_other_class(rng, index, classes)), same)


def draw_triplets(rng: np.random.Generator, index: ClassIndex, count: int) -> np.ndarray:
    """Draw triplets: anchor, another picture of its class, one of another class of its group.

    Classes are drawn uniformly, however many pictures they have.

    Returns:
        int64 (count, 3), numbers of pictures.
    """
    classes = rng.integers(len(index.counts), size=count)
    anchor, match = _draw_two(rng, index, classes)
    return np.stack([anchor, match, _draw_other_class(rng, index, classes)], axis=1)


def save_pairs(path: Path, pictures: Pictures, pairs: Pairs) -> None:
    """Write pairs with their pictures as an .npz without object arrays.

    Its arrays: first and second uint8 (P, H, W), same bool (P,), first_label and second_label
    str (P,).

    Raises:
        UserError: The file can't be written.
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
    """Load what `save_pairs` wrote.

    Returns:
        2 P pictures, all first ones before all second ones, and their pairs. Groups and subjects
        are "", order is the position within the class.

    Raises:
        UserError: The file is missing, damaged or something else.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            first, second, same = file["first"], file["second"], file["same"]
            names = file["first_label"], file["second_label"]
    except FileNotFoundError:
        raise UserError(f"There is no file of pairs {path}: check the path.") from None
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        raise UserError(
            f"{path} isn't a file of pairs ({no_arrays(error)}). Make it again."
        ) from None
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
    pictures = Pictures(images, labels, nothing, nothing, rank_within_class(labels))
    return pictures, Pairs(np.arange(count), count + np.arange(count), same)


def _draw_two(
    rng: np.random.Generator, index: ClassIndex, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw two different pictures of each of the given classes."""
    counts, starts = index.counts[classes], index.starts[classes]
    one = rng.integers(counts)
    other = rng.integers(counts - 1)
    return index.rows[starts + one], index.rows[starts + other + (other >= one)]


def _draw_other_class(
    rng: np.random.Generator, index: ClassIndex, classes: np.ndarray
) -> np.ndarray:
    """Draw, for each of the given classes, a picture of another class of its group."""
    starts = index.group_starts[classes]
    others = starts + rng.integers(index.group_counts[classes] - 1)
    others += others >= classes
    return index.rows[index.starts[others] + rng.integers(index.counts[others])]
