"""N-way one-shot episodes and open-set scores on cached embeddings. Pure numpy.

One picture per label is the reference, every other picture is a query. "Within": both from one
person, as when people record their own gestures; "across": references from another person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.bundles import Bundle, join

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LabelledEmbeddings(Bundle):
    """embeddings float32 (N, D); labels and subjects str (N,)."""

    embeddings: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray


@dataclass(frozen=True)
class Scores(Bundle):
    """One entry per scored query, over all draws.

    best: similarity to the nearest reference; margin: see `relative_margin`;
    correct: the nearest has the query's label (never, where it is not recorded);
    known: its label is recorded; five_way: its chance of being right among its own and four
    random other labels (NaN with fewer than five); cell: which (subject, label) it belongs to.
    """

    best: np.ndarray
    margin: np.ndarray
    correct: np.ndarray
    known: np.ndarray
    five_way: np.ndarray
    cell: np.ndarray


def within(
    data: LabelledEmbeddings,
    similarity: Similarity,
    *,
    known: int | None = None,
    draws: int = 20,
    seed: int = 0,
) -> Scores:
    """References and queries of one person. `known` labels are recorded (None: all of them).

    Empty where no person has two labels, one of them with two pictures; with `known`, only
    people with more labels than that count.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for rows in _rows_by(data.subjects).values():
        for _ in range(draws):
            references = _draw(rng, rows, data.labels, known)
            if references is not None:
                queries = np.setdiff1d(rows, references)
                parts.append(_score(data, queries, data, references, similarity))
    return _join(parts)


def across(
    queries: LabelledEmbeddings,
    similarity: Similarity,
    *,
    references: LabelledEmbeddings | None = None,
    known: int | None = None,
    draws: int = 20,
    seed: int = 0,
) -> Scores:
    """References of one person, queries of another, on the labels both have.

    Each draw gives every query person one other random person's references: from `references`
    if given (all its people count as others), else from the same set.
    """
    rng = np.random.default_rng(seed)
    pool = queries if references is None else references
    people = _rows_by(pool.subjects)
    parts = []
    for subject, rows in _rows_by(queries.subjects).items():
        others = [p for p in people if references is not None or p != subject]
        for _ in range(draws if others else 0):
            theirs = people[others[rng.integers(len(others))]]
            theirs = theirs[np.isin(pool.labels[theirs], queries.labels[rows])]
            drawn = _draw(rng, theirs, pool.labels, known)
            if drawn is not None:
                shared = rows[np.isin(queries.labels[rows], pool.labels[theirs])]
                parts.append(_score(queries, shared, pool, drawn, similarity))
    return _join(parts)


def _rows_by(values: np.ndarray) -> dict[str, np.ndarray]:
    return {str(v): np.flatnonzero(values == v) for v in np.unique(values)}


def _draw(
    rng: np.random.Generator, rows: np.ndarray, labels: np.ndarray, known: int | None
) -> np.ndarray | None:
    """One row per recorded label, or None where there are too few labels for the episode."""
    chosen = np.unique(labels[rows])
    if known is not None and len(chosen) <= known or len(chosen) < 2:
        return None
    if known is not None:
        chosen = rng.choice(chosen, known, replace=False)
    return np.array([rng.choice(rows[labels[rows] == label]) for label in chosen])


def _score(
    queries: LabelledEmbeddings,
    rows: np.ndarray,
    pool: LabelledEmbeddings,
    references: np.ndarray,
    similarity: Similarity,
) -> Scores:
    scores = similarity(queries.embeddings[rows], pool.embeddings[references])  # (Q, R)
    truth = queries.labels[rows][:, None] == pool.labels[references][None, :]  # (Q, R)
    known = truth.any(axis=1)
    ordered = np.sort(scores, axis=1)
    correct = truth[np.arange(len(rows)), scores.argmax(axis=1)] if len(rows) else known
    own = np.where(truth, scores, -np.inf).max(axis=1, initial=-np.inf)
    beaten = (~truth & (scores < own[:, None])).sum(axis=1)
    five_way = _chance_among(beaten, scores.shape[1] - 1)
    return Scores(
        best=ordered[:, -1],
        margin=relative_margin(ordered[:, -1], ordered[:, -2]),
        correct=correct,
        known=known,
        five_way=np.where(known, five_way, np.nan),
        cell=np.char.add(np.char.add(queries.subjects[rows], "/"), queries.labels[rows]),
    )


def relative_margin(best: np.ndarray, runner_up: np.ndarray) -> np.ndarray:
    """How much nearer the best reference is than the best of another label: 1 − d₁/d₂ with
    distance d = 1 − similarity (Lowe's ratio test, 2004). 0 = a tie, 1 = no contest."""
    nearest = np.maximum(1.0 - best, 1e-6)  # two copies of one picture are a tie too
    return 1.0 - nearest / np.maximum(1.0 - runner_up, 1e-6)


def _chance_among(beaten: np.ndarray, others: int) -> np.ndarray:
    """P(the true label beats 4 drawn from `others`, of which it beats `beaten`), exactly."""
    if others < 4:
        return np.full(len(beaten), np.nan)
    chance = np.ones(len(beaten))
    for i in range(4):
        chance *= np.maximum(beaten - i, 0) / (others - i)
    return chance


def _join(parts: Sequence[Scores]) -> Scores:
    """Scores of several people, or of none, as one."""
    none = np.zeros(0)
    empty = Scores(none, none, none.astype(bool), none.astype(bool), none, none.astype(str))
    return join(parts) if parts else empty
