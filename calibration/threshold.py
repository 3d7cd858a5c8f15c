"""Calibration: from a similarity to "known or unknown" and to a probability. Pure numpy.

Fitted on episodes with ten recorded gestures. A false accept is a gesture that was never
recorded, taken for any of the ten.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.episodes import Scores
from calibration.metrics import expected_calibration_error
from engines.bundles import join
from engines.errors import UserError, short_reason
from engines.files import explain_errors, write_file

GALLERY_SIZE = 10
FARS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # what + and − step through
SURE = 0.5  # a runner-up is too near where the nearest is right less often than this


@dataclass(frozen=True)
class Calibration:
    """Accept a match where score ≥ threshold and margin ≥ min_margin.

    far: share of never-recorded gestures accepted there, None where it isn't known (no fit);
    curve_far, curve_threshold: the whole trade-off; weights: logistic (score, margin, bias);
    fingerprint: of the encoder whose scores were fitted; fitted_on: a description for people.
    """

    threshold: float
    min_margin: float
    far: float | None
    curve_far: tuple[float, ...]
    curve_threshold: tuple[float, ...]
    weights: tuple[float, float, float]
    fingerprint: str
    fitted_on: str
    report: dict[str, float] = dataclasses.field(default_factory=dict)
    version: int = 1

    def at(self, far: float) -> Calibration:
        """The same at another false-accept rate. Raises UserError outside the fitted range."""
        if not self.curve_far:
            raise UserError(
                "This encoder has no calibration, so --far can't be kept. Fit one with: "
                "python run.py calibrate DIR --encoder ENCODER"
            )
        if not self.curve_far[0] <= far <= self.curve_far[-1]:
            raise UserError(
                f"--far lies between {self.curve_far[0]:.2g} and {self.curve_far[-1]:.2g} for this "
                f"calibration; got {far:g}."
            )
        threshold = np.interp(np.log(far), np.log(self.curve_far), self.curve_threshold)
        return dataclasses.replace(self, threshold=float(threshold), far=far)

    def stepped(self, steps: int) -> Calibration:
        """The next looser (+) or stricter (−) of FARS; itself at the end, or without a curve."""
        if self.far is None:
            return self
        looser = [f for f in FARS if f > self.far * 1.001 and f <= self.curve_far[-1]]
        stricter = [f for f in FARS if f < self.far * 0.999 and f >= self.curve_far[0]]
        chosen = looser[:1] if steps > 0 else stricter[-1:]
        return self.at(chosen[0]) if chosen else self

    def accepts(self, score: float, margin: float) -> bool:
        return score >= self.threshold and margin >= self.min_margin

    def probability(self, score: float, margin: float) -> float:
        """0…1: how often such a nearest reference is right, when half of all gestures shown are
        recorded ones."""
        by_score, by_margin, bias = self.weights
        logit = by_score * score + by_margin * margin + bias
        return 1 / (1 + math.exp(-min(max(logit, -60.0), 60.0)))


def uncalibrated(similarity: str, fingerprint: str) -> Calibration:
    """The stated default for an encoder without a calibration: 0.75, an honest guess."""
    slope, threshold = 20.0, 0.75
    return Calibration(
        threshold, 0.02, None, (), (), (slope, 0.0, -slope * threshold), fingerprint,
        f"nothing (default for {similarity})",
    )  # fmt: skip


def fit_left_out(
    by_set: Mapping[str, Scores | None], far: float, fingerprint: str, scorer: str, draws: int
) -> Calibration:
    """`fit` of an encoder on sets that each another one like it, trained without it, scored.

    by_set: None where a set can't show enough; scorer: those others, as people call them.
    """
    usable = {name: scores for name, scores in by_set.items() if scores is not None}
    if not usable:
        raise UserError(
            "No set shows people with more than ten gestures, several pictures each: there is "
            "nothing to calibrate on."
        )
    what = f"{', '.join(usable)}, within each person, each scored by {scorer} trained without it"
    return fit(join(list(usable.values())), far, fingerprint, what, draws)


def fit(
    scores: Scores, far: float, fingerprint: str, fitted_on: str, draws: int = 1
) -> Calibration:
    """Open-set episode scores (GALLERY_SIZE recorded) → Calibration at `far`.

    The margin is where the nearest reference is right every other time; thresholds are
    quantiles of the unknown queries' scores among those that pass the margin; the probability is
    a logistic regression on score and margin with recorded and unrecorded gestures weighted
    alike (Platt 1999). draws: how often each picture was
    scored. Raises UserError where the scores can't carry it.
    """
    known, unknown = scores.known, ~scores.known
    recorded, unrecorded = known.sum() // draws, unknown.sum() // draws
    if recorded < 100 or unrecorded < 100:
        raise UserError(
            f"A calibration needs at least 100 pictures of recorded and of unrecorded gestures; "
            f"got {recorded} and {unrecorded}. Use people with more than {GALLERY_SIZE} "
            "gestures of several pictures each."
        )
    if far * unrecorded < 5:
        raise UserError(
            f"{unrecorded} pictures of unrecorded gestures can't show a false-accept rate of "
            f"{far:g}: at least {int(np.ceil(5 / far))} are needed. Use more pictures, or a "
            "larger --far."
        )
    min_margin = _margin_where_sure(scores.margin[known], scores.correct[known])
    passing = np.where(scores.margin >= min_margin, scores.best, -np.inf)
    smallest = max(FARS[0], 5 / unrecorded)
    curve_far = np.unique([smallest, *[f for f in FARS if f > smallest], far])
    # Where the margin alone keeps enough of them out, any score will do.
    curve = [max(_upper_quantile(passing[unknown], f), scores.best.min()) for f in curve_far]
    right = (known & scores.correct).astype(float)
    balance = np.where(known, 0.5 / known.sum(), 0.5 / unknown.sum())
    weights = _logistic(_features(scores.best, scores.margin), right, balance)
    calibration = Calibration(
        threshold=0.0, min_margin=min_margin, far=far,
        curve_far=tuple(float(f) for f in curve_far),
        curve_threshold=tuple(float(t) for t in curve),
        weights=(float(weights[0]), float(weights[1]), float(weights[2])),
        fingerprint=fingerprint, fitted_on=fitted_on,
    ).at(far)  # fmt: skip
    return dataclasses.replace(calibration, report=evaluate(calibration, scores))


def evaluate(calibration: Calibration, scores: Scores) -> dict[str, float]:
    """What a calibration does on scores: the rates of correct and false accepts, and the expected
    calibration error of the raw similarity and of its probability, where recorded and unrecorded
    gestures weigh alike."""
    known = scores.known
    accepted = scores.best >= calibration.threshold
    accepted &= scores.margin >= calibration.min_margin
    right = (known & scores.correct).astype(float)
    balance = np.where(known, 0.5 / known.sum(), 0.5 / (~known).sum())
    probability = _probability(np.array(calibration.weights), scores.best, scores.margin)
    naive = np.clip(scores.best, 0, 1)
    return {
        "correct_accepts": float((accepted & scores.correct)[known].mean()),
        "false_accepts": float(accepted[~known].mean()),
        "ece_before": expected_calibration_error(naive, right, balance),
        "ece_after": expected_calibration_error(probability, right, balance),
    }


def _upper_quantile(scores: np.ndarray, far: float) -> float:
    """The lowest threshold that at most `far` of the scores reach; −∞ where that is all."""
    limit = np.sort(scores)[::-1][int(far * len(scores))]
    return float(np.nextafter(limit, np.inf)) if np.isfinite(limit) else -np.inf


def _margin_where_sure(margin: np.ndarray, correct: np.ndarray) -> float:
    features = np.column_stack([margin, np.ones(len(margin))])
    slope, bias = _logistic(features, correct.astype(float), np.full(len(margin), 1 / len(margin)))
    if slope <= 0:
        return 0.0
    return float(np.clip((np.log(SURE / (1 - SURE)) - bias) / slope, 0.0, 1.0))


def _features(score: np.ndarray, margin: np.ndarray) -> np.ndarray:
    return np.column_stack([score, margin, np.ones(len(score))])


def _probability(weights: np.ndarray, score: np.ndarray, margin: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(_features(score, margin) @ weights, -60, 60)))


def _logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted logistic regression by Newton's method with a whiff of ridge: (N, K) → (K,)."""
    w = np.zeros(x.shape[1])
    ridge = 1e-6 * np.eye(len(w))
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -60, 60)))
        step = np.linalg.solve(
            (x * (weight * p * (1 - p))[:, None]).T @ x + ridge,
            x.T @ (weight * (p - y)) + ridge @ w,
        )
        w -= np.clip(step, -10, 10)
        if np.abs(step).max() < 1e-8:
            break
    return w


