"""What a fit makes of several pictures of a gesture, and of several kinds of episodes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration import fitting
from calibration.episodes import LabelledEmbeddings, Scores
from calibration.fitting import ACROSS, WITHIN, Kinds, OpenSet, evaluate, join_sets, open_set
from calibration.metrics import expected_calibration_error
from calibration.threshold import Calibration, load, save


def scores(
    count: int, seed: int, higher: float = 0.0, cells: str = "a", margin: float = 0.5
) -> Scores:
    """So many recorded and unrecorded, normal with σ = 0.1: right ones around 0.8, others 0.5."""
    rng = np.random.default_rng(seed)
    known = np.arange(2 * count) < count
    best = rng.normal(np.where(known, 0.8, 0.5) + higher, 0.1)
    margins = np.full(2 * count, margin)
    cell = np.array([f"p/{cells[i % len(cells)]}" for i in range(2 * count)])
    return Scores(best, margins, known, known, np.full(2 * count, np.nan), cell)


def fit(one: Kinds, five: Kinds | None = None, far: float = 0.01, draws: int = 1) -> Calibration:
    return fitting.fit(OpenSet(one, five or {}), far, "f", ("made-up scores", ""), draws)


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit({WITHIN: scores(30_000, 0)}, {WITHIN: scores(30_000, 1, higher=0.04)})


def share(calibration: Calibration, some: Scores, pictures: int) -> float:
    rows = zip(some.best[~some.known], some.margin[~some.known], strict=True)
    return float(np.mean([calibration.accepts(s, m, pictures) for s, m in rows]))


@pytest.mark.parametrize("far", [0.001, 0.01, 0.05])
def test_five_pictures_let_in_as_many_as_one(fitted: Calibration, far: float) -> None:
    at, error = fitted.at(far), np.sqrt(2 * far * (1 - far) / 30_000)
    fresh, raised = scores(30_000, 2), scores(30_000, 3, higher=0.04)
    assert abs(share(at, fresh, 1) - far) < 4 * error
    assert abs(share(at, raised, 5) - far) < 4 * error
    assert share(at, raised, 1) > far + 4 * error, "one threshold for both lets more in"


def test_between_one_and_five_it_follows_the_logarithm(fitted: Calibration) -> None:
    low, high = fitted.threshold, fitted.threshold_five
    assert high - low == pytest.approx(0.04, abs=0.01)
    for pictures, part in ((1, 0), (2, 0.4307), (3, 0.6826), (4, 0.8614), (5, 1), (6, 1), (99, 1)):
        threshold = low + part * (high - low)
        assert fitted.accepts(threshold + 1e-5, 0.5, pictures)
        assert not fitted.accepts(threshold - 1e-5, 0.5, pictures)
        assert not fitted.accepts(threshold + 1, fitted.min_margin - 1e-9, pictures)
        same = fitted.probability(threshold, 0.5, pictures)
        assert same == pytest.approx(fitted.probability(low, 0.5), abs=1e-4)


def test_other_rates_move_both(fitted: Calibration) -> None:
    for i, far in enumerate(fitted.curve_far):
        both = (fitted.curve_threshold[i], fitted.curve_threshold_five[i])
        assert (fitted.at(far).threshold, fitted.at(far).threshold_five) == both
    assert fitted.step(1).threshold_five == fitted.at(0.02).threshold_five < fitted.threshold_five
    assert fitted.step(-1).threshold_five == fitted.at(0.005).threshold_five


def test_a_probability_is_how_often_it_is_right_with_five_pictures_too(fitted: Calibration) -> None:
    fresh = scores(20_000, 4, higher=0.04)
    errors = {}
    for pictures in (1, 5):
        rows = zip(fresh.best, fresh.margin, strict=True)
        p = np.array([fitted.probability(s, m, pictures) for s, m in rows])
        errors[pictures] = expected_calibration_error(p, fresh.correct, np.ones(len(fresh)))
    assert errors[5] < 0.01 < 2 * errors[5] < errors[1]
    told = evaluate(fitted, {WITHIN: fresh}, 5)
    assert told["ece_after"] == pytest.approx(errors[5])
    assert told["false_accepts"] == pytest.approx(share(fitted, fresh, 5))


def test_the_report_says_it_of_five_pictures_too(fitted: Calibration) -> None:
    five = evaluate(fitted, {WITHIN: scores(30_000, 1, higher=0.04)}, 5)
    assert {name: fitted.report[f"{name}_five"] for name in five} == five
    assert fitted.report["false_accepts_five"] == pytest.approx(0.01, abs=1e-4)
    assert fitted.fitted_on.endswith("with one and with 5 pictures of a gesture")
    alone = fit({WITHIN: scores(3000, 0)})
    assert not any("five" in name for name in alone.report)
    assert alone.fitted_on == "made-up scores, within each person"


def test_it_rises_as_among_those_who_have_five() -> None:
    """Easier gestures that lack five pictures don't lift the threshold of the others."""
    easy, hard = scores(30_000, 5, higher=-0.3, cells="xyz"), scores(30_000, 6, cells="abc")
    one = fitting.join([easy, hard])
    fitted = fit({WITHIN: one}, {WITHIN: scores(30_000, 7, higher=0.04, cells="abc")})
    assert fitted.threshold_five - fitted.threshold == pytest.approx(0.04, abs=0.01)
    # Nor do fewer strangers that get in lower it.
    fewer = fit({WITHIN: hard}, {WITHIN: scores(30_000, 8, higher=-0.1, cells="abc")})
    assert fewer.curve_threshold_five == fewer.curve_threshold


