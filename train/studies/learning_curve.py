"""A curve through accuracy against images per class, with its uncertainty. Pure numpy.

Errors fall with the volume n of training images as floor + a · n^(−b): quickly at first, then ever
more slowly towards a floor that no volume gets below (inverse power law; Cortes et al. 1993,
"Learning curves: asymptotic values and rate of convergence"; Figueroa et al. 2012, "Predicting
sample size required for classification performance"). Where the runs lie nearer to
floor + a · exp(−b · n), which has as many parameters, that is used instead.

Fit. For a given b the errors are linear in floor and a, so that the best pair ≥ 0 is known in
closed form, and only b is searched for, over all of its range (variable projection, Golub & Pereyra
1973): there is no start to choose and no local minimum to be caught in. Runs scatter most near 50 %
and least near 100 %: each weighs as if its variance were scatter² · p(1 − p) (quasi-binomial,
Wedderburn 1974).

Uncertainty. The fit is repeated on runs drawn anew with replacement within each volume, or, where
a volume has but one or two, on the curve plus residuals drawn anew (bootstrap, Efron & Tibshirani
1993). Draws are widened by the part of the scatter that a mean of few runs or a curve of three
parameters has swallowed. Both forms take part if the runs hardly tell them apart (Burnham &
Anderson 2002: AIC no more than 7 apart), since beyond the volumes seen they differ most. Intervals
are the middle 95 % of the fits. They are somewhat too narrow: on drawn runs (four to six volumes,
6 to 12 runs) those for volumes two to ten times beyond what was seen, and for the breakaway, held
in 65 to 95 % of repetitions, least often where errors fall without a floor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engines.errors import UserError

PARAMETERS = 3  # floor, a, b
MIDDLE = [2.5, 97.5]  # percent
LEAST_VARIANCE = 0.01  # p(1 − p) at 99 %: else a run without an error would outweigh all others
ENOUGH = 3  # runs of a volume, to draw from them rather than from all residuals
UNTOLD = 7.0  # of AIC, between forms that the runs hardly tell apart
STEPS, ZOOMS = 41, 4  # b is searched for on a grid, then between the best point's neighbours


@dataclass(frozen=True)
class Form:
    """shape(n, b) falls in n; inverse(value, b) is the n at which it has a value; span(n): the
    least and the largest b that volumes n can tell from none and from infinite."""

    shape: Callable[[np.ndarray, np.ndarray | float], np.ndarray]
    inverse: Callable[[float, float], float]
    span: Callable[[np.ndarray], tuple[float, float]]


FORMS = {
    "power": Form(lambda n, b: n**-b, lambda v, b: v ** (-1 / b), lambda n: (0.02, 5.0)),
    "exponential": Form(
        lambda n, b: np.exp(-b * n),
        lambda v, b: -float(np.log(v)) / b,
        lambda n: (0.05 / n.max(), 5.0 / n.min()),
    ),
}


@dataclass(frozen=True)
class LearningCurve:
    """error(n) = floor + a · n^(−b), or floor + a · exp(−b · n) where form is "exponential"; n in
    images per class. A run's standard deviation is scatter · √(p(1 − p)), where known."""

    form: str
    floor: float
    a: float
    b: float
    scatter: float = float("nan")

    def accuracy(self, n: np.ndarray | float) -> np.ndarray:
        """In 0…1, of n's shape."""
        shape = FORMS[self.form].shape(np.asarray(n, float), self.b)
        return np.clip(1 - self.floor - self.a * shape, 0.0, 1.0)


def fit_curve(volumes: np.ndarray, accuracies: np.ndarray) -> LearningCurve:
    """Through R runs: volumes (R,) in images per class, accuracies (R,) in 0…1.

    Raises UserError for fewer than three volumes, or what is no volume or accuracy.
    """
    volumes, accuracies = checked(volumes, accuracies)
    runs = _Means.of(volumes, accuracies)
    form = min(FORMS, key=lambda name: _misses(name, runs))
    curve = _curves(form, runs, runs.means[None])[0]
    freedom = len(volumes) - PARAMETERS
    if not freedom:
        return curve  # through every run: nothing is left to tell the scatter from
    fitted = curve.accuracy(volumes)
    scatter = np.sqrt(((accuracies - fitted) ** 2 / variance(fitted)).sum() / freedom)
    return dataclasses.replace(curve, scatter=float(scatter))


def bootstrap(
    volumes: np.ndarray, accuracies: np.ndarray, resamples: int = 400, seed: int = 0
) -> list[LearningCurve]:
    """Curves through runs drawn anew, shared out evenly among the forms that the runs can't tell
    apart. Raises UserError as `fit_curve`, and where the runs are too few to know their scatter."""
    curve = fit_curve(volumes, accuracies)
    if np.isnan(curve.scatter):
        raise UserError(
            f"The uncertainty of a learning curve needs {PARAMETERS + 1} runs or more: add runs."
        )
    volumes, accuracies = checked(volumes, accuracies)
    runs, rng = _Means.of(volumes, accuracies), np.random.default_rng(seed)
    drawn = _drawn(curve, runs, volumes, accuracies, resamples, rng)
    most = _misses(curve.form, runs) + UNTOLD * curve.scatter**2
    forms = [name for name in FORMS if _misses(name, runs) <= most]
    shares = [drawn[i :: len(forms)] for i in range(len(forms))]
    return [
        c for form, share in zip(forms, shares, strict=True) for c in _curves(form, runs, share)
    ]


