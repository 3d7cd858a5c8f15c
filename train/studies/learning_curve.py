"""Learning curves: accuracy against images per class, with uncertainty. Needs only NumPy.

The error falls with the volume n of training images as floor + a · n^(−b), an inverse power law
(Cortes et al. 1993, "Learning curves: asymptotic values and rate of convergence"; Figueroa et al.
2012, "Predicting sample size required for classification performance"). If the runs fit
floor + a · exp(−b · n) better, which has as many parameters, that form is used instead.

Fit. For a given b the error is linear in floor and a, so the best pair ≥ 0 has a closed form and
only b is searched for, over its whole range (variable projection, Golub & Pereyra 1973). The search
needs no starting point and can't end in a local minimum. Runs scatter most near 50 % and least near
100 %, so they are weighted as if their variance were scatter² · p(1 − p) (quasi-binomial,
Wedderburn 1974).

Uncertainty. The fit is repeated on resampled runs (bootstrap, Efron & Tibshirani 1993): drawn with
replacement within each volume, or, if a volume has only one or two runs, drawn as the curve plus
resampled residuals. Resamples are widened to correct for the scatter that a mean of few runs or a
curve of three parameters absorbs. Both forms take part if their AIC differs by at most 7 (Burnham &
Anderson 2002), since they differ most beyond the volumes seen. Intervals are the middle 95 % of the
fits. They are somewhat too narrow: on simulated runs (four to six volumes, 6 to 12 runs), those for
volumes two to ten times beyond the seen ones, and for the breakaway, covered the truth in 65 to
95 % of repetitions, least often if errors fall without a floor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engines.errors import UserError

PARAMETERS = 3  # floor, a, b
INTERVAL = [2.5, 97.5]  # percentiles
MIN_VARIANCE = 0.01  # p(1 − p) at 99 %: else a run without errors would outweigh all others
RUNS_TO_RESAMPLE = 3  # per volume; with fewer, residuals are resampled instead
MAX_AIC_GAP = 7.0
STEPS, ZOOMS = 41, 4  # b is searched for on a grid, which then zooms in on the best point


@dataclass(frozen=True)
class Form:
    """A form of learning curve: error(n) = floor + a · shape(n, b).

    Attributes:
        shape: (n, b) → the shape, which falls with n.
        inverse: (value, b) → the n at which the shape has that value.
        span: Volumes n → the least and the largest b that they can distinguish from 0 and from ∞.
    """

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
    """A fitted curve: error(n) = floor + a · n^(−b), or floor + a · exp(−b · n).

    Attributes:
        form: "power" or "exponential".
        floor: Error at infinite volume, 0…1.
        a: Factor of the falling part.
        b: Its exponent or rate.
        scatter: Standard deviation of a run over √(p(1 − p)); NaN if unknown.
    """

    form: str
    floor: float
    a: float
    b: float
    scatter: float = float("nan")

    def accuracy(self, n: np.ndarray | float) -> np.ndarray:
        """Compute the accuracy, 0…1, at n images per class."""
        shape = FORMS[self.form].shape(np.asarray(n, float), self.b)
        return np.clip(1 - self.floor - self.a * shape, 0.0, 1.0)


def fit_curve(volumes: np.ndarray, accuracies: np.ndarray) -> LearningCurve:
    """Fit the better of both forms to R runs.

    Args:
        volumes: (R,) images per class.
        accuracies: (R,) accuracies, 0…1.

    Raises:
        UserError: There are fewer than three volumes, or a value is out of range.
    """
    volumes, accuracies = check_runs(volumes, accuracies)
    runs = _Means.of(volumes, accuracies)
    form = min(FORMS, key=lambda name: _squared_error(name, runs))
    curve = _curves(form, runs, runs.means[None])[0]
    freedom = len(volumes) - PARAMETERS
    if not freedom:
        return curve  # it passes through every run: the scatter is unknown
    fitted = curve.accuracy(volumes)
    scatter = np.sqrt(((accuracies - fitted) ** 2 / variance(fitted)).sum() / freedom)
    return dataclasses.replace(curve, scatter=float(scatter))


def bootstrap(
    volumes: np.ndarray, accuracies: np.ndarray, resamples: int = 400, seed: int = 0
) -> list[LearningCurve]:
    """Fit curves to resampled runs, evenly divided among the forms that fit about equally well.

    Raises:
        UserError: As in `fit_curve`, or the runs are too few to estimate their scatter.
    """
    curve = fit_curve(volumes, accuracies)
    if np.isnan(curve.scatter):
        raise UserError(
            f"The uncertainty of a learning curve needs {PARAMETERS + 1} runs or more: add runs."
        )
    volumes, accuracies = check_runs(volumes, accuracies)
    runs, rng = _Means.of(volumes, accuracies), np.random.default_rng(seed)
    drawn = _resample(curve, runs, volumes, accuracies, resamples, rng)
    most = _squared_error(curve.form, runs) + MAX_AIC_GAP * curve.scatter**2
    forms = [name for name in FORMS if _squared_error(name, runs) <= most]
    shares = [drawn[i :: len(forms)] for i in range(len(forms))]
    return [
        c for form, share in zip(forms, shares, strict=True) for c in _curves(form, runs, share)
    ]


def band(curves: list[LearningCurve], n: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits (low, high) of the middle 95 % of the curves at n images per class."""
    low, high = np.percentile([curve.accuracy(n) for curve in curves], INTERVAL, axis=0)
    return low, high


