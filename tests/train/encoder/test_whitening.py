"""The closed-form start of a training against numpy, row by row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch
from torch import nn

from tests.train.encoder.training import MODEL, principal_of_few
from train.encoder import model, whitening
from train.encoder.features import Bank
from train.encoder.fit import fold_linear
from train.encoder.model import Head
from train.encoder.whitening import SHRINKAGE, fit_whitening, set_weights, whiten

BLOCKS = (12, 20, 9, 6)  # widths, instead of thousands
COMPONENTS = (5, 6, 4, 3)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "BLOCKS", BLOCKS)
    monkeypatch.setattr(whitening, "BLOCKS", BLOCKS)


@pytest.fixture
def bank() -> Bank:
    """Two sets of unlike sizes; classes differ, and people do in a few directions above all."""
    rng = np.random.default_rng(0)
    sets = np.repeat(["few", "many"], [40, 160])
    labels = rng.choice([*"ABCDE"], 200)
    subjects = rng.choice([*"pqr"], 200)
    middles = {label: rng.normal(0.0, 1.0, sum(BLOCKS)) for label in np.unique(labels)}
    ways = rng.normal(0.0, 1.0, (3, sum(BLOCKS)))
    rows = np.stack([middles[label] for label in labels]) + rng.normal(0.0, 2.0, (200, 3)) @ ways
    rows += rng.normal(0.0, 0.3, rows.shape) + (sets == "few")[:, None]
    alphabets, sides = np.full(200, "signs"), rng.choice(["right", "left"], 200)
    return Bank([rows.astype(np.float16)], alphabets, labels, subjects, sets, sides)


def weights_of(sets: np.ndarray) -> list[float]:
    """Of each row, one by one."""
    names = set(sets.tolist())
    return [1 / len(names) / sum(other == name for other in sets) for name in sets]


def slow_covariance(rows: np.ndarray, about: np.ndarray, weights: list[float]) -> np.ndarray:
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for row, centre, weight in zip(rows, about, weights, strict=True):
        total += weight * np.outer(row - centre, row - centre)
    return total


def slow_means(rows: np.ndarray, names: list[str], weights: list[float]) -> np.ndarray:
    """(N, K): each row's class mean."""
    means = {}
    for name in set(names):
        mine = [i for i, other in enumerate(names) if other == name]
        means[name] = sum(weights[i] * rows[i] for i in mine) / sum(weights[i] for i in mine)
    return np.array([means[name] for name in names])


def matrices(layers: Iterable[nn.Module]) -> list[tuple[np.ndarray, np.ndarray]]:
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return [(a.weight.detach().double().numpy(), a.bias.detach().double().numpy()) for a in linear]


def test_sets_weigh_alike(bank: Bank) -> None:
    weights = set_weights(bank.sets)
    np.testing.assert_allclose(weights, weights_of(bank.sets), rtol=1e-12)
    assert np.isclose(weights[:40].sum(), 0.5) and np.isclose(weights.sum(), 1.0)


def test_a_set_said_thrice_changes_nothing(bank: Bank) -> None:
    """Only the scale of it all is that of the pictures as they are."""
    rows = np.concatenate([np.arange(200), np.arange(40), np.arange(40)])
    repeated = Bank(
        [bank.features[0][rows]],
        bank.alphabets[rows],
        bank.labels[rows],
        bank.subjects[rows],
        bank.sets[rows],
        bank.sides[rows],
    )
    first, other = fit_whitening(bank, COMPONENTS), fit_whitening(repeated, COMPONENTS)
    one, two = (whiten(bank.features[0], *layers).double() for layers in (first, other))
    # Up to the sign and order of what it is made of: what is near stays as near.
    near, same = torch.cdist(one, one), torch.cdist(two, two)
    ratio = (same.sum() / near.sum()).item()
    torch.testing.assert_close(same, near * ratio, rtol=1e-3, atol=1e-3)
    assert 0.9 < ratio < 1.1


def test_principal_components_are_numpys(bank: Bank) -> None:
    layers, _ = fit_whitening(bank, COMPONENTS)
    weights, start = weights_of(bank.sets), 0
    for (matrix, bias), width, count in zip(
        matrices(layers.blocks), BLOCKS, COMPONENTS, strict=True
    ):
        rows = bank.features[0][:, start : start + width].astype(np.float64)
        start += width
        mean = np.sum([w * row for w, row in zip(weights, rows, strict=True)], 0)
        values, vectors = np.linalg.eigh(slow_covariance(rows, np.tile(mean, (200, 1)), weights))
        leading = vectors[:, ::-1][:, :count].T
        length = 1 / np.sqrt(values.sum())  # the block's variance becomes 1
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), length, rtol=1e-3)
        alike = np.abs(np.sum(matrix * leading, 1)) / length
        np.testing.assert_allclose(alike, 1.0, atol=1e-3)  # the same, or its opposite
        np.testing.assert_allclose(matrix @ mean + bias, 0.0, atol=1e-4)


