"""Figures of episode scores, with 95 % bootstrap intervals. Pure numpy.

Pictures of one gesture of one person are near-duplicates. So the bootstrap resamples whole
(subject, label) groups instead of pictures (cluster bootstrap, Field & Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.episodes import Scores

RESAMPLES = 300


@dataclass(frozen=True)
class Figure:
    """A value in 0…1, or a change of one, with its 95 % interval from `low` to `high`."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f})"


Statistic = Callable[[np.ndarray], float]  # weights of the scores (Q,) → the value


def accuracy(scores: Scores) -> Figure:
    """Share of known queries whose nearest reference has their label."""
    return _figure(scores, _accuracy(scores))


def accuracy_change(before: Scores, after: Scores) -> Figure:
    """Accuracy of one encoder minus that of another, on the same episodes and draws."""
    return _change(before, after, _accuracy)


def five_way_accuracy(scores: Scores) -> Figure | None:
    """Accuracy among five labels; None where no episode has five."""
    usable = scores.known & np.isfinite(scores.five_way)
    if not usable.any():
        return None
    values = np.where(usable, scores.five_way, 0.0)
    return _figure(scores, lambda w: _mean(values, w * usable))


def auroc(scores: Scores) -> Figure:
    """Area under the ROC curve of the best score, known queries against unknown ones."""
    return _figure(scores, _auroc(scores))


def auroc_change(before: Scores, after: Scores) -> Figure:
    """AUROC of one encoder minus that of another, on the same episodes and draws."""
    return _change(before, after, _auroc)


def _accuracy(scores: Scores) -> Statistic:
    return lambda w: _mean(scores.correct, w * scores.known)


def _auroc(scores: Scores) -> Statistic:
    order = np.argsort(scores.best, kind="stable")
    known, best = scores.known[order], scores.best[order]
    _, tie = np.unique(best, return_inverse=True)

    def area(weights: np.ndarray) -> float:
        w = weights[order]
        positive = np.bincount(tie, w * known)
        negative = np.bincount(tie, w * ~known)
        below = np.cumsum(negative) - negative / 2  # ties count half
        total = positive.sum() * negative.sum()
        return float((positive * below).sum() / total) if total else float("nan")

    return area


def _change(before: Scores, after: Scores, of: Callable[[Scores], Statistic]) -> Figure:
    """A paired difference: the bootstrap resamples both alike, so that common noise cancels."""
    old, new = of(before), of(after)
    return _figure(before, lambda w: new(w) - old(w))


def correct_accepts(scores: Scores, far: float) -> Figure:
    """Share of known queries that are accepted with the right label.

    Args:
        scores: of open-set episodes.
        far: share of unknown queries that are accepted, which sets the threshold on the best score.
    """
    order = np.argsort(-scores.best, kind="stable")
    known, right = scores.known[order], (scores.known & scores.correct)[order]
    _, tie = np.unique(-scores.best[order], return_inverse=True)

    def share(weights: np.ndarray) -> float:
        w = weights[order]
        false = np.cumsum(np.bincount(tie, w * ~known))[tie]  # equal scores are accepted together
        if not false[-1]:
            return float("nan")
        accepted = false <= far * false[-1]
        return _mean(right & accepted, w * known)

    return _figure(scores, share)


def share(scores: Scores, hits: np.ndarray, among: np.ndarray) -> Figure:
    """Share of `hits` among `among`, both bool (Q,)."""
    return _figure(scores, lambda w: _mean(hits & among, w * among))


def expected_calibration_error(probability: np.ndarray, right: np.ndarray, w: np.ndarray) -> float:
    """Expected calibration error over ten bins (Guo et al. 2017).

    The mean of |mean probability − share right| of the bins, weighted by their weight.

    Args:
        probability: float (Q,) in 0…1.
        right: 0 or 1, (Q,).
        w: weights, (Q,).
    """
    bins = np.minimum((probability * 10).astype(int), 9)
    weight = np.bincount(bins, w, 10)
    gap = np.bincount(bins, w * probability, 10) - np.bincount(bins, w * right, 10)
    return float(np.abs(gap).sum() / weight.sum())


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else float("nan")


def _figure(scores: Scores, statistic: Statistic) -> Figure:
    return figure(scores.cell, statistic)


def figure(cell: np.ndarray, statistic: Statistic) -> Figure:
    """A statistic of Q rows, with its interval.

    Args:
        cell: The cell of each row, (Q,) of any type: the bootstrap resamples whole cells.
        statistic: Of the rows' weights.
    """
    _, number = np.unique(cell, return_inverse=True)
    count = int(number.max()) + 1
    rng = np.random.default_rng(0)
    samples = [
        statistic(
            np.bincount(rng.integers(count, size=count), minlength=count)[number].astype(float)
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Figure(statistic(np.ones(len(number))), float(low), float(high))


def weighted_percentile(values: np.ndarray, weights: np.ndarray, percent: float) -> float:
    """The least value that so many per cent of the weight don't exceed; NaN without weight.

    Args:
        values: float (Q,), sorted.
        weights: float (Q,) in the same order, not negative.
        percent: 0…100.
    """
    total = np.cumsum(weights)
    if not len(total) or not total[-1]:
        return float("nan")
    return float(values[np.searchsorted(total, percent / 100 * total[-1] * (1 - 1e-12))])
