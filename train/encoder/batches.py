"""The hands of a training batch: of one alphabet, from as many people as possible.

A batch never mixes alphabets, whose labels can't be compared (one set's "A" may be another's "B").
So, within a batch, another label always means another gesture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rows = list[list[list[int]]]  # [label][person] → rows


@dataclass(frozen=True)
class BatchIndex:
    """The hands of A alphabets, by label and person.

    Attributes:
        alphabets: Rows of a bank, [alphabet][label][person].
        shares: (A,) probabilities of the alphabets, proportional to the roots of their sizes.
    """

    alphabets: list[Rows]
    shares: np.ndarray


def index_hands(alphabets: np.ndarray, labels: np.ndarray, subjects: np.ndarray) -> BatchIndex:
    """Index hands by alphabets, labels and subjects, str (N,) each.

    Labels with only one picture, and alphabets with only one label, are left out.
    """
    nested: dict[str, dict[str, dict[str, list[int]]]] = {}
    for row, (a, b, c) in enumerate(zip(alphabets, labels, subjects, strict=True)):
        nested.setdefault(str(a), {}).setdefault(str(b), {}).setdefault(str(c), []).append(row)
    kept: list[Rows] = []
    for by_label in nested.values():
        rows = [list(people.values()) for people in by_label.values()]
        rows = [people for people in rows if sum(map(len, people)) > 1]
        if len(rows) > 1:
            kept.append(rows)
    sizes = np.array([sum(len(p) for people in rows for p in people) for rows in kept])
    return BatchIndex(kept, np.sqrt(sizes) / np.sqrt(sizes).sum())


def draw_batch(
    rng: np.random.Generator, index: BatchIndex, labels: int, per_label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of one alphabet.

    Args:
        rng: Source of randomness.
        index: The hands.
        labels: Number of labels, or all if there are fewer.
        per_label: Hands of each label, of different people if there are enough.

    Returns:
        Rows and numbers of the labels, int (B,) each.
    """
    rows = index.alphabets[rng.choice(len(index.shares), p=index.shares)]
    chosen, numbers = [], []
    for number, which in enumerate(rng.permutation(len(rows))[:labels]):
        people = rows[which]
        order = rng.permutation(len(people))
        for i in range(per_label):
            theirs = people[order[i % len(people)]]
            chosen.append(theirs[rng.integers(len(theirs))])
            numbers.append(number)
    return np.array(chosen), np.array(numbers)


def draw_pair_batch(
    rng: np.random.Generator, labels: np.ndarray, pairs: int, per_label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of synthetic gestures; the similar classes 2i and 2i + 1 come together.

    Args:
        rng: Source of randomness.
        labels: int (N,), the classes.
        pairs: Number of pairs of classes.
        per_label: The most hands of each class.

    Returns:
        Rows and classes, int (B,) each.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(labels.max() + 2))
    counts = np.diff(starts)
    both = np.flatnonzero((counts[0:-1:2] > 1) & (counts[1::2] > 1))
    chosen, numbers = [], []
    for pair in rng.choice(both, min(pairs, len(both)), replace=False):
        for label in (2 * pair, 2 * pair + 1):
            rows = order[starts[label] : starts[label + 1]]
            rows = rng.permutation(rows)[:per_label]
            chosen.append(rows)
            numbers.append(np.full(len(rows), label))
    return np.concatenate(chosen), np.concatenate(numbers)
