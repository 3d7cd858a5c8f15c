"""The published Siamese networks: their layers as published, counted and compared slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch
from torch import nn

from engines.errors import UserError
from train.siamese.networks import (
    KOCH,
    NETWORKS,
    SIMILARITIES,
    SiameseConfig,
    SiameseNetwork,
    TwinLayout,
    initialise,
)

# Channels and size after each layer that changes them, the input first.
SEEN_105 = [(1, 105), (64, 96), (64, 48), (128, 42), (128, 21), (128, 18), (128, 9), (256, 6)]
SEEN_105_REDUCED = [(1, 105), (32, 96), (32, 48), (64, 42), (64, 21), (64, 18), (64, 9), (128, 6)]
SEEN_28 = [(1, 28), (64, 22), (64, 11), (128, 8), (128, 4), (256, 2)]
SEEN_28_NARROW = [(1, 28), (64, 22), (64, 11), (128, 8), (128, 4), (128, 2)]
SEEN_52 = [(1, 52), (32, 52), (32, 26), (32, 13), (64, 13), (64, 6), (128, 6), (128, 3)]
LAYERS = {  # what is seen, what is flattened, features
    "koch": (SEEN_105, 9216, 4096),
    "asl-2048": (SEEN_28, 1024, 2048),
    "asl-1024": (SEEN_28, 1024, 1024),
    "asl-narrow": (SEEN_28_NARROW, 512, 1024),
    "face": (SEEN_105, 9216, 4096),
    "face-reduced": (SEEN_105_REDUCED, 4608, 1024),
    "residual": (SEEN_52, 1152, 256),
}


def layer_by_layer(body: nn.Sequential, size: int) -> tuple[list[tuple[int, int]], int, int]:
    """As in LAYERS."""
    x = torch.rand(2, 1, size, size)
    seen, flat = [(1, size)], 0
    for layer in body.eval():
        x = layer(x)
        if x.ndim == 4 and (x.shape[1], x.shape[2]) != seen[-1]:
            assert x.shape[2] == x.shape[3]
            seen.append((x.shape[1], x.shape[2]))
        if isinstance(layer, nn.Flatten):
            flat = x.shape[1]
    return seen, flat, x.shape[1]


def trainable(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def with_statistics(module: nn.Module) -> int:
    """Parameters and running means and variances, as Keras counts."""
    running = (
        b for name, b in module.named_buffers() if name.split(".")[-1] != "num_batches_tracked"
    )
    return trainable(module) + sum(b.numel() for b in running)


def small(similarity: str, seed: int = 0) -> SiameseNetwork:
    torch.manual_seed(seed)
    return SiameseNetwork(SiameseConfig("asl-narrow", similarity)).eval()


@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_gives_the_published_shape(name: str) -> None:
    assert layer_by_layer(NETWORKS[name].body(), NETWORKS[name].size) == LAYERS[name]
    assert NETWORKS[name].features == LAYERS[name][2]


def test_koch_has_as_many_parameters_as_published() -> None:
    network = SiameseNetwork(SiameseConfig("koch"))
    assert trainable(network) == with_statistics(network) == 38_951_745
    head = network.head
    assert head is not None and trainable(head) == 4097
    kernels = ((1, 64, 10), (64, 128, 7), (128, 128, 4), (128, 256, 4))
    convolutions = sum(old * new * k * k + new for old, new, k in kernels)
    assert 38_951_745 == convolutions + 9216 * 4096 + 4096 + 4097


def test_the_face_variant_has_as_many_parameters_as_published() -> None:
    published = TwinLayout(105, KOCH, 4096, batch_norm=True, first_bias=True, dropout=0.4).body()
    head = 4097
    assert with_statistics(published) + head == 38_954_049
    face = SiameseNetwork(SiameseConfig("face"))
    assert with_statistics(face) == 38_954_049 - 64
    first = next(layer for layer in face.modules() if isinstance(layer, nn.Conv2d))
    assert first.bias is None  # 64 of them would add nothing before a normalisation


def test_a_twins_layers_stand_in_the_published_order() -> None:
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]
    end = [nn.Flatten, nn.Dropout, nn.Linear, nn.Sigmoid]
    face = NETWORKS["face"].body()
    assert [type(layer) for layer in face] == [*block, *block, *block, *block[:3], *end]
    (dropout,) = (layer for layer in face if isinstance(layer, nn.Dropout))
    assert dropout.p == 0.4
    plain = [nn.Conv2d, nn.ReLU, nn.MaxPool2d]
    koch = [*plain, *plain, *plain, *plain[:2], nn.Flatten, nn.Linear, nn.Sigmoid]
    assert [type(layer) for layer in NETWORKS["koch"].body()] == koch
    for layer in (*face, *NETWORKS["koch"].body()):
        if isinstance(layer, nn.MaxPool2d):
            assert (layer.kernel_size, layer.stride, layer.padding) == (2, 2, 0)
        if isinstance(layer, nn.Conv2d):
            assert (layer.stride, layer.padding) == ((1, 1), (0, 0))


def test_dropout_acts_only_in_training() -> None:
    torch.manual_seed(0)
    body = TwinLayout(28, ((4, 7), (4, 4)), 16, dropout=0.4).body()
    pictures = torch.rand(3, 1, 28, 28)
    assert not torch.equal(body.train()(pictures), body(pictures))
    assert torch.equal(body.eval()(pictures), body(pictures))


def test_it_starts_as_published() -> None:
    network = SiameseNetwork(SiameseConfig("koch"))
    initialise(network, 3)
    biases = []
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        spread = 0.01 if isinstance(layer, nn.Conv2d) else 0.2
        weight = layer.weight.detach().double()
        count = weight.numel()
        # Five standard errors of a mean and of a standard deviation.
        assert abs(weight.mean().item()) < 5 * spread / math.sqrt(count)
        assert abs(weight.std().item() / spread - 1) < 5 / math.sqrt(2 * count)
        assert layer.bias is not None
        biases.append(layer.bias.detach())
    values = torch.cat(biases).double()
    assert len(biases) == 6 and len(values) == 64 + 128 + 128 + 256 + 4096 + 1
    assert abs(values.mean().item() - 0.5) < 5 * 0.01 / math.sqrt(len(values))
    assert abs(values.std().item() / 0.01 - 1) < 5 / math.sqrt(2 * len(values))


def test_a_seed_gives_the_same_start() -> None:
    states = []
    for start, seed in enumerate((1, 1, 2)):
        network = small("weighted_l1", seed=start)
        initialise(network, seed)
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not any(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_a_start_without_a_first_bias_and_a_head() -> None:
    torch.manual_seed(0)
    network = SiameseNetwork(SiameseConfig("residual", "cosine"))
    initialise(network, 0)
    (dense,) = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    assert abs(dense.weight.std().item() - 0.2) < 0.01
    assert abs(dense.bias.mean().item() - 0.5) < 0.01
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms and all(bool((layer.weight == 1).all()) for layer in norms)


def test_twins_share_their_weights() -> None:
    """Whichever twin sees a picture, its features are the same; a loss moves one set of weights."""
    network = small("weighted_l1")
    a, b = torch.rand(2, 1, 28, 28), torch.rand(2, 1, 28, 28)
    with torch.inference_mode():
        both = network(torch.cat([a, b]))
        torch.testing.assert_close(both[:2], network(a))
        torch.testing.assert_close(
            network.compare(*both.chunk(2)), network.compare(network(b), network(a))
        )
    assert trainable(network) == trainable(network.body) + 1025
    network.compare(*network(torch.cat([a, b])).chunk(2)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_weighted_distance_is_a_slow_sum() -> None:
    network = small("weighted_l1")
    assert network.head is not None
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 1024)), rng.random((3, 1024))
    weights, bias = network.head.weight.detach()[0].tolist(), network.head.bias.item()
    with torch.inference_mode():
        found = network.compare(torch.from_numpy(a).float(), torch.from_numpy(b).float())
    expected = [
        sum(w * abs(x - y) for w, x, y in zip(weights, *rows, strict=True)) + bias
        for rows in zip(a.tolist(), b.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_one_is_compared_with_many(similarity: str) -> None:
    network = small(similarity)
    a, many = torch.rand(1024), torch.rand(4, 1024)
    with torch.inference_mode():
        found = network.compare(a, many)
        assert found.shape == (4,)
        for i in range(4):
            torch.testing.assert_close(found[i], network.compare(a, many[i]))
            torch.testing.assert_close(found[i], network.compare(many[i], a))


def test_the_euclidean_similarity_falls_with_the_distance() -> None:
    network = small("euclidean")
    a, b = torch.rand(5, 1024), torch.rand(5, 1024)
    found = network.compare(a, b)
    expected = [-math.dist(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert network.head is None


def test_equal_features_have_a_gradient() -> None:
    network = small("euclidean")
    a = torch.rand(2, 8, requires_grad=True)
    b = a.detach().clone()
    b[1] += 0.5
    score = network.compare(a, b)
    assert score[0].item() == pytest.approx(0.0, abs=2e-6)
    score.sum().backward()
    assert a.grad is not None and bool(a.grad.isfinite().all())
    assert bool((a.grad[0] == 0).all()) and bool((a.grad[1] > 0).all())


def test_only_what_is_compared_by_cosine_has_unit_norm() -> None:
    pictures = torch.rand(4, 1, 28, 28)
    with torch.inference_mode():
        unit = small("cosine")(pictures)
        torch.testing.assert_close(unit.norm(dim=1), torch.ones(4))
        raw = small("euclidean")(pictures)  # the same weights
        assert bool((raw.norm(dim=1) > 2).all()) and bool(((raw > 0) & (raw < 1)).all())
        torch.testing.assert_close(raw / raw.norm(dim=1, keepdim=True), unit)
        scores = small("cosine").compare(unit, unit[[1, 0, 3, 2]])
    expected = [float(unit[i].double() @ unit[i ^ 1].double()) for i in range(4)]
    np.testing.assert_allclose(scores.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("similarity", ["weighted_l1", "cosine"])
def test_half_precision_is_nearly_the_same_and_gives_single(similarity: str) -> None:
    network, pictures = small(similarity), torch.rand(3, 1, 28, 28)
    with torch.inference_mode():
        exact = network(pictures)
        network.mixed_precision = True
        found = network(pictures)
    assert found.dtype == torch.float32 and not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("network", "similarity", "said"),
    [
        ("koch2", "cosine", r"A network is one of koch, .*residual; got 'koch2'\."),
        ("koch", "l1", r"A similarity is one of weighted_l1, euclidean, cosine; got 'l1'\."),
    ],
)
def test_unknown_names_are_told(network: str, similarity: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        SiameseConfig(network, similarity)


def test_a_configuration_survives_json() -> None:
    config = SiameseConfig("asl-narrow", "euclidean")
    assert SiameseConfig(**config.to_dict()) == config
