"""Siamese runs: what they leave, that a killed one ends as one that wasn't, and what they learn."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("pytorch_metric_learning", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from tests.train.encoder.training import equal, weights_of
from tests.train.siamese.tasks import COSINE, SMALL, grating_task
from train.encoder.checkpoint import load_checkpoint
from train.siamese import runs, training
from train.siamese.batches import Task
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import train
from train.siamese.training import SiameseTraining
from train.siamese.verification import best_threshold, score_pairs

SGD = dataclasses.replace(SMALL, optimizer="sgd", learning_rate=1e-2)
LEFT = {"run.json", "log.csv", "curves.png", "network.pt", "result.json"}


class Killed(BaseException):
    """As sudden as a signal, within this process."""


@pytest.fixture(scope="module")
def task() -> Task:
    return grating_task()


@pytest.fixture(scope="module")
def whole(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    return train(SMALL, task, tmp_path_factory.mktemp("runs") / "whole").folder


class Steps(list):
    """(epoch, step) of each batch that is trained on; dies at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, last: tuple[int, int] | None = None) -> None:
        super().__init__()
        step = SiameseTraining.training_step

        def training_step(module: Any, batch: Any, batch_idx: int) -> Any:
            if (module.current_epoch, batch_idx) == last:
                raise Killed
            self.append((module.current_epoch, batch_idx))
            return step(module, batch, batch_idx)

        patch.setattr(SiameseTraining, "training_step", training_step)


def scored(patch: pytest.MonkeyPatch, *scores: float) -> None:
    """Validations say so, one after the other."""
    coming = iter(scores)
    patch.setattr(training, "score_of", lambda _: next(coming))


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def without_times(folder: Path) -> dict[str, Any]:
    found = result(folder)
    for row in (found["figures"], *found["log"]):
        assert row.pop("seconds") > 0
    return found


# -- what a run leaves --


