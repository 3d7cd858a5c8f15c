"""How Siamese networks are optimised, and that they learn what they have never seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("pytorch_metric_learning", reason="training needs requirements-train.txt")

import torch
from torch import nn

from tests.train.siamese.tasks import COSINE, SMALL, grating_task
from train.siamese import training
from train.siamese.batches import Task
from train.siamese.networks import SiameseConfig, SiameseNetwork
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import train
from train.siamese.training import SiameseTraining, parameter_groups
from train.siamese.verification import best_threshold, score_pairs, verify

SGD = dataclasses.replace(SMALL, optimizer="sgd", learning_rate=1e-2)


@pytest.fixture(scope="module")
def task() -> Task:
    return grating_task()


@pytest.mark.parametrize("recipe", [SMALL, COSINE], ids=["weighted_l1", "cosface"])
def test_weight_decay_is_the_gradient_of_the_layers_squares(
    recipe: SiameseRecipe, task: Task
) -> None:
    """One step of plain SGD without any loss moves a weight by −rate · 2 λ w, and nothing else."""
    recipe = dataclasses.replace(recipe, l2_convolutions=0.03, l2_features=0.05)
    module = SiameseTraining(SiameseNetwork(recipe.model), task, recipe)
    lambdas = {}
    for name, layer in module.named_modules():
        for own, parameter in layer.named_parameters(recurse=False):
            assert f"{name}.{own}" not in lambdas
            strength = 0.0
            if own == "weight" and isinstance(layer, nn.Conv2d):
                strength = 0.03
            elif own == "W" or (own == "weight" and isinstance(layer, nn.Linear)):
                strength = 0.05
            lambdas[f"{name}.{own}"] = strength
            parameter.grad = torch.zeros_like(parameter)
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    assert set(lambdas) == set(before) and set(lambdas.values()) == {0.0, 0.03, 0.05}
    with torch.enable_grad():
        squares = torch.stack(
            [lambdas[name] * value.square().sum() for name, value in module.named_parameters()]
        ).sum()
        gradients = torch.autograd.grad(squares, list(module.parameters()))
    torch.optim.SGD(parameter_groups(module, recipe), 0.1).step()
    for (name, value), gradient in zip(module.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(value.detach(), before[name] - 0.1 * gradient)
        assert (lambdas[name] == 0) == torch.equal(value, before[name])


def test_momentum_rises_and_the_rate_falls(task: Task, tmp_path: Path, monkeypatch) -> None:
    seen: list[tuple[float, float]] = []
    step = SiameseTraining.training_step

    def training_step(module: Any, batch: Any, batch_idx: int) -> Any:
        groups = module.trainer.optimizers[0].param_groups
        (now,) = {(group["momentum"], group["lr"]) for group in groups}
        seen.append(now)
        return step(module, batch, batch_idx)

    monkeypatch.setattr(SiameseTraining, "training_step", training_step)
    monkeypatch.setattr(training, "MOMENTUM", (0.5, 0.9, 4))
    train(dataclasses.replace(SGD, epochs=6, steps=2, batch=2, decay=0.99), task, tmp_path)
    momenta = [0.5, 0.6, 0.7, 0.8, 0.9, 0.9]
    expected = [(momenta[i // 2], 0.01 * 0.99 ** (i // 2)) for i in range(12)]
    np.testing.assert_allclose(seen, expected, rtol=1e-9)


def test_momentum_takes_twenty_epochs() -> None:
    assert training.MOMENTUM == (0.5, 0.9, 20) and SiameseRecipe(SMALL.model).decay == 0.99


LEARNT = {
    "bce": SMALL,
    "contrastive": dataclasses.replace(
        SMALL, model=SiameseConfig("asl-narrow", "euclidean"), loss="contrastive", margin=2.0
    ),
    "triplet": dataclasses.replace(
        SMALL, model=SiameseConfig("asl-narrow", "euclidean"), loss="triplet", margin=1.0
    ),
    "cosface": dataclasses.replace(COSINE, turns=False, warp="none", learning_rate=0.01),
}


def verified(network: SiameseNetwork, task: Task) -> float:
    pairs = task.validation_pairs
    scores = score_pairs(network, task.validation.images, pairs)
    return verify(scores, pairs.same, best_threshold(scores, pairs.same)).accuracy.value


@pytest.mark.slow
@pytest.mark.parametrize("loss", LEARNT)
def test_it_learns_to_tell_directions_it_has_never_seen(loss: str, tmp_path: Path) -> None:
    """Validated on gratings between the directions that it was trained on."""
    recipe = dataclasses.replace(LEARNT[loss], batch=32, steps=25, epochs=3, ways=4, trials=200)
    task = grating_task(classes=12, each=20, pairs=400, network=recipe.model.network)
    torch.manual_seed(0)
    untrained = verified(SiameseNetwork(recipe.model), task)
    run = train(recipe, task, tmp_path)
    assert run.figures["verification"] > 0.9
    assert 1 - run.figures["verification"] < (1 - untrained) / 2
    assert run.figures["one-shot"] > 0.9  # a quarter by chance
    assert verified(run.network, task) == pytest.approx(run.figures["verification"], abs=0.01)
    assert run.log[-1]["loss"] < 0.8 * run.log[0]["loss"]