def breakaway(curve: LearningCurve, drop: float, full: float) -> float:
    """Compute the volume below which accuracy breaks away.

    It is the smallest n ≥ 1 with accuracy(n) ≥ accuracy(full) − drop.

    Args:
        curve: The curve.
        drop: The tolerated loss of accuracy, 0…1.
        full: The volume to compare with, images per class.

    Returns:
        Images per class.

    Raises:
        UserError: `drop` or `full` is out of range.
    """
    if not (drop > 0 and full >= 1):
        raise UserError(
            f"A breakaway needs a drop above 0 and a full volume of 1 or more, not {drop:g} and "
            f"{full:g}."
        )
    target = float(curve.accuracy(full)) - drop
    if curve.a == 0 or target <= 0:
        return 1.0  # accuracy never falls that far
    return max(1.0, FORMS[curve.form].inverse((1 - target - curve.floor) / curve.a, curve.b))


def breakaway_interval(
    curves: list[LearningCurve], drop: float, full: float
) -> tuple[float, float]:
    """Return the limits of the middle 95 % of the curves' breakaways, images per class.

    Raises:
        UserError: `drop` or `full` is out of range.
    """
    low, high = np.percentile([breakaway(curve, drop, full) for curve in curves], INTERVAL)
    return float(low), float(high)


def variance(p: np.ndarray) -> np.ndarray:
    """Compute the variance of a run of accuracy p, in units of scatter²."""
    return np.maximum(p * (1 - p), MIN_VARIANCE)


def check_runs(volumes: np.ndarray, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert volumes and accuracies to float64 (R,) each; raise UserError if out of range."""
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
    """R runs summarised by volume.

    Attributes:
        n: (V,) volumes, ascending.
        place: (R,) index of each run's volume.
        counts: (V,) runs of each volume.
        means: (V,) mean accuracies.
        weights: (V,) weights in the fit.
    """

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


def _resample(
    curve: LearningCurve,
    runs: _Means,
    volumes: np.ndarray,
    accuracies: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Resample the runs; return their mean accuracies (B, V)."""
    if runs.counts.min() >= RUNS_TO_RESAMPLE:
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
    """Fit a curve to each row of mean accuracies (B, V)."""
    fits = _fit(FORMS[form], runs.n, 1 - means, runs.weights)
    return [LearningCurve(form, *map(float, row)) for row in zip(*fits, strict=True)]


def _squared_error(form: str, runs: _Means) -> float:
    """Compute the weighted squared error of a form's best curve: −2 log likelihood · scatter²."""
    floor, a, b = _fit(FORMS[form], runs.n, 1 - runs.means[None], runs.weights)
    missed = floor + a * FORMS[form].shape(runs.n, b) - (1 - runs.means)
    return round(float(runs.weights @ missed**2), 9)  # rounded: two exact fits are equal


def _fit(
    form: Form, n: np.ndarray, errors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit floor, a and b, (B,) each, to errors (B, V) at n (V,) by least squares, weights (V,)."""
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
            rising = ~(a > 0)  # a curve may not rise: the best is flat
            a = np.where(rising, 0.0, np.where(floor < 0, ge / gg, a))
        floor = np.where(rising, e / w, np.maximum(floor, 0.0))
        cost = ee - 2 * (floor * e + a * ge) + floor**2 * w + 2 * floor * a * g + a**2 * gg
        best = cost.argmin(axis=1)
        low = log_b[rows, np.maximum(best - 1, 0)]
        high = log_b[rows, np.minimum(best + 1, STEPS - 1)]
    return floor[rows, best], a[rows, best], np.exp(log_b[rows, best])