def test_a_run_leaves_its_files(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == LEFT
    found = result(whole)
    with (whole / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == found["log"]
    assert [row["epoch"] for row in found["log"]] == [1.0, 2.0]
    assert set(found["log"][0]) == {
        "epoch",
        "loss",
        "verification",
        "AUC",
        "EER",
        "validation loss",
        "one-shot",
        "seconds",
    }
    assert (whole / "curves.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((whole / "run.json").read_text())
    assert written.pop("data") and written == json.loads(json.dumps(dataclasses.asdict(SMALL)))
    _, about = load_checkpoint(whole / "network.pt")
    assert about["figures"] == found["figures"] and about["steps"] == 3


@pytest.mark.parametrize("recipe", [SMALL, COSINE], ids=["weighted_l1", "cosine"])
def test_the_threshold_is_that_of_the_network_on_disk(
    recipe: SiameseRecipe, tmp_path: Path
) -> None:
    task = grating_task(network=recipe.model.network)
    run = train(recipe, task, tmp_path)
    pairs = task.validation_pairs
    scores = score_pairs(run.network, task.validation.images, pairs)
    assert run.threshold == pytest.approx(best_threshold(scores, pairs.same), abs=1e-6)
    assert not run.network.training and not run.network.mixed_precision


def test_a_finished_run_is_read_back(task: Task, whole: Path, monkeypatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    monkeypatch.setattr(runs, "fit", None)
    run = train(SMALL, task, whole)
    found = result(whole)
    assert (run.figures, run.log, run.threshold) == tuple(
        found[name] for name in ("figures", "log", "threshold")
    )
    assert equal(run.network.state_dict(), weights_of(whole / "network.pt"))
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def other_picture(task: Task) -> Task:
    images = task.train.images.copy()
    images[5, 3, 3] ^= 1
    return dataclasses.replace(task, train=dataclasses.replace(task.train, images=images))


def other_label(task: Task) -> Task:
    labels = task.validation.labels.copy()
    labels[0] = "way1"
    validation = dataclasses.replace(task.validation, labels=labels)
    return dataclasses.replace(task, validation=validation)


def other_pairs(task: Task) -> Task:
    return dataclasses.replace(task, train_pairs=task.validation_pairs)


@pytest.mark.parametrize("changed", [other_picture, other_label, other_pairs])
def test_other_data_are_another_run(
    changed: Callable[[Task], Task], task: Task, whole: Path
) -> None:
    with pytest.raises(UserError, match="whole holds a run of another recipe or other data"):
        train(SMALL, changed(task), whole)


@pytest.mark.parametrize("change", [{"seed": 1}, {"l2_features": 0.0}, {"epochs": 3}])
def test_another_recipe_is_another_run(change: dict[str, Any], task: Task, whole: Path) -> None:
    with pytest.raises(UserError, match="another recipe"):
        train(dataclasses.replace(SMALL, **change), task, whole)


# -- the same again --


def test_a_seed_gives_the_same_run(task: Task, whole: Path, tmp_path: Path) -> None:
    torch.manual_seed(12345)  # whatever was drawn before
    train(SMALL, task, tmp_path / "again")
    assert equal(weights_of(tmp_path / "again/network.pt"), weights_of(whole / "network.pt"))
    assert without_times(tmp_path / "again") == without_times(whole)
    train(dataclasses.replace(SMALL, seed=1), task, tmp_path / "other")
    ours, other = weights_of(whole / "network.pt"), weights_of(tmp_path / "other/network.pt")
    assert not any(torch.equal(ours[name], other[name]) for name in ours)


@pytest.mark.parametrize("recipe", [SMALL, SGD, COSINE], ids=["adam", "sgd", "cosine"])
def test_killed_amid_an_epoch_it_ends_as_if_it_had_not_been(
    recipe: SiameseRecipe, tmp_path: Path, monkeypatch
) -> None:
    task = grating_task(network=recipe.model.network)
    train(recipe, task, tmp_path / "whole")
    with monkeypatch.context() as patch:
        Steps(patch, last=(1, 1))
        with pytest.raises(Killed):
            train(recipe, task, tmp_path / "killed")
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"run.json", "checkpoints"}
    steps = Steps(monkeypatch)
    train(recipe, task, tmp_path / "killed")
    assert steps == [(1, 0), (1, 1), (1, 2)]
    one, other = (weights_of(tmp_path / name / "network.pt") for name in ("whole", "killed"))
    assert equal(one, other)
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "killed")
    seconds = [row["seconds"] for row in result(tmp_path / "killed")["log"]]
    assert seconds == sorted(seconds)  # the time before the kill counts


def test_killed_before_the_end_it_trains_no_more(task: Task, whole: Path, tmp_path, monkeypatch):
    def die(*_: object) -> None:
        raise Killed

    for part in ("save_checkpoint", "draw_log"):
        with monkeypatch.context() as patch:
            patch.setattr(runs, part, die)
            with pytest.raises(Killed):
                train(SMALL, task, tmp_path)
        assert not (tmp_path / "result.json").exists()
    steps = Steps(monkeypatch)
    train(SMALL, task, tmp_path)
    assert steps == [] and without_times(tmp_path) == without_times(whole)
    assert {path.name for path in tmp_path.iterdir()} == LEFT


# -- stopping --


@pytest.mark.parametrize(
    ("scores", "options", "epochs"),
    [
        ((0.3, 0.5, 0.4, 0.4, 0.9), {"patience": 2}, 4),
        ((0.3, 0.5, 0.4, 0.6, 0.5, 0.5, 0.9), {"patience": 2}, 6),
        ((0.30, 0.34, 0.38, 0.9), {"patience": 2, "min_delta": 0.1}, 3),
        ((0.30, 0.34, 0.41, 0.45, 0.48, 0.9), {"patience": 2, "min_delta": 0.1}, 5),
    ],
)
def test_it_stops_when_its_patience_ends(
    scores: tuple[float, ...],
    options: dict[str, Any],
    epochs: int,
    task: Task,
    tmp_path,
    monkeypatch,
) -> None:
    scored(monkeypatch, *scores)
    recipe = dataclasses.replace(SMALL, steps=1, batch=2, epochs=len(scores), **options)
    run = train(recipe, task, tmp_path)
    assert run.figures["epochs"] == len(run.log) == epochs < len(scores)


def test_the_best_epochs_weights_are_kept(task: Task, tmp_path: Path, monkeypatch) -> None:
    after: list[dict[str, torch.Tensor]] = []
    found: list[float] = []

    def score(row: dict[str, float]) -> float:
        return [0.2, 0.7, 0.1][int(row["epoch"]) - 1]

    validate = SiameseTraining.validation_step

    def validating(module: SiameseTraining, batch: Any) -> None:
        validate(module, batch)
        after.append({n: v.clone() for n, v in module.network.state_dict().items()})
        found.append(module.log_rows[-1]["one-shot"])

    monkeypatch.setattr(SiameseTraining, "validation_step", validating)
    for module in (training, runs):
        monkeypatch.setattr(module, "score_of", score)
    run = train(dataclasses.replace(SMALL, epochs=3), task, tmp_path)
    kept = {name: value.half().float() for name, value in after[1].items()}
    assert equal(run.network.state_dict(), kept)
    assert run.figures["kept epoch"] == 2.0 and run.figures["epochs"] == 3.0
    assert run.figures["one-shot"] == found[1]