def test_pictures_of_one_class_differ_alike_in_all_directions(bank: Bank) -> None:
    layers, within = fit_whitening(bank, COMPONENTS)
    rows = whiten(bank.features[0], layers).double().numpy()
    weights = weights_of(bank.sets)
    covariance = slow_covariance(rows, slow_means(rows, [*bank.labels], weights), weights)
    size = len(covariance)
    even = np.eye(size) * sum(covariance[i, i] for i in range(size)) / size
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * even
    ((matrix, bias),) = matrices([within])
    after = matrix @ shrunk @ matrix.T
    scale = np.trace(after) / size
    np.testing.assert_allclose(after, scale * np.eye(size), atol=2e-3 * scale)

    # What that makes of the rows themselves: even but for what the shrinkage takes away.
    done = rows @ matrix.T + bias
    seen = slow_covariance(done, slow_means(done, [*bank.labels], weights), weights)
    missing = SHRINKAGE * matrix @ even @ matrix.T
    np.testing.assert_allclose(
        (1 - SHRINKAGE) * seen + missing, scale * np.eye(size), atol=2e-3 * scale
    )
    before = np.linalg.cond(covariance)
    assert np.linalg.cond(seen) < before / 5
    mean = np.sum([w * row for w, row in zip(weights, done, strict=True)], 0)
    np.testing.assert_allclose(mean, 0.0, atol=1e-3)
    assert np.isclose(done.std(), 1.0, atol=0.05)  # as weights are usually set to expect


def test_equal_labels_of_other_alphabets_are_other_classes(bank: Bank) -> None:
    apart = dataclasses.replace(bank, alphabets=bank.sets)
    _, together_within = fit_whitening(bank, COMPONENTS)
    _, apart_within = fit_whitening(apart, COMPONENTS)
    assert not torch.allclose(together_within.weight, apart_within.weight, atol=1e-3)


def test_rows_go_through_in_pieces(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, within = fit_whitening(bank, COMPONENTS)
    whole = whiten(bank.features[0], layers, within)
    assert whole.shape == (200, sum(COMPONENTS)) and whole.dtype == torch.float32
    monkeypatch.setattr(whitening, "CHUNK", 7)
    torch.testing.assert_close(whiten(bank.features[0], layers, within), whole)
    again, again_within = fit_whitening(bank, COMPONENTS)
    pieces = whiten(bank.features[0], again, again_within).double()
    near = torch.cdist(whole.double(), whole.double())
    torch.testing.assert_close(torch.cdist(pieces, pieces), near, rtol=1e-3, atol=1e-3)


def test_the_short_way_of_the_other_tests_is_the_same(bank: Bank) -> None:
    weights = set_weights(bank.sets)
    block = bank.features[0][:, : BLOCKS[0]]
    slow, quick = nn.Linear(BLOCKS[0], 5), nn.Linear(BLOCKS[0], 5)
    whitening._set_principal_components(slow, block, weights)
    principal_of_few(quick, block, weights)
    sign = torch.sign((slow.weight * quick.weight).sum(1))
    torch.testing.assert_close(quick.weight * sign[:, None], slow.weight, atol=1e-3, rtol=0)
    torch.testing.assert_close(quick.bias * sign, slow.bias, atol=1e-3, rtol=0)


@pytest.mark.parametrize("hidden", [0, 16])
def test_a_folded_head_encodes_as_both_did(hidden: int) -> None:
    torch.manual_seed(0)
    head = Head(dataclasses.replace(MODEL, hidden=hidden)).train()
    width = sum(MODEL.components)
    within = nn.Linear(width, width)
    rows = torch.randn(20, width)
    both = fold_linear(head, within)
    assert head.training and not both.training
    kept = {name: value.clone() for name, value in head.state_dict().items()}
    with torch.inference_mode():
        expected = head.eval()(within(rows))
        torch.testing.assert_close(both(rows), expected, atol=1e-5, rtol=0)
        assert (head(rows) - expected).abs().max() > 0.1
    assert all(torch.equal(kept[name], value) for name, value in head.state_dict().items())
