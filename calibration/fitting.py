"""Fits a calibration to the scores of open-set episodes. Pure numpy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.episodes import UNSOUND, LabelledEmbeddings, Scores, Similarity, across, within
from calibration.finite import check_finite
from calibration.logistic import fit_logistic, predict_logistic
from calibration.metrics import expected_calibration_error
from calibration.threshold import FARS, GALLERY_SIZE, MANY, Calibration
from engines.bundles import join
from engines.errors import UserError

FEWEST = 100  # pictures of recorded, and of unrecorded gestures
FALSE_ACCEPTS = 5  # that a rate must be shown by, at least
SURE = 0.5  # least share of right matches at the margin that is still accepted
WITHIN, ACROSS = "within each person", "across people"  # the kinds of episodes

Kinds = Mapping[str, Scores]  # all kinds weigh the same, however many scores each has


@dataclass(frozen=True)
class OpenSet:
    """Scores of open-set episodes with GALLERY_SIZE recorded gestures, by their kind.

    Attributes:
        one: with one picture of each gesture.
        five: with MANY pictures of each, from the same people where they have as many.
    """

    one: Kinds
    five: Kinds = dataclasses.field(default_factory=dict)


def open_set(
    data: LabelledEmbeddings,
    similarity: Similarity,
    draws: int,
    kinds: Sequence[str] = (WITHIN, ACROSS),
) -> OpenSet:
    """Score one set's pictures; kinds of episodes that it has too little for are missing.

    The MANY pictures of a gesture are views of one showing where pictures have times, else
    independent.
    """

    def scores(shots: int, views: int) -> Kinds:
        scored = {
            name: episodes(
                data, similarity, known=GALLERY_SIZE, draws=draws, shots=shots, views=views
            )
            for name, episodes in ((WITHIN, within), (ACROSS, across))
            if name in kinds
        }
        return {name: each for name, each in scored.items() if each.known.any()}

    return OpenSet(scores(1, 1), scores(MANY, 1) if data.times is None else scores(1, MANY))


def join_sets(sets: Sequence[OpenSet]) -> OpenSet:
    """The scores of one or more sets as one."""

    def join_kinds(parts: Sequence[Kinds]) -> Kinds:
        there = [kind for kind in (WITHIN, ACROSS) if any(kind in part for part in parts)]
        return {kind: join([part[kind] for part in parts if kind in part]) for kind in there}

    return OpenSet(join_kinds([s.one for s in sets]), join_kinds([s.five for s in sets]))


def fit_left_out(
    by_set: Mapping[str, OpenSet | None], far: float, fingerprint: str, scorer: str, draws: int
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
    sets, each = ", ".join(usable), f"each scored by {scorer} trained without it"
    return fit(join_sets(list(usable.values())), far, fingerprint, (sets, each), draws)


def fit(
    scores: OpenSet,
    far: float,
    fingerprint: str,
    fitted_on: tuple[str, str],
    draws: int = 1,
) -> Calibration:
    """Fit a calibration to the scores of open-set episodes with GALLERY_SIZE recorded gestures.

    The least margin is where the nearest reference is right in half of all cases. Thresholds are
    quantiles of the scores of unknown queries that pass the margin. The probability is a logistic
    regression on score and margin, with recorded and unrecorded gestures of equal weight (Platt
    1999). The threshold for MANY pictures lies as far above the one for one picture as it does
    among those (person, gesture) groups that have both; without enough of them they are equal.

    Args:
        scores: of the episodes.
        far: the false-accept rate, 0…1.
        fingerprint: of the encoder.
        fitted_on: what was scored and how, for people: put before and after the kinds of episodes.
        draws: how often each picture was scored in episodes of one kind.

    Raises:
        UserError: if there are too few pictures for a calibration, or for this rate.
    """
    recorded, unrecorded = _pictures(scores.one, draws)
    needs = []
    if recorded < FEWEST or unrecorded < FEWEST:
        needs.append(
            f"A calibration needs at least {FEWEST} pictures of recorded and of unrecorded "
            f"gestures; got {recorded} and {unrecorded}."
        )
    if far * unrecorded < FALSE_ACCEPTS:
        needs.append(
            f"{unrecorded} pictures of unrecorded gestures can't show a false-accept rate of "
            f"{far:g}: at least {math.ceil(FALSE_ACCEPTS / far)} are needed."
        )
    if needs:
        raise UserError(
            f"{' '.join(needs)} Use more people with more than {GALLERY_SIZE} gestures of several "
            f"pictures each{'' if recorded < FEWEST else ', or a larger --far'}."
        )
    pooled, weight = pool(scores.one)
    known = pooled.known
    min_margin = _margin_where_sure(pooled.margin[known], pooled.correct[known], weight[known])
    smallest = max(FARS[0], FALSE_ACCEPTS / unrecorded)
    curve_far = np.unique([smallest, *[f for f in FARS if f > smallest], far])
    curve = [_threshold(pooled, weight, min_margin, f) for f in curve_far]
    right = (known & pooled.correct).astype(float)
    features = _features(pooled.best, pooled.margin)
    weights = fit_logistic(features, right, _balance(known, weight))
    five = _enough(scores.five, far, draws)
    rises = (
        _threshold_rises(scores.one, five, min_margin, curve_far, draws) if five else 0 * curve_far
    )
    before, after = fitted_on
    calibration = Calibration(
        threshold=0.0,
        threshold_five=0.0,
        min_margin=min_margin,
        far=far,
        curve_far=tuple(float(f) for f in curve_far),
        curve_threshold=tuple(float(t) for t in curve),
        curve_threshold_five=tuple(np.minimum.accumulate(np.array(curve) + rises).tolist()),
        weights=(float(weights[0]), float(weights[1]), float(weights[2])),
        fingerprint=fingerprint,
        fitted_on=", ".join(filter(None, [before, _say_kinds(scores.one, bool(five)), after])),
    ).at(far)
    curves = (calibration.curve_threshold, calibration.curve_threshold_five)
    numbers = np.concatenate([*curves, weights, [min_margin]])
    check_finite(numbers, "The fitted calibration", UNSOUND)
    report = evaluate(calibration, scores.one)
    if five:
        with_five = evaluate(calibration, five, MANY)
        report |= {f"{name}_five": value for name, value in with_five.items()}
    return dataclasses.replace(calibration, report=report)


def evaluate(calibration: Calibration, scores: Kinds, pictures: int = 1) -> dict[str, float]:
    """Measure a calibration on the scores of open-set episodes, all kinds of equal weight.

    Args:
        calibration: the calibration.
        scores: of the episodes.
        pictures: how many there were of each gesture.

    Returns:
        "correct_accepts" of the known queries, "false_accepts" of the unknown ones, and the
        expected calibration error, with both of equal weight, of the similarity taken as a
        probability ("ece_before") and of the calibrated probability ("ece_after").
    """
    pooled, weight = pool(scores)
    known, balance = pooled.known, _balance(pooled.known, weight)
    passed = accept_each(calibration, pooled, pictures)
    right = (known & pooled.correct).astype(float)
    features = _features(pooled.best - calibration.threshold_rise(pictures), pooled.margin)
    probability = predict_logistic(features, np.array(calibration.weights))
    naive = np.clip(pooled.best, 0, 1)
    correct = passed & pooled.correct
    return {
        "correct_accepts": float(np.average(correct[known], weights=weight[known])),
        "false_accepts": float(np.average(passed[~known], weights=weight[~known])),
        "ece_before": expected_calibration_error(naive, right, balance),
        "ece_after": expected_calibration_error(probability, right, balance),
    }


def _pictures(scores: Kinds, draws: int) -> tuple[int, int]:
    """How many pictures of recorded and of unrecorded gestures are behind the scores, at least.

    Kinds of episodes may score the same pictures, so the largest counts.
    """
    counts = [(each.known.sum() // draws, (~each.known).sum() // draws) for each in scores.values()]
    known, unknown = zip(*counts, strict=True) if counts else ((0,), (0,))
    return int(max(known)), int(max(unknown))


def pool(scores: Kinds) -> tuple[Scores, np.ndarray]:
    """All scores, and weights (Q,) by which each kind counts as much as the largest."""
    weights = [np.zeros(len(each)) for each in scores.values()]
    for state in (True, False):
        counts = [int((each.known == state).sum()) for each in scores.values()]
        for each, weight, count in zip(scores.values(), weights, counts, strict=True):
            weight[each.known == state] = max(counts) / max(count, 1)
    return join(list(scores.values())), np.concatenate(weights)


def _balance(known: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights with recorded and unrecorded gestures of equal weight."""
    return weight * np.where(known, 0.5 / weight[known].sum(), 0.5 / weight[~known].sum())


