"""Siamese losses against sums in plain Python."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("pytorch_metric_learning", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from tests.train.siamese.tasks import COSINE, SMALL, grating_task
from train.siamese.batches import QUARTER_TURNS
from train.siamese.losses import LOSSES, contrastive_loss, cross_entropy, triplet_loss
from train.siamese.networks import SIMILARITIES, SiameseConfig, SiameseNetwork
from train.siamese.recipes import SiameseRecipe
from train.siamese.training import SiameseTraining

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
KINDS = st.sampled_from([torch.float32, torch.float64])
FLAGS = st.lists(st.booleans(), min_size=1, max_size=12)
SEEDS = st.integers(0, 10_000)


@settings(deadline=None)
@given(FLAGS, SEEDS, KINDS, st.sampled_from([1.0, 30.0]))
def test_cross_entropy_is_the_mean_surprise(
    same: list[bool], seed: int, kind: torch.dtype, spread: float
) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, spread, len(same))).to(kind)
    # −ln σ(x) = ln(1 + e⁻ˣ), and of "different" with the sign turned.
    signs = [-x if yes else x for x, yes in zip(logits.double().tolist(), same, strict=True)]
    expected = sum(math.log1p(math.exp(s)) for s in signs) / len(same)
    found = cross_entropy(logits, torch.tensor(same))
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, rel=TOLERANCE[kind], abs=TOLERANCE[kind])


def test_cross_entropy_stays_finite_where_a_logit_is_absurd() -> None:
    found = cross_entropy(torch.tensor([1000.0, -1000.0]), torch.tensor([True, True]))
    assert found.item() == pytest.approx(500.0)


@settings(deadline=None)
@given(FLAGS, SEEDS, KINDS, st.floats(0.1, 3.0))
def test_contrastive_draws_together_and_pushes_apart(
    same: list[bool], seed: int, kind: torch.dtype, margin: float
) -> None:
    rng = np.random.default_rng(seed)
    distance = torch.from_numpy(rng.uniform(0, 4, len(same))).to(kind)
    terms = [
        d * d / 2 if yes else max(0.0, margin - d) ** 2 / 2
        for d, yes in zip(distance.double().tolist(), same, strict=True)
    ]
    found = contrastive_loss(distance, torch.tensor(same), margin)
    assert found.dtype == kind and found.shape == ()
    expected = sum(terms) / len(terms)
    assert found.item() == pytest.approx(expected, rel=TOLERANCE[kind], abs=TOLERANCE[kind])


def test_contrastive_leaves_what_is_far_enough() -> None:
    distance = torch.tensor([0.5, 0.5, 1.0, 2.0], requires_grad=True)
    contrastive_loss(distance, torch.tensor([True, False, False, False]), 1.0).backward()
    assert distance.grad is not None
    torch.testing.assert_close(distance.grad, torch.tensor([0.125, -0.125, 0.0, 0.0]))


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 6), SEEDS, KINDS, st.floats(0.05, 2.0))
def test_triplet_is_the_mean_over_those_that_still_teach(
    count: int, dim: int, seed: int, kind: torch.dtype, margin: float
) -> None:
    rng = np.random.default_rng(seed)
    parts = [torch.from_numpy(rng.normal(0, 1, (count, dim))).to(kind) for _ in range(3)]
    rows = zip(*(part.double().tolist() for part in parts), strict=True)
    terms = [math.dist(a, p) - math.dist(a, n) + margin for a, p, n in rows]
    terms = [term for term in terms if term > 0]
    expected = sum(terms) / len(terms) if terms else 0.0
    anchor, positive, negative = (part.requires_grad_() for part in parts)
    found = triplet_loss(anchor, positive, negative, margin)
    assert found.item() == pytest.approx(expected, rel=TOLERANCE[kind], abs=TOLERANCE[kind])
    found.backward()
    assert anchor.grad is not None and bool(anchor.grad.isfinite().all())


def test_no_valid_triplet_gives_zero_that_still_backpropagates() -> None:
    anchor = torch.zeros(3, 2, requires_grad=True)
    positive = torch.full((3, 2), 0.1, requires_grad=True)
    negative = torch.full((3, 2), 5.0, requires_grad=True)
    found = triplet_loss(anchor, positive, negative, 0.5)
    assert found.item() == 0.0
    found.backward()
    for part in (anchor, positive, negative):
        assert part.grad is not None and bool((part.grad == 0).all())


def test_triplets_of_equal_features_do_not_break_it() -> None:
    features = torch.ones(2, 4, requires_grad=True)
    found = triplet_loss(features, features, features, 0.5)
    assert found.item() == pytest.approx(0.5)
    found.backward()
    assert features.grad is not None and bool(features.grad.isfinite().all())


def test_the_first_of_a_triplet_is_the_anchor() -> None:
    a, p, n = (torch.tensor([[x, 0.0]]) for x in (0.0, 3.0, 1.0))
    assert triplet_loss(a, p, n, 0.5).item() == pytest.approx(3 - 1 + 0.5)
    assert triplet_loss(p, a, n, 0.5).item() == pytest.approx(3 - 2 + 0.5)


# -- as training calls them --


def module_of(recipe: SiameseRecipe) -> SiameseTraining:
    torch.manual_seed(0)
    return SiameseTraining(SiameseNetwork(recipe.model), grating_task(pairs=8), recipe)


def compute_features(rows: int, dim: int, unit: bool = False, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (rows, dim))
    values /= np.linalg.norm(values, axis=1, keepdims=True) if unit else 1.0
    return torch.from_numpy(values).float()


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize(("margin", "scale"), [(0.0, 1.0), (0.25, 24.0), (0.4, 8.0)])
def test_cosface_takes_the_margin_from_the_right_class(
    margin: float, scale: float, turns: bool
) -> None:
    recipe = dataclasses.replace(COSINE, margin=margin, scale=scale, turns=turns)
    module = module_of(recipe)
    assert module.classes is not None
    (vectors,) = module.classes.parameters()
    count = 6 * (QUARTER_TURNS if turns else 1)
    assert vectors.shape == (256, count)
    features = compute_features(7, 256, unit=True)
    numbers = torch.from_numpy(np.random.default_rng(1).integers(count, size=7))
    columns = vectors.detach().double().T.tolist()
    terms = []
    for feature, number in zip(features.double().tolist(), numbers.tolist(), strict=True):
        logits = []
        for other, column in enumerate(columns):
            cosine = sum(x * y for x, y in zip(feature, column, strict=True))
            cosine /= math.hypot(*column) * math.hypot(*feature)
            logits.append(scale * (cosine - (margin if other == number else 0.0)))
        terms.append(math.log(sum(math.exp(x) for x in logits)) - logits[number])
    found = module.loss(features, numbers)
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_pairs_stand_in_the_batchs_halves_and_triplets_in_its_thirds() -> None:
    numbers = torch.tensor([1, 0, 1, 1])
    same = numbers.bool()
    bce = module_of(SMALL)
    features = compute_features(8, 1024)
    scores = bce.network.compare(features[:4], features[4:])
    torch.testing.assert_close(bce.loss(features, numbers), cross_entropy(scores, same))
    apart = SiameseConfig("asl-narrow", "euclidean")
    recipe = dataclasses.replace(SMALL, model=apart, loss="contrastive", margin=60.0)
    distances = (features[:4] - features[4:]).norm(dim=1)
    assert bool((distances < 60).all())
    expected = contrastive_loss(distances, same, 60.0)
    torch.testing.assert_close(module_of(recipe).loss(features, numbers), expected)
    recipe = dataclasses.replace(recipe, loss="triplet", margin=5.0)
    a, p, n = features[:2], features[2:4], features[4:6]
    expected = triplet_loss(a, p, n, 5.0)
    assert expected > 0
    torch.testing.assert_close(module_of(recipe).loss(features[:6], numbers[:2]), expected)


def test_a_loss_trains_only_the_similarity_that_it_fits() -> None:
    fits = {
        ("bce", "weighted_l1"),
        ("bce", "cosine"),
        ("contrastive", "euclidean"),
        ("triplet", "euclidean"),
        ("cosface", "cosine"),
    }
    for loss in LOSSES:
        for similarity in SIMILARITIES:
            model = SiameseConfig("asl-narrow", similarity)
            if (loss, similarity) in fits:
                assert SiameseRecipe(model, loss=loss).loss == loss
            else:
                with pytest.raises(UserError, match=f"{loss} can't train .* {similarity}: bce"):
                    SiameseRecipe(model, loss=loss)


@pytest.mark.parametrize("slip", [{"loss": "softmax"}, {"optimizer": "lion"}])
def test_unknown_names_in_a_recipe_are_told(slip: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="A loss is one of bce, .* an optimizer one of sgd, adam"):
        SiameseRecipe(SiameseConfig("koch"), **slip)
