"""N-way one-shot episodes and open-set scores on cached embeddings. Pure numpy.

In an episode one picture per label is the reference (support), every other picture is a query.
Within a person, both are of one person, as when people record their own gestures; across people,
the references are another person's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.bundles import Bundle, join

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LabelledEmbeddings(Bundle):
    """N pictures.

    Attributes:
        embeddings: float32 (N, D).
        labels: the gestures, str (N,).
        subjects: the people, str (N,).
    """

    embeddings: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray


@dataclass(frozen=True)
class Scores(Bundle):
    """The scores of Q queries, over all draws.

    Attributes:
        best: similarity to the nearest reference, float (Q,).
        margin: see `relative_margin`, float (Q,).
        correct: whether the nearest reference has the query's label, bool (Q,); never true where
            the label isn't recorded.
        known: whether the query's label is recorded, bool (Q,).
        five_way: probability of being right among the query's label and four random others, float
            (Q,); NaN with fewer than five labels, and where the label isn't recorded.
        cell: "subject/label" of the query, str (Q,): what a bootstrap resamples.
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
    """Score queries against references of the same person.

    Args:
        data: the pictures.
        similarity: of embeddings (N, D) and (M, D) → (N, M).
        known: how many random labels are recorded, for open-set episodes; people without more
            labels than that are left out. None records all labels.
        draws: episodes per person.
        seed: of all random choices.

    Returns:
        The scores; none where no person has two labels, one of them with two pictures.
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
    """Score queries against references of another person, on the labels that both have.

    Each draw takes the references of one random other person.

    Args:
        queries: the pictures.
        similarity: of embeddings (N, D) and (M, D) → (N, M).
        references: where references come from, all of them other people's; None for `queries`.
        known: see `within`.
        draws: episodes per person.
        seed: of all random choices.
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
    """Draw a reference per recorded label: row numbers; None with too few labels."""
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
    """How much nearer the best label is than the second: 1 − d₁/d₂ (ratio test, Lowe 2004).

    Args:
        best: similarity to the nearest reference, any shape; its distance is d = 1 − similarity.
        runner_up: similarity to the nearest reference of another label.

    Returns:
        0 for a tie, 1 where only the best is near.
    """
    nearest = np.maximum(1.0 - best, 1e-6)  # two copies of one picture are a tie, too
    return 1.0 - nearest / np.maximum(1.0 - runner_up, 1e-6)


def _chance_among(beaten: np.ndarray, others: int) -> np.ndarray:
    """Exact probability that a label beats 4 drawn from `others` labels.

    Args:
        beaten: how many of the others it beats, (Q,).
        others: how many there are.
    """
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