def band(curves: list[LearningCurve], n: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each of n's shape: between them lie the middle 95 % of the curves."""
    low, high = np.percentile([curve.accuracy(n) for curve in curves], MIDDLE, axis=0)
    return low, high


def breakaway(curve: LearningCurve, drop: float, full: float) -> float:
    """The volume below which accuracy breaks away, in images per class, 1 or more: the smallest n
    with accuracy(n) ≥ accuracy(full) − drop; drop in 0…1. Raises UserError."""
    if not (drop > 0 and full >= 1):
        raise UserError(
            f"A breakaway needs a drop above 0 and a full volume of 1 or more, not {drop:g} and "
            f"{full:g}."
        )
    target = float(curve.accuracy(full)) - drop
    if curve.a == 0 or target <= 0:
        return 1.0  # no volume is that bad
    return max(1.0, FORMS[curve.form].inverse((1 - target - curve.floor) / curve.a, curve.b))


def breakaway_interval(
    curves: list[LearningCurve], drop: float, full: float
) -> tuple[float, float]:
    """The middle 95 % of the curves' breakaways, images per class. Raises UserError."""
    low, high = np.percentile([breakaway(curve, drop, full) for curve in curves], MIDDLE)
    return float(low), float(high)


def variance(p: np.ndarray) -> np.ndarray:
    """Of a run of accuracy p, in units of scatter²."""
    return np.maximum(p * (1 - p), LEAST_VARIANCE)


def checked(volumes: np.ndarray, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (R,) float64. Raises UserError."""
    n, p = np.asarray(volumes, np.float64), np.asarray(accuracies, np.float64)
    if n.ndim != 1 or n.shape != p.shape or not n.size:
        raise UserError(
            f"Runs are one volume and one accuracy each, not {n.shape} and {p.shape} numbers."
        )
    if not (np.isfinite(n) & (n > 0)).all():
        raise UserError(f"Volumes are images per class, above 0, not {n.tolist()}.")
    if not ((p >= 0) & (p <= 1)).all():
        raise UserError(f"Accuracies lie in 0 to 1, not {p.tolist()}.")
    return n, p


@dataclass(frozen=True)
class _Means:
    """Runs by volume: n (V,) ascending, place (R,) in it, counts, mean accuracies, weights (V,)."""

    n: np.ndarray
    place: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, volumes: np.ndarray, accuracies: np.ndarray) -> _Means:
        n, place, counts = np.unique(volumes, return_inverse=True, return_counts=True)
        if len(n) < PARAMETERS:
            raise UserError(
                f"A learning curve needs runs at {PARAMETERS} volumes or more, not {len(n)}: "
                "add volumes."
            )
        means = np.bincount(place, accuracies) / counts
        return cls(n, place, counts, means, counts / variance(means))


def _drawn(
    curve: LearningCurve,
    runs: _Means,
    volumes: np.ndarray,
    accuracies: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Mean accuracies (B, V) of runs drawn anew."""
    if runs.counts.min() >= ENOUGH:
        drawn = np.empty((resamples, len(runs.n)))
        for i, (mean, count) in enumerate(zip(runs.means, runs.counts, strict=True)):
            anew = rng.choice(accuracies[runs.place == i], (resamples, count)).mean(axis=1)
            drawn[:, i] = mean + (anew - mean) * np.sqrt(count / (count - 1))
        return drawn
    fitted = curve.accuracy(volumes)
    spread = np.sqrt(variance(fitted))
    residuals = (accuracies - fitted) / spread
    residuals *= np.sqrt(len(volumes) / (len(volumes) - PARAMETERS))
    anew = fitted + spread * rng.choice(residuals - residuals.mean(), (resamples, len(volumes)))
    return anew @ (runs.place[:, None] == np.arange(len(runs.n))) / runs.counts


def _curves(form: str, runs: _Means, means: np.ndarray) -> list[LearningCurve]:
    """The best through each row of mean accuracies (B, V)."""
    fits = _fit(FORMS[form], runs.n, 1 - means, runs.weights)
    return [LearningCurve(form, *map(float, row)) for row in zip(*fits, strict=True)]


def _misses(form: str, runs: _Means) -> float:
    """The weighted squared errors of its best curve: −2 log likelihood · scatter²."""
    floor, a, b = _fit(FORMS[form], runs.n, 1 - runs.means[None], runs.weights)
    missed = floor + a * FORMS[form].shape(runs.n, b) - (1 - runs.means)
    return round(float(runs.weights @ missed**2), 9)  # forms that both fit exactly are level


def _fit(
    form: Form, n: np.ndarray, errors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """floor, a, b, each (B,), of least weighted squares: n (V,), errors (B, V), weights (V,)."""
    rows = np.arange(len(errors))
    low, high = (np.full(len(errors), np.log(end)) for end in form.span(n))
    w, e, ee = weights.sum(), (errors @ weights)[:, None], (errors**2 @ weights)[:, None]
    for _ in range(ZOOMS):
        log_b = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, STEPS)
        shape = form.shape(n, np.exp(log_b)[:, :, None])  # (B, steps, V)
        g, gg, ge = shape @ weights, shape**2 @ weights, shape @ (errors * weights)[:, :, None]
        ge = ge[:, :, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            a = (w * ge - g * e) / (w * gg - g * g)
            floor = (e - a * g) / w
            rising = ~(a > 0)  # the best without rising is flat
            a = np.where(rising, 0.0, np.where(floor < 0, ge / gg, a))
        floor = np.where(rising, e / w, np.maximum(floor, 0.0))
        cost = ee - 2 * (floor * e + a * ge) + floor**2 * w + 2 * floor * a * g + a**2 * gg
        best = cost.argmin(axis=1)
        low = log_b[rows, np.maximum(best - 1, 0)]
        high = log_b[rows, np.minimum(best + 1, STEPS - 1)]
    return floor[rows, best], a[rows, best], np.exp(log_b[rows, best])
