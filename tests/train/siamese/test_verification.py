"""Same or different? Thresholds, curves and rates against slow counting."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("sklearn", reason="training needs requirements-train.txt")

from tests.train.siamese.tasks import Brightness
from train.siamese.episodes import share
from train.siamese.pairs import Pairs
from train.siamese.verification import (
    DECISIONS,
    best_threshold,
    eer,
    extremes,
    score_pairs,
    verify,
)


def test_pairs_are_scored_one_by_one() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 2, 2), np.uint8)
    first, second = rng.integers(40, size=(2, 600))
    found = score_pairs(Brightness(), images, Pairs(first, second, first == second))
    flat = images.reshape(40, 4)[:, :2].astype(int)
    expected = [-abs(flat[a] - flat[b]).sum() for a, b in zip(first, second, strict=True)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)


SCORES = st.lists(st.tuples(st.integers(-12, 12), st.booleans()), min_size=1, max_size=40)


def columns(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    """float32 scores of few values, so that there are ties; bool."""
    scores, same = zip(*rows, strict=True)
    return np.array(scores, np.float32) / 4, np.array(same)


def right_at(scores: np.ndarray, same: np.ndarray, threshold: float) -> int:
    return sum((s > threshold) == bool(t) for s, t in zip(scores.tolist(), same, strict=True))


@settings(deadline=None)
@given(SCORES)
def test_no_threshold_is_better_than_the_best(rows: list[tuple[int, bool]]) -> None:
    scores, same = columns(rows)
    found = best_threshold(scores, same)
    every = [right_at(scores, same, step / 8) for step in range(-33, 34)]
    assert right_at(scores, same, found) == max(every)


def slow_rates(scores: np.ndarray, same: np.ndarray, threshold: float) -> tuple[float, float]:
    """False accepts and false rejects where scores from the threshold on are accepted."""
    accepts = [bool(s >= threshold) for s, t in zip(scores, same, strict=True) if not t]
    rejects = [bool(s < threshold) for s, t in zip(scores, same, strict=True) if t]
    return sum(accepts) / len(accepts), sum(rejects) / len(rejects)


def slow_eer(scores: np.ndarray, same: np.ndarray) -> float:
    """By halving the way between the two neighbours in the ROC where the errors cross."""
    thresholds = [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    points = [slow_rates(scores, same, threshold) for threshold in thresholds]
    for (accept, reject), (more, less) in itertools.pairwise(points):
        if more >= less:
            low, high = 0.0, 1.0
            for _ in range(60):
                part = (low + high) / 2
                before = accept + part * (more - accept) < reject + part * (less - reject)
                low, high = (part, high) if before else (low, part)
            return accept + high * (more - accept)
    raise AssertionError("the last point accepts everything")


def both_kinds(rows: list[tuple[int, bool]]) -> bool:
    return len({same for _, same in rows}) == 2


@settings(deadline=None)
@given(SCORES.filter(both_kinds), st.integers(-13, 13))
def test_figures_are_those_of_slow_counting(rows: list[tuple[int, bool]], step: int) -> None:
    scores, same = columns(rows)
    threshold = step / 4  # often a score itself, which is then called different
    found = verify(scores, same, threshold)
    assert found.accuracy == share(right_at(scores, same, threshold), len(rows))
    assert found.threshold == threshold
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[same] for b in scores[~same]]
    assert found.auc == pytest.approx(sum(wins) / len(wins), abs=1e-9)
    assert found.eer == pytest.approx(slow_eer(scores, same), abs=1e-9)
    points = [slow_rates(scores, same, t) for t in (math.inf, *np.unique(scores))]
    for accept, hit in zip(found.fpr, found.tpr, strict=True):
        assert any(
            accept == pytest.approx(fpr) and hit == pytest.approx(1 - miss) for fpr, miss in points
        )
    assert (found.fpr[0], found.tpr[0], found.fpr[-1], found.tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(found.fpr) >= 0).all() and (np.diff(found.tpr) >= 0).all()
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(found.auc, abs=1e-9)


def test_the_equal_error_rate_of_known_curves() -> None:
    assert eer(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])) == 0.0
    assert eer(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(0.5)
    assert eer(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])) == 1.0
    assert eer(np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.8, 1.0])) == pytest.approx(0.2)


@settings(deadline=None)
@given(SCORES, st.integers(0, 6))
def test_extremes_are_the_surest_of_each_kind(rows: list[tuple[int, bool]], count: int) -> None:
    scores, same = columns(rows)
    threshold = 0.25
    found = extremes(scores, same, threshold, count)
    assert tuple(found) == DECISIONS
    kinds = {
        (True, True): DECISIONS[0],
        (False, False): DECISIONS[1],
        (True, False): DECISIONS[2],
        (False, True): DECISIONS[3],
    }
    for said, kind in kinds.items():
        rows_of = [
            i for i in range(len(rows)) if (bool(scores[i] > threshold), bool(same[i])) == said
        ]
        surest = sorted(rows_of, key=lambda i: -abs(float(scores[i]) - threshold))[:count]
        assert found[kind].tolist() == surest
