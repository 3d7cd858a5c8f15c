"""Which hands stand in a training batch: one alphabet at a time, from as many people as can be.

Labels of different alphabets can't be compared (one set's "A" may be another's "B"), so a batch
never mixes them: everything in it that has another label is truly another gesture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rows = list[list[list[int]]]  # per label, per person: rows


@dataclass(frozen=True)
class Index:
    """alphabets: for each, per label and person, the rows of a bank; shares (A,): how often each
    alphabet's turn comes, as the root of its size."""

    alphabets: list[Rows]
    shares: np.ndarray


def index_of(alphabets: np.ndarray, labels: np.ndarray, subjects: np.ndarray) -> Index:
    """str (N,) thrice. Labels with one picture, and alphabets with one label, are left out."""
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
    return Index(kept, np.sqrt(sizes) / np.sqrt(sizes).sum())


def draw(
    rng: np.random.Generator, index: Index, labels: int, per_label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and label numbers int (B,): `per_label` hands of each of up to `labels` labels of one
    alphabet, of different people where there are enough."""
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


def draw_pairs(
    rng: np.random.Generator, labels: np.ndarray, pairs: int, per_label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and label numbers int (B,) of drawn gestures, int labels (N,): classes 2i and 2i + 1,
    which differ in little, always together."""
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
