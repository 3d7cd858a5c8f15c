"""The nearest recorded gesture, or unknown."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest

from calibration.threshold import default_calibration
from engines.spec import EncoderSpec
from realtime.recognition.match import Matcher
from realtime.types import Match

SPEC = EncoderSpec("test-1", ("crop",), 6)
DEFAULT = default_calibration("cosine", "f")
RIGHT = ["right"] * 40  # sides that don't count here


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def slow_match(labels: tuple[str, ...], references: np.ndarray, query: np.ndarray) -> Match:
    best: dict[str, float] = {}
    for label, reference in zip(labels, references, strict=True):
        alike = sum(float(p) * float(q) for p, q in zip(query, reference, strict=True))
        best[label] = max(best.get(label, -2.0), alike)
    ranked = sorted(best, key=lambda label: -best[label])
    score = best[ranked[0]]
    runner_up = ranked[1] if len(ranked) > 1 else None
    margin = 1 - (1 - score) / (1 - best[runner_up]) if runner_up is not None else 1.0
    known = score >= DEFAULT.threshold and margin >= DEFAULT.min_margin
    probability = 1 / (1 + np.exp(-20 * (score - 0.75)))
    return Match(ranked[0] if known else None, ranked[0], score, probability, runner_up, margin)


def same(got: Match, expected: Match) -> None:
    numbers = ("score", "probability", "margin")
    for name in numbers:
        assert getattr(got, name) == pytest.approx(getattr(expected, name), abs=1e-5)
        assert type(getattr(got, name)) is float
    zeros: dict[str, Any] = dict.fromkeys(numbers, 0.0)
    assert dataclasses.replace(got, **zeros) == dataclasses.replace(expected, **zeros)


@pytest.mark.parametrize("seed", range(5))
def test_against_one_reference_after_the_other(seed: int) -> None:
    labels = ("c", "a", "b", "a", "c", "c", "d", "a", "B", "ä")
    references, queries = unit(len(labels), seed), unit(40, seed + 100)
    queries[:10] = 0.3 * queries[:10] + references  # some that lie near
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    matches = Matcher(SPEC, labels, references, DEFAULT).match(queries, RIGHT)
    assert len(matches) == 40 and len({m.label for m in matches}) > 3
    for got, query in zip(matches, queries, strict=True):
        same(got, slow_match(labels, references, query))


def test_another_reference_of_the_same_gesture_is_no_rival() -> None:
    near = unit(1, 0).repeat(3, axis=0)
    references = np.concatenate([near, unit(1, 1)])
    (match,) = Matcher(SPEC, ("a", "a", "a", "b"), references, DEFAULT).match(near[:1], RIGHT)
    assert (match.label, match.runner_up) == ("a", "b") and match.margin > 0.9


def test_with_no_gesture_everything_is_unknown() -> None:
    matcher = Matcher(SPEC, (), np.zeros((0, 6), np.float32), DEFAULT)
    assert matcher.match(unit(2, 0), RIGHT) == [Match(None, None, 0.0, 0.0, None, 0.0)] * 2
    assert matcher.match(unit(0, 0), []) == []


def test_with_one_gesture_only_the_score_decides() -> None:
    matcher = Matcher(SPEC, ("only",), unit(1, 0), DEFAULT)
    hit, miss = matcher.match(np.stack([unit(1, 0)[0], -unit(1, 0)[0]]), RIGHT)
    assert (hit.label, hit.nearest, hit.runner_up, hit.margin) == ("only", "only", None, 1.0)
    assert (miss.label, miss.nearest, miss.runner_up, miss.margin) == (None, "only", None, 1.0)
    assert miss.probability < 1e-9 and matcher.match(unit(0, 0), []) == []


def test_the_same_picture_under_two_names_is_not_decided() -> None:
    references = unit(1, 3).repeat(2, axis=0)
    (match,) = Matcher(SPEC, ("b", "a"), references, DEFAULT).match(references[:1], RIGHT)
    assert (
        match.label is None
        and match.margin == 0
        and {match.nearest, match.runner_up}
        == {
            "a",
            "b",
        }
    )


def test_score_and_margin_must_both_be_there() -> None:
    references = np.eye(2, 6, dtype=np.float32)
    query = np.array([[0.8, 0.6, 0, 0, 0, 0]], np.float32)  # margin 1 − 0.2/0.4 = 0.5
    for threshold, margin, label in ((0.8, 0.49, "a"), (0.81, 0.49, None), (0.79, 0.51, None)):
        calibration = dataclasses.replace(DEFAULT, threshold=threshold - 1e-6, min_margin=margin)
        (match,) = Matcher(SPEC, ("a", "b"), references, calibration).match(query, RIGHT)
        assert match.label == label and match.nearest == "a" and match.runner_up == "b"
        assert (match.score, match.margin) == pytest.approx((0.8, 0.5), abs=1e-5)


def test_another_operating_point_takes_effect_at_once() -> None:
    matcher = Matcher(SPEC, ("a",), unit(1, 0), DEFAULT)
    matcher.calibration = dataclasses.replace(DEFAULT, threshold=1.1)
    assert matcher.match(unit(1, 0), RIGHT)[0].label is None


ODD = (
    "a",
    "a\0",
    "a ",
    "A",
    "",
    "\0",
    "é",
    "e\u0301",
    "👍🏽",
    "👍",
    "x" * 500,
    "سلام",
    "line\nbreak",
)


def test_labels_stay_what_they_are() -> None:
    references = np.linalg.qr(np.random.default_rng(0).normal(size=(len(ODD), len(ODD))))[0]
    references = references.astype(np.float32)
    spec = dataclasses.replace(SPEC, dim=len(ODD))
    matches = Matcher(spec, ODD, references, DEFAULT).match(references, RIGHT)
    assert [m.label for m in matches] == list(ODD)
    assert all(m.runner_up != m.label for m in matches)
    assert [m.score for m in matches] == pytest.approx([1.0] * len(ODD), abs=1e-5)


def test_a_learned_distance_decides_as_the_spec_says() -> None:
    spec = EncoderSpec(
        "siamese", ("crop",), 2, "weighted_l1", similarity_weights=(-1.0, -50.0), similarity_bias=4
    )
    references = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    (match,) = Matcher(spec, ("a", "b"), references, DEFAULT).match(
        np.array([[1.0, 0.1]], np.float32),
        RIGHT,  # nearer to b by the plain distance, to a by weight
    )
    assert match.nearest == "a" and match.score == pytest.approx(1 / (1 + np.exp(2)), rel=1e-4)


def test_an_encoder_gone_wrong_recognises_nothing() -> None:
    broken = np.full((1, 6), np.nan, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (match,) = Matcher(SPEC, ("a", "b"), unit(2, 0), DEFAULT).match(broken, RIGHT)
    assert match.label is None


def test_references_of_the_other_side_do_not_count_where_sides_are_told_apart() -> None:
    references = np.eye(3, 6, dtype=np.float32)
    matcher = Matcher(SPEC, ("a", "b", "a"), references, DEFAULT, ("left", "right", "right"))
    query = np.array([[0.9, 0.3, 0.3, 0, 0, 0]], np.float32).repeat(2, axis=0)
    left, right = matcher.match(query, ["left", "right"])
    assert (left.label, left.runner_up, left.margin) == ("a", None, 1.0)
    assert left.score == pytest.approx(0.9) and right.score == pytest.approx(0.3)
    assert right.label is None and {right.nearest, right.runner_up} == {"a", "b"}
    lonely = Matcher(SPEC, ("a",), references[:1], DEFAULT, ("left",))
    assert lonely.match(references[:1], ["right"]) == [Match(None, None, 0.0, 0.0, None, 0.0)]


FIVE = dataclasses.replace(DEFAULT, threshold=0.7, threshold_five=0.8, min_margin=0.0)


@pytest.mark.parametrize("views", [1, 2, 3, 5, 8])
def test_a_gesture_with_more_views_must_be_nearer(views: int) -> None:
    """Only the views of the nearest gesture count, and they count however it was recorded."""
    references = np.concatenate([np.eye(1, 6).repeat(views, axis=0), unit(9, 1)], dtype=np.float32)
    references[views:, :2] = 0.0  # nothing of "b" is near
    matcher = Matcher(SPEC, ("a",) * views + ("b",) * 9, references, FIVE)
    needed = 0.7 + 0.1 * np.log(min(views, 5)) / np.log(5)
    for score in (needed - 0.001, needed + 0.001):
        query = np.zeros((1, 6), np.float32)
        query[0, :2] = score, np.sqrt(1 - score**2)
        (match,) = matcher.match(query, RIGHT)
        assert match.nearest == "a" and match.label == ("a" if score > needed else None)
        expected = 1 / (1 + np.exp(-20 * (score - needed + 0.7 - 0.75)))
        assert match.probability == pytest.approx(expected, abs=1e-4)


def test_only_views_for_the_hand_that_is_shown_are_counted() -> None:
    labels, sides = ("a",) * 7, ("left", *["right"] * 5, "left")
    references = np.eye(1, 6, dtype=np.float32).repeat(7, axis=0)
    matcher = Matcher(SPEC, labels, references, FIVE, sides)
    two = 0.7 + 0.1 * np.log(2) / np.log(5)
    for score, left in ((two + 0.001, "a"), (two - 0.001, None), (0.801, "a")):
        query = np.array([[score, np.sqrt(1 - score**2), 0, 0, 0, 0]], np.float32)
        matches = matcher.match(query.repeat(2, axis=0), ["left", "right"])
        assert [m.label for m in matches] == [left, "a" if score > 0.8 else None]


def test_a_view_and_its_twin_count_as_one_where_either_hand_may_show_it() -> None:
    references = np.eye(1, 6, dtype=np.float32).repeat(2, axis=0)
    matcher = Matcher(SPEC, ("a", "a"), references, FIVE, ("right", "left"), apart=False)
    for score, label in ((0.701, "a"), (0.699, None)):  # the threshold of one view
        query = np.array([[score, np.sqrt(1 - score**2), 0, 0, 0, 0]], np.float32)
        assert [m.label for m in matcher.match(query, RIGHT)] == [label]
