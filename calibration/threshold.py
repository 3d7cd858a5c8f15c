"""Calibration: turns a similarity into "known or unknown" and into a probability. Pure numpy.

It is fitted on episodes with GALLERY_SIZE recorded gestures. A false accept is a gesture that was
never recorded and is taken for one of these.
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
from calibration.logistic import fit_logistic, predict_logistic
from calibration.metrics import expected_calibration_error
from engines.bundles import join
from engines.errors import UserError, short_reason
from engines.files import explain_errors, write_file

GALLERY_SIZE = 10
FARS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # false-accept rates to step through
SURE = 0.5  # least share of right matches at the margin that is still accepted


@dataclass(frozen=True)
class Calibration:
    """When a match is accepted, and how probable it is.

    Attributes:
        threshold: least score of a match that is accepted.
        min_margin: least margin of a match that is accepted, see `relative_margin`.
        far: share of never-recorded gestures that are accepted; None where it isn't known, without
            a fit.
        curve_far: ascending false-accept rates; empty without a fit.
        curve_threshold: the threshold at each of these.
        weights: of the logistic regression: score, margin, bias.
        fingerprint: of the encoder whose scores were fitted.
        fitted_on: what it was fitted on, for people.
        report: what it does on the scores that it was fitted on, see `evaluate`.
        detector: what found the hands, as --detector names it, for people; "" where it isn't known.
        version: of the file's format.
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
    detector: str = ""
    version: int = 1

    def at(self, far: float) -> Calibration:
        """The calibration at another false-accept rate. Raises UserError outside its range."""
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

    def step(self, steps: int) -> Calibration:
        """The calibration at the next rate of FARS: looser for steps > 0, else stricter.

        At the end of the range, or without a curve, it is the same.
        """
        if self.far is None:
            return self
        looser = [f for f in FARS if f > self.far * 1.001 and f <= self.curve_far[-1]]
        stricter = [f for f in FARS if f < self.far * 0.999 and f >= self.curve_far[0]]
        chosen = looser[:1] if steps > 0 else stricter[-1:]
        return self.at(chosen[0]) if chosen else self

    def accepts(self, score: float, margin: float) -> bool:
        """Whether a match counts as known."""
        return score >= self.threshold and margin >= self.min_margin

    def probability(self, score: float, margin: float) -> float:
        """Probability that the nearest reference is right, if half of all gestures are recorded."""
        by_score, by_margin, bias = self.weights
        logit = by_score * score + by_margin * margin + bias
        return 1 / (1 + math.exp(-min(max(logit, -60.0), 60.0)))


def default_calibration(similarity: str, fingerprint: str) -> Calibration:
    """The default for an encoder without a calibration: threshold 0.75, which is a guess."""
    slope, threshold = 20.0, 0.75
    return Calibration(
        threshold=threshold,
        min_margin=0.02,
        far=None,
        curve_far=(),
        curve_threshold=(),
        weights=(slope, 0.0, -slope * threshold),
        fingerprint=fingerprint,
        fitted_on=f"nothing (default for {similarity})",
    )


def fit_left_out(
    by_set: Mapping[str, Scores | None], far: float, fingerprint: str, scorer: str, draws: int
) -> Calibration:
    """Fit an encoder on sets whose scores come from encoders of its kind, trained without the set.

    Args:
        by_set: scores by set; None where a set shows too little.
        far: see `fit`.
        fingerprint: of the encoder to be calibrated.
        scorer: what the other encoders are called, for people.
        draws: see `fit`.

    Raises:
        UserError: if no set has scores, or as `fit` does.
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
    """Fit a calibration to the scores of open-set episodes with GALLERY_SIZE recorded gestures.

    The least margin is where the nearest reference is right in half of all cases. Thresholds are
    quantiles of the scores of unknown queries that pass the margin. The probability is a logistic
    regression on score and margin, with recorded and unrecorded gestures of equal weight (Platt
    1999).

    Args:
        scores: of the episodes.
        far: the false-accept rate, 0…1.
        fingerprint: of the encoder.
        fitted_on: a description of the scores, for people.
        draws: how often each picture was scored.

    Raises:
        UserError: if there are too few pictures for a calibration, or for this rate.
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
    # Where the margin alone rejects enough unknown queries, every score is accepted.
    curve = [max(_upper_quantile(passing[unknown], f), scores.best.min()) for f in curve_far]
    right = (known & scores.correct).astype(float)
    balance = np.where(known, 0.5 / known.sum(), 0.5 / unknown.sum())
    weights = fit_logistic(_features(scores.best, scores.margin), right, balance)
    calibration = Calibration(
        threshold=0.0,
        min_margin=min_margin,
        far=far,
        curve_far=tuple(float(f) for f in curve_far),
        curve_threshold=tuple(float(t) for t in curve),
        weights=(float(weights[0]), float(weights[1]), float(weights[2])),
        fingerprint=fingerprint,
        fitted_on=fitted_on,
    ).at(far)
    return dataclasses.replace(calibration, report=evaluate(calibration, scores))


def evaluate(calibration: Calibration, scores: Scores) -> dict[str, float]:
    """Measure a calibration on the scores of open-set episodes.

    Returns:
        "correct_accepts" of the known queries, "false_accepts" of the unknown ones, and the
        expected calibration error, with both of equal weight, of the similarity taken as a
        probability ("ece_before") and of the calibrated probability ("ece_after").
    """
    known = scores.known
    accepted = scores.best >= calibration.threshold
    accepted &= scores.margin >= calibration.min_margin
    right = (known & scores.correct).astype(float)
    balance = np.where(known, 0.5 / known.sum(), 0.5 / (~known).sum())
    features = _features(scores.best, scores.margin)
    probability = predict_logistic(features, np.array(calibration.weights))
    naive = np.clip(scores.best, 0, 1)
    return {
        "correct_accepts": float((accepted & scores.correct)[known].mean()),
        "false_accepts": float(accepted[~known].mean()),
        "ece_before": expected_calibration_error(naive, right, balance),
        "ece_after": expected_calibration_error(probability, right, balance),
    }


def _upper_quantile(scores: np.ndarray, far: float) -> float:
    """The lowest threshold that at most `far` of the scores reach; −∞ if they are all −∞ there."""
    limit = np.sort(scores)[::-1][int(far * len(scores))]
    return float(np.nextafter(limit, np.inf)) if np.isfinite(limit) else -np.inf


def _margin_where_sure(margin: np.ndarray, correct: np.ndarray) -> float:
    """The margin at which a share SURE of the matches is right, by logistic regression."""
    features = np.column_stack([margin, np.ones(len(margin))])
    slope, bias = fit_logistic(
        features, correct.astype(float), np.full(len(margin), 1 / len(margin))
    )
    if slope <= 0:
        return 0.0
    return float(np.clip((np.log(SURE / (1 - SURE)) - bias) / slope, 0.0, 1.0))


def _features(score: np.ndarray, margin: np.ndarray) -> np.ndarray:
    return np.column_stack([score, margin, np.ones(len(score))])


def calibration_path(encoder: Path) -> Path:
    """Where an encoder's calibration is: default.onnx → default.calibration.json."""
    return encoder.with_suffix(".calibration.json")


def save(calibration: Calibration, path: Path) -> None:
    """Write a calibration, whole or not at all. Raises UserError where it can't be written."""
    with explain_errors(f"The calibration can't be written to {path}"):
        write_file(path, json.dumps(dataclasses.asdict(calibration), indent=2) + "\n")


def load(path: Path, fingerprint: str) -> Calibration:
    """Read a calibration. Raises UserError for a damaged file, or one of another encoder."""
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