def accept_each(calibration: Calibration, scores: Scores, pictures: int) -> np.ndarray:
    """Which matches count as known, with so many pictures of each gesture: bool (Q,)."""
    threshold = calibration.threshold + calibration.threshold_rise(pictures)
    return (scores.best >= threshold) & (scores.margin >= calibration.min_margin)


def _enough(five: Kinds, far: float, draws: int) -> Kinds:
    """The scores with MANY pictures; none where they are too few for this rate."""
    recorded, unrecorded = _pictures(five, draws)
    enough = min(recorded, unrecorded) >= FEWEST and far * unrecorded >= FALSE_ACCEPTS
    return five if enough else {}


def _threshold_rises(
    one: Kinds, five: Kinds, min_margin: float, curve_far: np.ndarray, draws: int
) -> np.ndarray:
    """How much higher the threshold is with MANY pictures, at each rate."""
    same = {kind: one[kind].take(np.isin(one[kind].cell, five[kind].cell)) for kind in five}
    least = FALSE_ACCEPTS / _pictures(five, draws)[1]
    few, many = (
        np.array([_threshold(*pool(each), min_margin, max(f, least)) for f in curve_far])
        for each in (same, five)
    )
    return np.maximum(many - few, 0.0)


def _threshold(scores: Scores, weight: np.ndarray, min_margin: float, far: float) -> float:
    """The lowest threshold that at most `far` of the unknown queries pass."""
    passing = np.where(scores.margin >= min_margin, scores.best, -np.inf)
    quantile = _upper_quantile(passing[~scores.known], weight[~scores.known], far)
    # Where the margin alone rejects enough unknown queries, every score is accepted.
    return max(quantile, float(scores.best.min()))