def test_too_few_with_five_pictures_raise_nothing() -> None:
    one = {WITHIN: scores(3000, 0)}
    for five, far, draws in ((99, 0.1, 1), (499, 0.01, 1), (990, 0.1, 10)):
        fitted = fit(one, {WITHIN: scores(five, 1, higher=0.04)}, far, draws)
        assert fitted.curve_threshold_five == fitted.curve_threshold, five
        assert "pictures of a gesture" not in fitted.fitted_on
    few = fit(one, {WITHIN: scores(600, 1, higher=0.04)})
    rises = np.array(few.curve_threshold_five) - few.curve_threshold
    assert few.curve_far[0] < 5 / 600 and (rises > 0).all()
    rates = np.array(few.curve_far)
    assert len(set(np.round(rises[rates <= 5 / 600], 12))) == 1, "rarer strangers weren't seen"


def test_kinds_of_episodes_weigh_the_same() -> None:
    far = 0.05
    within, across = scores(9000, 0), scores(1500, 1, higher=-0.1)
    both = {WITHIN: within, ACROSS: across}
    fitted = fit(both, far=far)
    rates = [share(fitted, each, 1) for each in both.values()]
    assert np.mean(rates) == pytest.approx(far, abs=1e-3) and rates[0] > 2 * rates[1]
    assert fitted.report["false_accepts"] == pytest.approx(np.mean(rates))
    assert "within each person and across people, of equal weight" in fitted.fitted_on
    more = fit({**both, ACROSS: fitting.join([across] * 4)}, far=far)
    assert more.curve_threshold == pytest.approx(fitted.curve_threshold, abs=2e-3)
    assert more.weights == pytest.approx(fitted.weights, rel=1e-4)
    assert more.min_margin == fitted.min_margin


def test_the_same_pictures_in_two_kinds_of_episodes_are_no_new_evidence() -> None:
    kinds = {WITHIN: scores(90, 0), ACROSS: scores(80, 1)}
    with pytest.raises(fitting.UserError, match="at least 100 .* got 90 and 90"):
        fit(kinds, far=0.1)


def test_a_first_version_knows_one_threshold(fitted: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    save(fitted, path)
    fields = json.loads(path.read_text("utf-8"))
    assert load(path, "f") == fitted and fields["version"] == 2
    old = {k: v for k, v in fields.items() if k not in ("threshold_five", "curve_threshold_five")}
    path.write_text(json.dumps({**old, "version": 1}), "utf-8")
    read = load(path, "f")
    assert (read.threshold, read.curve_threshold) == (fitted.threshold, fitted.curve_threshold)
    assert (read.threshold_five, read.curve_threshold_five) == (
        fitted.threshold,
        fitted.curve_threshold,
    )
    assert read.accepts(fitted.threshold, 0.5, 5) and read.probability(
        0.7, 0.5, 5
    ) == read.probability(0.7, 0.5)
    path.write_text(json.dumps({**old, "version": 2}), "utf-8")
    with pytest.raises(fitting.UserError, match="can't be read"):
        load(path, "f")


def people(count: int, labels: int, each: int, times: bool = False) -> LabelledEmbeddings:
    rng = np.random.default_rng(0)
    rows = [(p, n, i) for p in range(count) for n in range(labels) for i in range(each)]
    vectors = rng.normal(size=(len(rows), 8)) + np.eye(labels, 8)[[n for _, n, _ in rows]]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return LabelledEmbeddings(
        vectors,
        np.array([f"g{n}" for _, n, _ in rows]),
        np.array([f"p{p}" for p, _, _ in rows]),
        np.array([1e3 * (p * labels + n) + 0.4 * i for p, n, i in rows]) if times else None,
    )


def test_a_set_is_scored_as_far_as_it_goes() -> None:
    def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b.T

    def kinds(data: LabelledEmbeddings) -> tuple[list[str], list[str]]:
        scored = open_set(data, cosine, 2)
        return list(scored.one), list(scored.five)

    assert kinds(people(2, 12, 6)) == ([WITHIN, ACROSS], [WITHIN, ACROSS])
    assert kinds(people(2, 12, 5)) == ([WITHIN, ACROSS], [ACROSS]), "nothing is left to ask"
    assert kinds(people(1, 12, 6)) == ([WITHIN], [WITHIN])
    assert kinds(people(2, 12, 1)) == ([ACROSS], [])
    assert kinds(people(3, 10, 9)) == ([], [])
    # Five views of a recording of 2.4 seconds: nothing is five seconds away in it.
    assert kinds(people(2, 12, 7, times=True)) == ([ACROSS], [ACROSS])
    assert kinds(people(2, 12, 30, times=True)) == ([WITHIN, ACROSS], [WITHIN, ACROSS])
    first, second = open_set(people(1, 12, 6), cosine, 2), open_set(people(2, 12, 5), cosine, 2)
    both = join_sets([first, second])
    assert list(both.one) == list(both.five) == [WITHIN, ACROSS]
    assert len(both.one[WITHIN]) == len(first.one[WITHIN]) + len(second.one[WITHIN])
    assert len(both.one[ACROSS]) == len(second.one[ACROSS])
