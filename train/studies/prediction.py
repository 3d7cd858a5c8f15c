"""What the small runs alone foretell of the large ones, and whether it came true.

A curve is fitted to the runs of small volumes (train/studies/learning_curve.py). A foretold run
lies where a curve of the bootstrap says, plus the scatter of one run about its curve, known only
as well as the few runs allow (scatter² · freedom / χ², as in Student's t): its 95 % prediction
interval holds both. Beside it stand two guesses that cost nothing: the accuracy of the largest
volume seen stays, and a straight line through accuracy against log n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import UserError
from train.studies.learning_curve import (
    MIDDLE,
    PARAMETERS,
    LearningCurve,
    band,
    bootstrap,
    breakaway,
    breakaway_interval,
    checked,
    fit_curve,
    variance,
)


@dataclass(frozen=True)
class Prediction:
    """For volumes at (K,), images per class: accuracy (K,) foretold, low and high (K,) for a single
    run, and what staying and a line in log n say, (K,) each. threshold: images per class below
    which accuracy is to break away, and its interval. curve, curves: the fit and its bootstrap."""

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
        """(low, high) of the curve itself, without the scatter of a run."""
        return band(self.curves, n)


@dataclass(frozen=True)
class Checked:
    """A volume that was foretold. observed: its runs' mean accuracy; inside: whether that lies in
    low…high; runs, runs_inside: how many there were, and how many of them do."""

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
class Check:
    """The volumes, ascending, and each guess's mean absolute error over them, in 0…1."""

    rows: list[Checked]
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
    """From R runs, volumes (R,) and accuracies (R,) in 0…1, what runs at volumes `at` (K,) will
    reach, and below which volume accuracy falls more than `drop` under that at `full`.

    Raises UserError for fewer than three volumes or four runs, or what is no volume or accuracy.
    """
    volumes, accuracies = checked(seen_volumes, seen_accuracies)
    at, _ = checked(at, np.zeros(np.shape(at)))
    curve = fit_curve(volumes, accuracies)
    curves = bootstrap(volumes, accuracies, resamples, seed)
    rng = np.random.default_rng(seed + 1)  # not what the bootstrap drew
    centres = np.stack([drawn.accuracy(at) for drawn in curves])
    freedom = len(volumes) - PARAMETERS
    scatter = curve.scatter * np.sqrt(freedom / rng.chisquare(freedom, (resamples, 1)))
    runs = centres + scatter * np.sqrt(variance(centres)) * rng.normal(size=centres.shape)
    low, high = np.clip(np.percentile(runs, MIDDLE, axis=0), 0.0, 1.0)
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


def check(prediction: Prediction, volumes: np.ndarray, accuracies: np.ndarray) -> Check:
    """Against R runs, volumes (R,) and accuracies (R,). Raises UserError for a volume that wasn't
    foretold."""
    volumes, accuracies = checked(volumes, accuracies)
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
            Checked(
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

    return Check(
        rows,
        error([row.predicted for row in rows]),
        error([row.staying for row in rows]),
        error([row.line for row in rows]),
    )