def _upper_quantile(scores: np.ndarray, weight: np.ndarray, far: float) -> float:
    """The lowest threshold that at most `far` of the weight reaches; −∞ if it is all −∞ there."""
    order = np.argsort(-scores, kind="stable")
    total = np.cumsum(weight[order])
    limit = scores[order][np.searchsorted(total, far * total[-1] * (1 + 1e-12), side="right")]
    return float(np.nextafter(limit, np.inf)) if np.isfinite(limit) else -np.inf


def _margin_where_sure(margin: np.ndarray, correct: np.ndarray, weight: np.ndarray) -> float:
    """The margin at which a share SURE of the matches is right, by logistic regression."""
    features = np.column_stack([margin, np.ones(len(margin))])
    slope, bias = fit_logistic(features, correct.astype(float), weight / weight.sum())
    if slope <= 0:
        return 0.0
    return float(np.clip((np.log(SURE / (1 - SURE)) - bias) / slope, 0.0, 1.0))


def _features(score: np.ndarray, margin: np.ndarray) -> np.ndarray:
    return np.column_stack([score, margin, np.ones(len(score))])


def _say_kinds(scores: Kinds, five: bool) -> str:
    kinds = " and ".join(scores) + (", of equal weight" if len(scores) > 1 else "")
    return f"{kinds}, with one and with {MANY} pictures of a gesture" if five else kinds
