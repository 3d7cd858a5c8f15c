"""Figures from episode scores, with 95 % bootstrap intervals. Pure numpy.

Pictures of one person's one sign are near-duplicates, so the bootstrap resamples whole
(subject, label) groups, never single pictures (cluster bootstrap, Field & Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.episodes import Scores

RESAMPLES = 300


@dataclass(frozen=True)
class Figure:
    """A value in 0…1 and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f})"


Statistic = Callable[[np.ndarray], float]  # weights of the scores → the figure


def accuracy(scores: Scores) -> Figure:
    """Share of known queries whose nearest reference is right, over all recorded labels."""
    return _figure(scores, _accuracy(scores))


def accuracy_change(before: Scores, after: Scores) -> Figure:
    """By how much the accuracy of another encoder, on the same episodes and draws, is higher."""
    return _change(before, after, _accuracy)


def five_way_accuracy(scores: Scores) -> Figure | None:
    """The same among five labels; None where no episode has five."""
    usable = scores.known & np.isfinite(scores.five_way)
    if not usable.any():
        return None
    values = np.where(usable, scores.five_way, 0.0)
    return _figure(scores, lambda w: _mean(values, w * usable))


def auroc(scores: Scores) -> Figure:
    """Area under the ROC of the best score: known queries against unknown ones."""
    return _figure(scores, _auroc(scores))


def auroc_change(before: Scores, after: Scores) -> Figure:
    """By how much another encoder's area is larger, on the same episodes and draws."""
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
    """The bootstrap resamples both alike, so that what they share cancels out."""
    old, new = of(before), of(after)
    return _figure(before, lambda w: new(w) - old(w))


def correct_accepts(scores: Scores, far: float) -> Figure:
    """Share of known queries accepted with the right label when `far` of the unknown ones are
    accepted (threshold on the best score)."""
    order = np.argsort(-scores.best, kind="stable")
    known, right = scores.known[order], (scores.known & scores.correct)[order]
    _, tie = np.unique(-scores.best[order], return_inverse=True)

    def share(weights: np.ndarray) -> float:
        w = weights[order]
        false = np.cumsum(np.bincount(tie, w * ~known))[tie]  # equal scores pass together
        if not false[-1]:
            return float("nan")
        accepted = false <= far * false[-1]
        return _mean(right & accepted, w * known)

    return _figure(scores, share)


def share(scores: Scores, hits: np.ndarray, among: np.ndarray) -> Figure:
    """Share of `hits` among `among`, both bool and one per score."""
    return _figure(scores, lambda w: _mean(hits & among, w * among))


def expected_calibration_error(probability: np.ndarray, right: np.ndarray, w: np.ndarray) -> float:
    """Σ over ten bins of |mean probability − share right| × weight (Guo et al. 2017)."""
    bins = np.minimum((probability * 10).astype(int), 9)
    weight = np.bincount(bins, w, 10)
    gap = np.bincount(bins, w * probability, 10) - np.bincount(bins, w * right, 10)
    return float(np.abs(gap).sum() / weight.sum())


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else float("nan")


def _figure(scores: Scores, statistic: Statistic) -> Figure:
    _, cell = np.unique(scores.cell, return_inverse=True)
    count = int(cell.max()) + 1
    rng = np.random.default_rng(0)
    samples = [
        statistic(np.bincount(rng.integers(count, size=count), minlength=count)[cell].astype(float))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Figure(statistic(np.ones(len(cell))), float(low), float(high))
