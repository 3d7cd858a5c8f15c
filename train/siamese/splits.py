"""Pictures set apart for validation and test: by class, or by blocks of time."""

from __future__ import annotations

import numpy as np

from engines.errors import UserError


def split_classes(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """str (N,) → bool (N,): of validation. A share of the classes (at least one, and not all),
    each with all its pictures.

    Raises UserError for a share outside 0 … 1, and for fewer than two classes.
    """
    check_share(share)
    names, numbers = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"A split by class needs at least two classes, but there are {len(names)}.")
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    chosen = np.zeros(len(names), bool)
    chosen[rng.permutation(len(names))[:count]] = True
    return chosen[numbers]


def split_blocks(
    order: np.ndarray,
    labels: np.ndarray,
    sizes: tuple[int, int, int],
    gap: int,
    volume: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pictures of each class in blocks of time: rows int64 for training, validation and test.

    order int (N,): time within a class, of one recording; labels str (N,). sizes: pictures per
    class and block; the blocks follow each other from the first frame on, and `gap` frames between
    them are dropped, for neighbours are near-duplicates. volume: take only so many evenly spaced
    pictures per class of the training block, so that smaller volumes are thinnings of one block.

    Raises UserError for a class with too few frames, and for a volume that the block can't give.
    """
    train, validation, test = sizes
    volume = train if volume is None else volume
    if min(sizes) < 0 or gap < 0 or not 0 <= volume <= train:
        raise UserError(
            f"Blocks of {train}, {validation} and {test} frames, {gap} apart, {volume} of the "
            "first to train on: expected no negative number, and no more than the block has."
        )
    needed = sum(sizes) + 2 * gap
    starts = 0, train + gap, train + validation + 2 * gap
    thinned = (2 * np.arange(volume) + 1) * train // (2 * volume) if volume else np.arange(0)
    picked: tuple[list[np.ndarray], ...] = [], [], []
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        if len(rows) < needed:
            raise UserError(
                f"The class {label} has {len(rows)} pictures, but {train} + {validation} + {test} "
                f"with two gaps of {gap} are {needed}: ask for fewer, or leave the class out."
            )
        rows = rows[np.argsort(order[rows], kind="stable")]
        picked[0].append(rows[thinned])
        picked[1].append(rows[starts[1] : starts[1] + validation])
        picked[2].append(rows[starts[2] : starts[2] + test])
    first, second, third = (np.concatenate(part) for part in picked)
    return first, second, third


def check_share(share: float) -> None:
    """Raises UserError for a share outside 0 … 1."""
    if not 0 < share < 1:
        raise UserError(f"A share of {share} for validation: expected one such as 0.1 or 0.2.")
