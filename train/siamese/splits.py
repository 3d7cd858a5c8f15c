"""Split pictures into training, validation and test: by class, or by blocks of time."""

from __future__ import annotations

import numpy as np

from engines.errors import UserError


def split_classes(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw classes for validation, at least one and not all, each with all its pictures.

    Args:
        labels: str (N,), the classes.
        share: Share of the classes, 0…1.
        rng: Source of randomness.

    Returns:
        bool (N,), the pictures for validation.

    Raises:
        UserError: The share is outside 0…1, or there are fewer than two classes.
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
    """Split each class of one recording into consecutive blocks of time.

    Args:
        order: int (N,), time within the class.
        labels: str (N,), the classes.
        sizes: Pictures per class for training, validation and test.
        gap: Frames dropped between blocks, since neighbouring frames are near-duplicates.
        volume: Pictures per class to take from the training block, evenly spaced; None takes all.
            All volumes cover the same time.

    Returns:
        Rows, int64, for training, validation and test.

    Raises:
        UserError: A class has too few frames, or the volume exceeds the training block.
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
    """Raise UserError if the share is outside 0…1."""
    if not 0 < share < 1:
        raise UserError(f"A share of {share} for validation: expected one such as 0.1 or 0.2.")
