"""One-shot episodes and their figures, each against a slow version that counts one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from calibration import metrics
from calibration.episodes import LabelledEmbeddings, Scores, across, relative_margin, within
from calibration.metrics import expected_calibration_error


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b.T


def people(counts: dict[str, dict[str, int]], seed: int = 0) -> LabelledEmbeddings:
    """Unit vectors near one centre per label; {person: {label: pictures}}."""
    rows = [
        (s, label) for s, labels in counts.items() for label in labels for _ in range(labels[label])
    ]
    rng = np.random.default_rng(seed)
    centres = {label: rng.normal(size=4) for label in sorted({label for _, label in rows})}
    vectors = np.array([centres[label] + rng.normal(0, 0.8, 4) for _, label in rows])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = rng.permutation(len(rows))
    subjects, labels = np.array(rows).T
    return LabelledEmbeddings(vectors.astype(np.float32)[order], labels[order], subjects[order])


def rows_of(data: LabelledEmbeddings, vectors: np.ndarray) -> list[int]:
    places = {vector.tobytes(): i for i, vector in enumerate(data.embeddings)}
    return [places[vector.tobytes()] for vector in vectors]


def slow_score(queries, row: int, pool, references: list[int]) -> tuple:
    """best, margin, correct, known, five_way, cell of one query, spelt out."""
    own = queries.labels[row]
    scores = [float(queries.embeddings[row] @ pool.embeddings[r]) for r in references]
    labels = [str(pool.labels[r]) for r in references]
    ranked = sorted(scores, reverse=True)
    margin = 1 - (1 - ranked[0]) / (1 - ranked[1])
    known = own in labels
    five_way = math.nan
    if known and len(labels) >= 5:
        mine = scores[labels.index(own)]
        others = [s for s, label in zip(scores, labels, strict=True) if label != own]
        fours = list(itertools.combinations(others, 4))
        five_way = sum(mine > max(four) for four in fours) / len(fours)
    nearest = labels[scores.index(ranked[0])]
    return ranked[0], margin, nearest == own, known, five_way, f"{queries.subjects[row]}/{own}"


def check(got: Scores, calls, queries, pool, *, known: int | None, same_person: bool) -> None:
    expected = []
    for a, b in calls:
        asked, references = rows_of(queries, a), rows_of(pool, b)
        labels = [str(pool.labels[r]) for r in references]
        assert len(set(labels)) == len(labels) and len({pool.subjects[r] for r in references}) == 1
        assert len(labels) >= 2 and (known is None or len(labels) == known)
        asker, person = {queries.subjects[q] for q in asked}, pool.subjects[references[0]]
        assert len(asker) == 1 and (asker == {person}) == same_person
        mine = [i for i, s in enumerate(queries.subjects) if s in asker]
        theirs = {pool.labels[i] for i, s in enumerate(pool.subjects) if s == person}
        if same_person:
            assert set(asked) == set(mine) - set(references)
        else:
            assert set(asked) == {i for i in mine if queries.labels[i] in theirs}
        if known is None:
            assert set(labels) == theirs & {queries.labels[i] for i in mine}
        expected += [slow_score(queries, q, pool, references) for q in asked]
    columns = list(zip(*expected, strict=True))
    for name, column in zip(
        ("best", "margin", "five_way"), np.array(columns)[[0, 1, 4]], strict=True
    ):
        np.testing.assert_allclose(getattr(got, name), column.astype(float), atol=2e-5)
    for name, column in (("correct", columns[2]), ("known", columns[3]), ("cell", columns[5])):
        assert list(getattr(got, name)) == list(column)


SIX = dict.fromkeys("abcdef", 3)
THREE = {"ann": {**SIX, "g": 1}, "bea": SIX, "cy/d": {"b": 2, "c": 2, "z": 1}, "dan": {"a": 4}}


@pytest.mark.parametrize("known", [None, 2, 5])
def test_within_a_person(known: int | None) -> None:
    data, calls = people(THREE), []

    def spy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        calls.append((a, b))
        return cosine(a, b)

    got = within(data, spy, known=known, draws=4, seed=3)
    enough = [s for s, labels in THREE.items() if len(labels) > (known or 1)]
    assert len(calls) == 4 * len(enough) and {c.rsplit("/", 1)[0] for c in got.cell} == set(enough)
    check(got, calls, data, data, known=known, same_person=True)
    drawn = [tuple(rows_of(data, b)) for _, b in calls]
    assert len(set(drawn)) > len(enough)  # the draws differ
    assert got.known.all() == (known is None)


@pytest.mark.parametrize("known", [None, 2, 5])
def test_across_people(known: int | None) -> None:
    data, calls = people(THREE, seed=1), []

    def spy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        calls.append((a, b))
        return cosine(a, b)

    got = across(data, spy, known=known, draws=24)
    check(got, calls, data, data, known=known, same_person=False)
    assert len(got) == sum(len(a) for a, _ in calls) > 50
    calls.clear()
    pool = people({"eve": SIX, "dan": SIX}, seed=2)
    got = across(data, spy, references=pool, known=known, draws=24)
    check(got, calls, data, pool, known=known, same_person=False)
    assert len({tuple(rows_of(pool, b)) for _, b in calls}) > 6


def test_where_nobody_has_enough_there_is_nothing() -> None:
    for counts in (
        {"ann": {"a": 5}},
        {"ann": {"a": 1, "b": 1}},
        {"ann": {"a": 2}, "bea": {"b": 2}},
    ):
        got = within(people(counts), cosine)
        assert len(got) == 0 and got.known.dtype == bool
    assert len(within(people(THREE), cosine, known=7)) == 0
    assert len(across(people({"ann": SIX}), cosine)) == 0
    assert len(across(people({"ann": {"a": 2, "b": 2}, "bea": {"b": 2, "c": 2}}), cosine)) == 0
    none = LabelledEmbeddings(np.zeros((0, 4), np.float32), np.array([], str), np.array([], str))
    assert len(within(none, cosine)) == len(across(none, cosine)) == 0


def test_the_margin_is_a_ratio_of_distances() -> None:
    def margin(best: float, runner_up: float) -> float:
        return float(relative_margin(np.array(best), np.array(runner_up)))

    assert margin(0.9, 0.8) == pytest.approx(0.5)
    assert margin(0.9, 0.9) == 0.0
    assert margin(1.0, -1.0) == pytest.approx(1.0, abs=1e-6)
    # The same picture under two names is a tie, whatever rounding makes of its cosine.
    for a, b in ((1.0, 1.0), (1.0000001, 1.0), (1.0, 0.9999999), (1.0000002, 1.0000001)):
        assert 0 <= relative_margin(np.float32(a), np.float32(b)) < 0.2
    best = np.linspace(-1, 1, 101)
    margins = relative_margin(best[:, None], np.minimum(best, best[:, None]))
    assert margins.min() >= 0 and margins.max() <= 1


def made_up(seed: int, count: int = 80, steps: int = 12) -> Scores:
    """Random scores on a coarse grid: a third of them share a value with another."""
    rng = np.random.default_rng(seed)
    known = rng.random(count) < 0.6
    best = np.round(rng.normal(0.5 + 0.2 * known, 0.2) * steps) / steps
    five_way = np.where(known & (rng.random(count) < 0.9), rng.random(count), np.nan)
    correct = known & (rng.random(count) < 0.8)
    cell = np.array([f"s{i % 5}/{i % 3}" for i in range(count)])
    return Scores(best, rng.random(count), correct, known, five_way, cell)


@pytest.mark.parametrize("seed", range(8))
def test_figures_against_counting_one_by_one(seed: int) -> None:
    scores = made_up(seed)
    known = [i for i in range(len(scores)) if scores.known[i]]
    unknown = [i for i in range(len(scores)) if not scores.known[i]]
    accuracy = sum(scores.correct[i] for i in known) / len(known)
    assert metrics.accuracy(scores).value == pytest.approx(accuracy)
    chances = [scores.five_way[i] for i in known if not math.isnan(scores.five_way[i])]
    five_way = metrics.five_way_accuracy(scores)
    assert five_way is not None and five_way.value == pytest.approx(np.mean(chances))
    wins = [
        1.0 if scores.best[k] > scores.best[u] else 0.5 if scores.best[k] == scores.best[u] else 0.0
        for k in known
        for u in unknown
    ]
    assert metrics.auroc(scores).value == pytest.approx(np.mean(wins))
    for far in (0.01, 0.05, 0.125, 0.3, 1.0):
        most = 0.0
        for threshold in [*scores.best, math.inf]:
            false = sum(scores.best[u] >= threshold for u in unknown)
            right = sum(scores.best[k] >= threshold and scores.correct[k] for k in known)
            if false <= far * len(unknown):
                most = max(most, right / len(known))
        assert metrics.correct_accepts(scores, far).value == pytest.approx(most), far
    for figure in (metrics.accuracy(scores), metrics.auroc(scores), five_way):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1 and figure.low < figure.high


def test_the_order_of_equal_scores_does_not_matter() -> None:
    half = np.array([True, False] * 20)
    for flip in (half, ~half):
        same = np.ones(40)
        scores = Scores(same, same, flip, flip, same, np.array(["a/b"] * 40))
        assert metrics.auroc(scores).value == 0.5
        assert metrics.correct_accepts(scores, 0.5).value == 0.0
        assert metrics.correct_accepts(scores, 1.0).value == 1.0


def test_a_tie_is_no_win_among_five() -> None:
    labels = np.array(list("aabcde"))
    same = LabelledEmbeddings(np.ones((6, 1), np.float32), labels, np.array(["p"] * 6))
    assert set(within(same, cosine).five_way) == {0.0}


def test_no_five_labels_no_five_way() -> None:
    assert (
        metrics.five_way_accuracy(within(people({"a": dict.fromkeys("wxyz", 2)}), cosine)) is None
    )


def test_the_interval_counts_groups_not_pictures() -> None:
    right = np.repeat([True, False], 500)  # two signs: one always right, one never
    ones = np.ones(1000)
    cells = np.repeat(["p/a", "p/b"], 500)
    figure = metrics.accuracy(Scores(ones, ones, right, ones.astype(bool), ones, cells))
    assert (figure.value, figure.low, figure.high) == (0.5, 0.0, 1.0)
    assert str(figure) == "50.0 % (0.0–100.0)"
    alone = np.array([f"p/{i}" for i in range(1000)])
    figure = metrics.accuracy(Scores(ones, ones, right, ones.astype(bool), ones, alone))
    sigma = math.sqrt(0.25 / 1000)
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * sigma, rel=0.25)


def test_calibration_error_bin_by_bin() -> None:
    rng = np.random.default_rng(4)
    p = np.concatenate([rng.random(500), [0.0, 0.1, 0.3, 1.0, 1.0]])
    right, w = (rng.random(505) < 0.9).astype(float), rng.random(505)
    total = 0.0
    for k in range(10):
        inside = [i for i in range(505) if min(int(p[i] * 10), 9) == k]
        weight = sum(w[i] for i in inside)
        said, was = (sum(w[i] * x[i] for i in inside) / weight for x in (p, right))
        total += weight * abs(said - was)
    assert expected_calibration_error(p, right, w) == pytest.approx(total / sum(w))
