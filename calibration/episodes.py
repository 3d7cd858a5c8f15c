"""N-way few-shot episodes and open-set scores on cached embeddings. Pure numpy.

In an episode one picture per label is the reference (support), every other picture is a query.
Within a person, both are of one person, as when people record their own gestures; across people,
the references are another person's.

A label may have several references (shots), and a reference several pictures of one recording
(views): one showing of the gesture. A label is as near as the nearest of its pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.finite import check_finite
from calibration.showings import away, draw_showings, find_showings
from engines.bundles import Bundle, join

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]
UNSOUND = "The encoder isn't sound: export or train it again."


@dataclass(frozen=True)
class LabelledEmbeddings(Bundle):
    """N pictures.

    Attributes:
        embeddings: float32 (N, D).
        labels: the gestures, str (N,).
        subjects: the people, str (N,).
        times: when each picture was taken, float (N,), in seconds on a time line on which
            recordings lie at least `showings.APART_S` apart; None where they aren't frames of
            recordings.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    times: np.ndarray | None = None


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
    shots: int = 1,
    views: int = 1,
) -> Scores:
    """Score queries against references of the same person.

    Where pictures have times, a query is at least `showings.APART_S` away from each reference.

    Args:
        data: the pictures.
        similarity: of embeddings (N, D) and (M, D) → (N, M).
        known: how many random labels are recorded, for open-set episodes; people without more
            labels than that are left out. None records all labels.
        draws: episodes per person.
        seed: of all random choices.
        shots: references per label. Labels of which a person has too few pictures are left out.
        views: pictures per reference, see `showings`; several need times.

    Returns:
        The scores; none where no person has two labels, one of them with two pictures.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for rows in _rows_by(data.subjects).values():
        showings = _showings(data, rows, shots, views)
        rows = rows[np.isin(data.labels[rows], list(showings))]
        for _ in range(draws):
            references = _draw(rng, showings, data.times, known, shots)
            if references is not None:
                queries = np.setdiff1d(rows, references)
                if data.times is not None:
                    queries = queries[away(data.times, queries, references)]
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
    shots: int = 1,
    views: int = 1,
) -> Scores:
    """Score queries against references of another person, on the labels that both have.

    Each draw takes the references of one random other person. Where nobody has more than one
    picture, it takes each from somebody else.

    Args:
        queries: the pictures.
        similarity: of embeddings (N, D) and (M, D) → (N, M).
        references: where references come from, all of them other people's; None for `queries`.
        known: see `within`.
        draws: episodes per person.
        seed: of all random choices.
        shots: see `within`.
        views: see `within`.
    """
    if references is None and one_picture_each(queries):
        everybody = np.full(len(queries), f"{queries.subjects[0]} and others")
        data = replace(queries, subjects=everybody)
        return within(
            data, similarity, known=known, draws=draws, seed=seed, shots=shots, views=views
        )
    rng = np.random.default_rng(seed)
    pool = queries if references is None else references
    people = {p: _showings(pool, rows, shots, views) for p, rows in _rows_by(pool.subjects).items()}
    parts = []
    for subject, rows in _rows_by(queries.subjects).items():
        mine = set(queries.labels[rows].tolist())
        others = [p for p in people if references is not None or p != subject]
        for _ in range(draws if others else 0):
            theirs = people[others[rng.integers(len(others))]]
            theirs = {label: each for label, each in theirs.items() if label in mine}
            drawn = _draw(rng, theirs, pool.times, known, shots)
            if drawn is not None:
                shared = rows[np.isin(queries.labels[rows], list(theirs))]
                parts.append(_score(queries, shared, pool, drawn, similarity))
    return _join(parts)


def one_picture_each(data: LabelledEmbeddings) -> bool:
    """Whether nobody is shown twice, so that any two pictures are of two people."""
    return len(np.unique(data.subjects)) == len(data) > 1


def most_labels(data: LabelledEmbeddings) -> int:
    """How many labels one person shows at most; all, where everybody has one picture."""
    if one_picture_each(data):
        return len(np.unique(data.labels))
    return max(len(np.unique(data.labels[rows])) for rows in _rows_by(data.subjects).values())


def _rows_by(values: np.ndarray) -> dict[str, np.ndarray]:
    return {str(v): np.flatnonzero(values == v) for v in np.unique(values)}


def _showings(
    data: LabelledEmbeddings, rows: np.ndarray, shots: int, views: int
) -> dict[str, np.ndarray]:
    """What a person's references can be: by label, sorted, row numbers (C, views).

    Labels that could run out of showings before all shots are drawn are left out.
    """
    own = {label: rows[each] for label, each in _rows_by(data.labels[rows]).items()}
    found = {label: find_showings(each, data.times, shots, views) for label, each in own.items()}
    return {label: showings for label, showings in found.items() if len(showings)}


def _draw(
    rng: np.random.Generator,
    showings: dict[str, np.ndarray],
    times: np.ndarray | None,
    known: int | None,
    shots: int,
) -> np.ndarray | None:
    """Draw each recorded label's references: rows (L, shots, views); None with too few labels."""
    chosen = np.array(sorted(showings))
    if known is not None and len(chosen) <= known or len(chosen) < 2:
        return None
    if known is not None:
        chosen = rng.choice(chosen, known, replace=False)
    return np.stack([draw_showings(rng, showings[label], times, shots) for label in chosen])


def _score(
    queries: LabelledEmbeddings,
    rows: np.ndarray,
    pool: LabelledEmbeddings,
    references: np.ndarray,
    similarity: Similarity,
) -> Scores:
    """Score queries against references (L, shots, views), by label the best of them."""
    by_picture = similarity(queries.embeddings[rows], pool.embeddings[references.ravel()])
    check_finite(by_picture, "Scores of pictures against references", UNSOUND)
    by_label = by_picture.reshape(len(rows), len(references), references[0].size)
    scores = by_label.max(axis=2)  # (Q, L)
    names = pool.labels[references[:, 0, 0]]
    truth = queries.labels[rows][:, None] == names[None, :]  # (Q, L)
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
