"""Predict the accuracy of runs with much data from runs with little, and check the prediction.

A curve is fitted to the runs with small volumes (train/studies/learning_curve.py). The 95 %
prediction interval of a run covers the uncertainty of the curve, by bootstrap, and the scatter of a
single run about it, whose variance is uncertain, too (scatter² · degrees of freedom / χ², as in
Student's t). The prediction is compared with two simple ones: accuracy stays as at the largest
volume seen, and accuracy is linear in log n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import UserError
from train.studies.learning_curve import (
    INTERVAL,
    PARAMETERS,
    LearningCurve,
    band,
    bootstrap,
    breakaway,
    breakaway_interval,
    check_runs,
    fit_curve,
    variance,
)


@dataclass(frozen=True)
class Prediction:
    """Predicted accuracies of K volumes; accuracies are 0…1.

    Attributes:
        at: (K,) volumes, images per class.
        accuracy: (K,) predictions.
        low: (K,) lower ends of the 95 % interval of a single run.
        high: (K,) upper ends of that interval.
        staying: (K,) predictions if accuracy stays as at the largest volume seen.
        line: (K,) predictions of a line in log n.
        threshold: Images per class below which accuracy breaks away.
        threshold_low: Lower end of its 95 % interval.
        threshold_high: Upper end of its 95 % interval.
        curve: The fitted curve.
        curves: The curves of the bootstrap.
    """

    at: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    staying: np.ndarray
    line: np.ndarray
    threshold: float
    threshold_low: float
    threshold_high: float
    curve: LearningCurve
    curves: list[LearningCurve]

    def band(self, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95 % band (low, high) of the curve itself, without the scatter of a run."""
        return band(self.curves, n)


@dataclass(frozen=True)
class CheckedVolume:
    """The prediction for one volume beside its runs; accuracies are 0…1.

    Attributes:
        volume: Images per class.
        observed: Mean accuracy of the runs.
        predicted: The prediction.
        low: Lower end of the 95 % interval of a single run.
        high: Upper end of that interval.
        inside: Whether the mean lies in the interval.
        runs: Number of runs.
        runs_inside: How many of them lie in the interval.
        staying: Prediction if accuracy stays as at the largest volume seen.
        line: Prediction of a line in log n.
    """

    volume: float
    observed: float
    predicted: float
    low: float
    high: float
    inside: bool
    runs: int
    runs_inside: int
    staying: float
    line: float


@dataclass(frozen=True)
class PredictionCheck:
    """A checked prediction; errors are mean absolute errors of accuracy, 0…1.

    Attributes:
        rows: The volumes, ascending.
        error: Error of the curve.
        staying_error: Error if accuracy stays as at the largest volume seen.
        line_error: Error of a line in log n.
    """

    rows: list[CheckedVolume]
    error: float
    staying_error: float
    line_error: float


def predict(
    seen_volumes: np.ndarray,
    seen_accuracies: np.ndarray,
    full: float,
    drop: float,
    at: np.ndarray,
    resamples: int = 400,
    seed: int = 0,
) -> Prediction:
    """Predict the accuracy of runs from R runs with other volumes.

    Args:
        seen_volumes: (R,) images per class.
        seen_accuracies: (R,) accuracies, 0…1.
        full: The volume that a breakaway is measured from, images per class.
        drop: How far accuracy falls below that at `full` when it breaks away, 0…1.
        at: (K,) volumes to predict.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        UserError: There are fewer than three volumes or four runs, or a value is out of range.
    """
    volumes, accuracies = check_runs(seen_volumes, seen_accuracies)
    at, _ = check_runs(at, np.zeros(np.shape(at)))
    curve = fit_curve(volumes, accuracies)
    curves = bootstrap(volumes, accuracies, resamples, seed)
    rng = np.random.default_rng(seed + 1)  # independent of the bootstrap
    centres = np.stack([drawn.accuracy(at) for drawn in curves])
    freedom = len(volumes) - PARAMETERS
    scatter = curve.scatter * np.sqrt(freedom / rng.chisquare(freedom, (resamples, 1)))
    runs = centres + scatter * np.sqrt(variance(centres)) * rng.normal(size=centres.shape)
    low, high = np.clip(np.percentile(runs, INTERVAL, axis=0), 0.0, 1.0)
    slope, offset = np.polyfit(np.log(volumes), accuracies, 1)
    stays = accuracies[volumes == volumes.max()].mean()
    return Prediction(
        at,
        curve.accuracy(at),
        low,
        high,
        np.full(at.shape, stays),
        np.clip(offset + slope * np.log(at), 0.0, 1.0),
        breakaway(curve, drop, full),
        *breakaway_interval(curves, drop, full),
        curve,
        curves,
    )


def check_prediction(
    prediction: Prediction, volumes: np.ndarray, accuracies: np.ndarray
) -> PredictionCheck:
    """Compare a prediction with R runs.

    Args:
        prediction: The prediction.
        volumes: (R,) images per class.
        accuracies: (R,) accuracies, 0…1.

    Raises:
        UserError: A volume was not predicted.
    """
    volumes, accuracies = check_runs(volumes, accuracies)
    rows = []
    for volume in np.unique(volumes):
        found = np.flatnonzero(prediction.at == volume)
        if not found.size:
            raise UserError(
                f"No accuracy was predicted for {volume:g} images per class; predict it first."
            )
        k, runs = int(found[0]), accuracies[volumes == volume]
        low, high = float(prediction.low[k]), float(prediction.high[k])
        observed = float(runs.mean())
        rows.append(
            CheckedVolume(
                float(volume),
                observed,
                float(prediction.accuracy[k]),
                low,
                high,
                low <= observed <= high,
                len(runs),
                int(((low <= runs) & (runs <= high)).sum()),
                float(prediction.staying[k]),
                float(prediction.line[k]),
            )
        )

    def error(guesses: list[float]) -> float:
        observed = [row.observed for row in rows]
        return float(np.abs(np.subtract(guesses, observed)).mean())

    return PredictionCheck(
        rows,
        error([row.predicted for row in rows]),
        error([row.staying for row in rows]),
        error([row.line for row in rows]),
    )
