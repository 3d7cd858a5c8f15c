"""Leaving each set out in turn: which sets, what is reported, and the calibration from it all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

from calibration.carry_over import POOLED, Trial, carry_over
from calibration.episodes import LabelledEmbeddings
from calibration.fitting import OpenSet, open_set
from calibration.threshold import MANY
from engines.encoder import open_encoder
from engines.errors import UserError
from tests.train.encoder.training import SMALL, make_quick, names_of, write_drawn, write_prepared
from train.evaluation import OUTSIDE
from train.evaluation.cross_validate import DRAWS, ENCODERS, calibration_of, cross_validate
from train.evaluation.folds import Fold, plan_folds
from train.pictures.prepared import load_prepared

# "two" has one picture of each label, and shares its labels' meaning with "one".
SETS = {"one": (2, 5, 3), "two": (1, 5, 1), "three": (2, 4, 3)}  # people, labels, pictures of each


def plan(tmp_path: Path, recipe=SMALL, **sets: tuple[int, int, int]) -> list[Fold]:
    names = [row for name, counts in sets.items() for row in names_of(name, *counts)]
    return plan_folds(load_prepared([write_prepared(tmp_path / "x.npz", names)]), recipe)


def left_out(found: list[Fold]) -> dict[str, tuple[str | None, list[str]]]:
    return {fold.test: (fold.references, fold.without) for fold in found}


def test_references_are_left_out_with_the_set_they_are_for(tmp_path: Path) -> None:
    found = plan(tmp_path, **SETS)
    assert left_out(found) == {"one": ("two", ["one", "two"]), "three": (None, ["three"])}


@pytest.mark.parametrize(
    "name", ["report.md", "Report.MD", "report.json", "outside-the-recipe", "..", "a/b"]
)
def test_a_set_named_like_a_result_is_told_before_the_work(tmp_path: Path, name: str) -> None:
    names = names_of("one", 2, 3, 2) + names_of(name, 2, 3, 2)
    path = write_prepared(tmp_path / "x.npz", names)
    with pytest.raises(UserError, match=r"The set '.*' can't be cross-validated: .*Rename"):
        cross_validate("small", SMALL, [path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sets_of_one_alphabet_are_left_out_one_by_one(tmp_path: Path) -> None:
    found = plan(tmp_path, one=(2, 3, 2), two=(2, 3, 2), three=(2, 3, 2))
    assert left_out(found) == {name: (None, [name]) for name in ("one", "three", "two")}


def test_sets_that_show_one_gesture_are_not_tested_on(tmp_path: Path) -> None:
    found = plan(tmp_path, one=(2, 3, 2), two=(2, 1, 2), three=(2, 3, 2))
    assert left_out(found) == {"one": (None, ["one"]), "three": (None, ["three"])}


def test_a_set_is_kept_where_nobody_else_is_left_to_learn_from(tmp_path: Path) -> None:
    assert left_out(plan(tmp_path, one=(3, 3, 2))) == {}
    assert left_out(plan(tmp_path, one=(2, 3, 2), three=(1, 3, 2))) == {"three": (None, ["three"])}
    free = dataclasses.replace(SMALL, only=("three",))
    found = plan(tmp_path, free, one=(2, 3, 2), three=(2, 3, 2))
    assert left_out(found) == {"one": (None, ["one"])}


def test_sets_outside_the_recipe_share_a_training_and_calibrate_nothing(tmp_path: Path) -> None:
    some = dataclasses.replace(SMALL, only=("three", "four"))
    found = plan(tmp_path, some, **SETS, four=(2, 3, 2), five=(2, 3, 2))
    assert {fold.test: (fold.run, fold.own) for fold in found} == {
        "four": ("four", True),
        "three": ("three", True),
        "five": (OUTSIDE, False),
        "one": (OUTSIDE, False),
    }
    assert [fold.without for fold in found if not fold.own] == [["five", "one", "two"]] * 2


def fold_of(name: str, people: int, each: int, seed: int = 0) -> Fold:
    """A fold with scores of people who show twenty gestures so often each."""
    rng = np.random.default_rng(seed)
    gestures = rng.normal(0.0, 1.0, (20, 8))
    rows = [(p, label) for p in range(people) for label in range(20) for _ in range(each)]
    values = np.stack([gestures[label] for _, label in rows]) + rng.normal(0, 0.4, (len(rows), 8))
    data = LabelledEmbeddings(
        values / np.linalg.norm(values, axis=1, keepdims=True),
        np.array([f"gesture {label}" for _, label in rows]),
        np.array([f"{name}/{person}" for person, _ in rows]),
    )
    return Fold(name, None, [name], name, scores=open_set(data, lambda a, b: a @ b.T, DRAWS))


def tried(done: list[Fold]) -> dict[str, Trial]:
    by_set = {fold.test: fold.scores for fold in done}
    return carry_over(by_set, list(by_set), 0.01, DRAWS)


def test_all_left_out_sets_calibrate_together() -> None:
    done = [
        fold_of("one", 4, 15),
        Fold("two", None, ["two"], "two"),
        fold_of("three", 4, 15, seed=1),
    ]
    fitted = calibration_of(done, 0.01, "mark")
    assert (fitted.far, fitted.fingerprint) == (0.01, "mark")
    assert fitted.fitted_on.startswith("one, three, within each person")
    assert fitted.report["false_accepts"] == pytest.approx(0.01, abs=0.005)
    alone = calibration_of(done[:1], 0.01, "mark")
    assert alone.fitted_on.startswith("one, within") and "across people" in alone.fitted_on
    assert alone.threshold != fitted.threshold


def test_each_set_is_tried_with_what_the_others_fit() -> None:
    done = [
        fold_of("one", 4, 15),
        fold_of("three", 4, 15, seed=1),
        Fold("two", None, ["two"], "two"),
    ]
    trials = tried(done)
    assert list(trials) == ["one", "three", POOLED]
    for name in ("one", "three"):
        rates = trials[name].rates
        assert 0 <= rates["false_accepts"] < 0.1 < rates["correct_accepts"] <= 1
        assert trials[name].false_accepts[1].value == pytest.approx(rates["false_accepts"])
    for pictures in (1, MANY):
        figures = [trial.false_accepts[pictures] for trial in trials.values()]
        assert all(0 <= f.low <= f.value <= f.high < 0.1 for f in figures)
        mean = np.mean([figure.value for figure in figures[:2]])
        assert figures[2].value == pytest.approx(mean) and trials[POOLED].rates == {}
    assert tried(done[:1]) == {}


def test_too_few_scores_calibrate_nothing() -> None:
    nothing = [Fold("one", None, ["one"], "one"), Fold("two", None, ["two"], "two")]
    with pytest.raises(UserError, match="No set shows people with more than ten gestures"):
        calibration_of(nothing, 0.01, "mark")
    few = [fold_of("one", 1, 3), fold_of("two", 1, 3, seed=1)]
    assert isinstance(few[0].scores, OpenSet) and len(few[0].scores.one) > 0
    with pytest.raises(UserError, match="A calibration needs at least 100 pictures"):
        calibration_of(few, 0.01, "mark")
    assert tried(few) == {}  # a report can do without
    both = [fold_of("one", 4, 15), *few[1:]]
    assert list(tried(both)) == ["two"]


@pytest.mark.slow
def test_a_report_of_three_small_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    make_quick(monkeypatch)
    path = write_drawn(tmp_path / "drawn.npz", SETS)
    recipe = dataclasses.replace(SMALL, epochs=2)
    done = cross_validate("small", recipe, [path], tmp_path / "out")
    assert left_out(done) == {"one": ("two", ["one", "two"]), "three": (None, ["three"])}
    assert all(fold.scores is None for fold in done)  # nobody shows eleven gestures

    open_set = (
        "AUROC, 2 recorded",
        "correct accepts at 1% false, 2 recorded",
        "correct accepts at 5% false, 2 recorded",
    )
    all_labels, five_way = "one-shot accuracy, all labels", "one-shot accuracy, 5-way"
    expected = {
        "one": [
            f"{mode}: {row}"
            for mode in ("within a person", "across people", "references from two")
            for row in (all_labels, five_way, *open_set)
        ],
        "three": [
            f"{mode}: {row}"
            for mode in ("within a person", "across people")
            for row in (all_labels, *open_set)
        ],
    }
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert {name: list(rows) for name, rows in report.items()} == expected
    for rows in report.values():
        for by_encoder in rows.values():
            assert list(by_encoder) == [*ENCODERS]
            assert all(0 <= low <= value <= high <= 1 for value, low, high in by_encoder.values())
    text = (tmp_path / "out/report.md").read_text()
    assert "### one (not trained on: one, two)" in text
    assert "### three (not trained on: three)" in text
    assert "| | landmark baseline | frozen backbone | trained without this set |" in text
    for row in (row for rows in expected.values() for row in rows):
        assert f"\n| {row} | " in text
    assert "Calibration" not in text
    said = capsys.readouterr().err
    assert said.splitlines() == ["Without one, two:", "Without three:"]

    # What each was trained on, and the encoder that a person of the left-out set would have got.
    trained_on = {"one": ["three"], "three": ["one", "two"]}
    for name, sets in trained_on.items():
        folder = tmp_path / "out" / name
        settings = json.loads((folder / "run.json").read_text())
        assert sorted({"one", "two", "three"} - set(settings["without"])) == sets
        assert open_encoder(str(folder / "encoder.onnx")).spec.name == f"without-{name}"
        assert not (folder / "encoder.calibration.json").exists()