def calibration_path(encoder: Path) -> Path:
    """models/default.onnx → models/default.calibration.json."""
    return encoder.with_suffix(".calibration.json")


def save(calibration: Calibration, path: Path) -> None:
    """Write it whole or not at all. Raises UserError where it can't be written."""
    with explain_errors(f"The calibration can't be written to {path}"):
        write_file(path, json.dumps(dataclasses.asdict(calibration), indent=2) + "\n")


def load(path: Path, fingerprint: str) -> Calibration:
    """Raises UserError for a damaged file, or one fitted for another encoder."""
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
        }
        if values.get("version") != 1:
            raise ValueError(f"version {values.get('version')}; this program reads version 1")
        calibration = Calibration(**values)
        numbers = (calibration.threshold, calibration.min_margin, *calibration.weights)
        curve = (calibration.curve_far, calibration.curve_threshold)
        if not np.isfinite(np.array([*numbers, *np.ravel(curve)], float)).all():
            raise ValueError("a number is missing")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"The calibration {path} can't be read ({short_reason(error)}). Fit it again with: "
            "python run.py calibrate DIR --encoder ENCODER"
        ) from None
    if calibration.fingerprint != fingerprint:
        raise UserError(
            f"The calibration {path} was fitted for another encoder. Fit it again with: "
            "python run.py calibrate DIR --encoder ENCODER"
        )
    return calibration
