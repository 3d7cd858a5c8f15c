"""Named figures of one kind of episodes, and why others are left out. Pure numpy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from calibration import fitting, metrics
from calibration.episodes import LabelledEmbeddings, Scores, most_labels
from calibration.metrics import Figure
from calibration.showings import APART_S
from calibration.threshold import GALLERY_SIZE, Calibration

FARS = (0.01, 0.05)
MOST_NAMED = 12  # labels in a sentence
LONE = "were compared with no reference, so no figure counts them"
NO_RECORDINGS = (
    "several views are frames of one recording; where the pictures are such, say with --fps how "
    "many numbers in their names make a second"
)


def figures(
    queries: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    calibration: Calibration | None,
    labels: np.ndarray | None = None,
) -> Iterator[tuple[str, Figure | str]]:
    """Compute the figures of one kind of episodes.

    Args:
        queries: The embeddings.
        episodes: `within`, `across` or alike.
        alike: Similarity of two sets of embeddings, (N, D) and (M, D) → (N, M).
        calibration: Whose threshold to measure, or None.
        labels: All labels that were shown, also those in whose pictures no hand was found; None:
            those of the queries.

    Yields:
        The name of the figure, and the figure or why it is left out.
    """
    scores = episodes(queries, alike)
    if not len(scores):
        yield "all figures", _too_few(queries)
        return
    compared, *left_out = _compared(queries, scores, labels)
    yield f"one-shot accuracy, {compared}", metrics.accuracy(scores)
    yield from left_out
    five_way = metrics.five_way_accuracy(scores)
    yield "one-shot accuracy, 5-way", five_way or "nobody shows five labels"
    yield from _open_set_figures(queries, episodes, alike, calibration, 1, FARS)


def figures_of_several(
    queries: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    calibration: Calibration | None,
    several: str,
    count: int,
    labels: np.ndarray | None = None,
) -> Iterator[tuple[str, Figure | str]]:
    """Compute the figures with several pictures of each label, see `figures`.

    Args:
        several: "shots" or "views".
        count: How many.
        labels: See `figures`.
    """
    if several == "views" and queries.times is None:
        yield "all figures", NO_RECORDINGS
        return
    more = functools.partial(episodes, **{several: count})
    scores = more(queries, alike)
    if not scores.known.any():
        yield "all figures", f"{_too_few(queries)}, for {count} {several} of each"
        return
    compared = _compared(queries, scores, labels)[0]
    yield f"accuracy, {compared}", metrics.accuracy(scores)
    yield from _open_set_figures(queries, more, alike, calibration, count, FARS[:1])
    cells = set(episodes(queries, alike).cell.tolist())
    missing = len(cells - set(scores.cell.tolist()))
    if missing:
        yield "some labels", f"{missing} of {len(cells)} labels of a person have too few pictures"


def _compared(
    queries: LabelledEmbeddings, scores: Scores, labels: np.ndarray | None
) -> tuple[Any, ...]:
    """Say which labels have figures: "all labels" or how many; then what was left out, if anything.

    A label is left out where no reference shows it, where nobody has a second picture of it, or
    where no hand is found in its pictures.
    """
    shown = set((queries.labels if labels is None else labels).tolist())
    cells = set(scores.cell.tolist())
    missing = sorted(shown - {cell.rpartition("/")[2] for cell in cells})
    if missing:
        names = ", ".join(missing[:MOST_NAMED]) + (", …" if len(missing) > MOST_NAMED else "")
        told = f"compared with no reference, so no figure counts them: {names}"
        count = f"{len(missing)} of {len(shown)} labels"
        return f"{len(shown) - len(missing)} of {len(shown)} labels", (count, told)
    both = zip(queries.subjects.tolist(), queries.labels.tolist(), strict=True)
    own = {f"{subject}/{label}" for subject, label in both}
    few = own - cells
    if few and cells <= own:  # else everybody has one picture, and all count as one person's
        return "all labels", ("some labels", f"{len(few)} of {len(own)} labels of a person {LONE}")
    return ("all labels",)


def _too_few(queries: LabelledEmbeddings) -> str:
    few = "the pictures show too few people, or too few labels of each"
    if queries.times is None:
        return few
    return f"{few}, or none of them {APART_S:g} s away from another in its recording"


def _open_set_figures(
    queries: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    calibration: Calibration | None,
    pictures: int,
    fars: Sequence[float],
) -> Iterator[tuple[str, Figure | str]]:
    known = min(GALLERY_SIZE, most_labels(queries) // 2)
    open_set = episodes(queries, alike, known=known) if known >= 2 else None
    if open_set is None or not open_set.known.any() or open_set.known.all():
        yield "open set", "it takes four labels, some recorded and some not"
        return
    yield f"AUROC, {known} recorded", metrics.auroc(open_set)
    for far in fars:
        accepts = metrics.correct_accepts(open_set, far)
        yield f"correct accepts at {far:.0%} false, {known} recorded", accepts
    if calibration is not None and calibration.far is not None:
        passes = fitting.accept_each(calibration, open_set, pictures)
        right = passes & open_set.correct
        yield "calibrated: false accepts", metrics.share(open_set, passes, ~open_set.known)
        yield "calibrated: correct accepts", metrics.share(open_set, right, open_set.known)
