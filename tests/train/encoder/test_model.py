"""The encoder's parts: maps read at joints, the hand's geometry, unit embeddings."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch
from torch import Tensor
from torch.nn import functional

from realtime.drawn.pose import joints, view_rotation
from realtime.drawn.random_hand import random_pose, random_shape
from train.backbone import landmark_baseline
from train.encoder.model import (
    BLOCKS,
    FEATURES,
    TAP_CHANNELS,
    GestureEncoder,
    HandFeatures,
    ModelConfig,
    sample_at,
)

SMALL = ModelConfig(crop_size=96, components=(8, 9, 10, 11), hidden=16, dim=12)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def hands(count: int, size: int = 96, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Noise for crops, points within and just outside them, hands of several people."""
    rng = np.random.default_rng(seed)
    world = np.stack(
        [
            joints(random_pose(rng), random_shape(rng)) @ view_rotation(*rng.normal(0, 0.4, 3)).T
            for _ in range(count)
        ]
    )
    crops = rng.random((count, 3, size, size), np.float32)
    points = rng.uniform(-0.1, 1.1, (count, 21, 3)).astype(np.float32)
    return torch.from_numpy(crops), torch.from_numpy(points), torch.from_numpy(world).float()


@pytest.mark.parametrize(("height", "width"), [(20, 20), (7, 5), (1, 3), (1, 1)])
def test_maps_are_read_as_grid_sample_reads_them(height, width):
    maps = torch.randn(3, 4, height, width)
    inside, around = torch.rand(3, 40, 2), torch.rand(3, 40, 2) * 3 - 1
    far = torch.tensor([[-50.0, 0.3], [0.5, 80.0], [-9.0, 9.0]]).expand(3, -1, -1)
    rim = torch.cartesian_prod(*[torch.tensor([0.0, 0.5 / width, 0.5, 1.0])] * 2)
    points = torch.cat([inside, around, far, rim.expand(3, -1, -1)], 1)
    grid = (points * 2 - 1)[:, :, None]
    expected = functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    assert torch.allclose(sample_at(maps, points), expected[..., 0].transpose(1, 2), atol=1e-5)


def test_a_maps_pixel_is_read_at_its_centre_x_before_y():
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    assert sample_at(maps, torch.tensor([[[2.5 / 4, 1.5 / 3]]])).item() == pytest.approx(6.0)


def test_geometry_is_what_the_landmark_baseline_reads():
    world = hands(20)[2]
    expected = landmark_baseline.compute_features(world.numpy())
    found = HandFeatures().geometry(world).numpy()
    assert found.shape == (20, BLOCKS[-1])
    assert np.allclose(found, expected, rtol=0, atol=1e-5)


def test_features_are_maps_at_each_joint_then_geometry():
    network = HandFeatures().eval()
    crops, points, world = hands(2)
    with torch.inference_mode():
        before = network(crops, points, world)
        moved = points.clone()
        moved[:, 8, :2] = 1 - moved[:, 8, :2]
        deeper = points + torch.tensor([0.0, 0.0, 0.3])
        assert before.shape == (2, FEATURES) and before.dtype == torch.float32
        assert torch.equal(before, network(crops, deeper, world))
        changed = (network(crops, moved, world) != before).any(0).split(BLOCKS)
        bent = (network(crops, points, world[[1, 0]]) != before).any(0).split(BLOCKS)
    for block, channels in zip(changed[:-1], TAP_CHANNELS, strict=True):
        assert block.view(21, channels).any(1).nonzero().flatten().tolist() == [8]
    assert not changed[-1].any()
    assert [block.any().item() for block in bent] == [False, False, False, True]


@pytest.mark.parametrize("hidden", [0, 16])
def test_embeddings_are_unit_and_each_hands_own(hidden):
    config = ModelConfig(**{**SMALL.to_dict(), "hidden": hidden})
    encoder = GestureEncoder(config).eval()
    inputs = hands(5)
    with torch.inference_mode():
        together = encoder(*inputs)
        alone = torch.cat([encoder(*(rows[i : i + 1] for rows in inputs)) for i in range(5)])
        turned_round = encoder(*(rows.flip(0) for rows in inputs))
    assert together.shape == (5, config.dim)
    assert torch.allclose(together.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, turned_round.flip(0), atol=1e-5)
    assert (together @ together.T - torch.eye(5)).max() < 1 - 1e-4  # and hands differ


def test_dropout_is_for_training_alone():
    encoder = GestureEncoder(SMALL)
    inputs = hands(2)
    with torch.inference_mode():
        encoder.train()
        assert not torch.equal(encoder(*inputs), encoder(*inputs))
        encoder.eval()
        assert torch.equal(encoder(*inputs), encoder(*inputs))


@pytest.mark.parametrize("config", [ModelConfig(), SMALL])
def test_config_survives_json(config):
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and isinstance(again.components, tuple)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert hash(again) == hash(config)


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="colour"):
        ModelConfig.from_dict({"colour": "red"})
