"""The encoder's parts: maps read at joints, the hand's geometry, all outputs of its pass."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch
from torch import Tensor
from torch.nn import functional

from engines.hand_networks import HAND, HandOutputs
from realtime.drawn.pose import joints, view_rotation
from realtime.drawn.random_hand import random_pose, random_shape
from train.backbone import landmark_baseline
from train.backbone.backbone import INPUT_SIZE, Landmarks
from train.encoder.model import (
    BLOCKS,
    FEATURES,
    TAP_CHANNELS,
    GestureEncoder,
    HandFeatures,
    ModelConfig,
    Pass,
    sample_at,
    turn_upright,
)

SMALL = ModelConfig(crop_size=96, components=(8, 9, 10, 11), hidden=16, dim=12)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def hands(count: int, size: int = 96, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise for crops, and turns."""
    rng = np.random.default_rng(seed)
    crops = rng.random((count, 3, size, size), np.float32)
    return torch.from_numpy(crops), turn_of(*rng.uniform(-math.pi, math.pi, count))


def turn_of(*angles: float) -> Tensor:
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles])


def found(count: int, seed: int = 0) -> Landmarks:
    """Points within and just outside crops, hands of several people."""
    rng = np.random.default_rng(seed)
    world = [
        joints(random_pose(rng), random_shape(rng)) @ view_rotation(*rng.normal(0, 0.4, 3)).T
        for _ in range(count)
    ]
    points = torch.from_numpy(rng.uniform(-0.1, 1.1, (count, 21, 3))).float() * INPUT_SIZE
    presence, right = torch.from_numpy(rng.normal(0.0, 3.0, (2, count))).float()
    return Landmarks(points, presence, right, torch.from_numpy(np.stack(world)).float())


@pytest.mark.parametrize(("height", "width"), [(20, 20), (7, 5), (1, 3), (1, 1)])
def test_maps_are_read_as_grid_sample_reads_them(height, width):
    maps = torch.randn(3, 4, height, width)
    inside, around = torch.rand(3, 40, 2), torch.rand(3, 40, 2) * 3 - 1
    far = torch.tensor([[-50.0, 0.3], [0.5, 80.0], [-9.0, 9.0]]).expand(3, -1, -1)
    rim = torch.cartesian_prod(*[torch.tensor([0.0, 0.5 / width, 0.5, 1.0])] * 2)
    points = torch.cat([inside, around, far, rim.expand(3, -1, -1)], 1)
    grid = (points * 2 - 1)[:, :, None]
    expected = functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    assert torch.allclose(sample_at([maps], points)[0], expected[..., 0].transpose(1, 2), atol=1e-5)


def test_a_maps_pixel_is_read_at_its_centre_x_before_y():
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    assert sample_at([maps], torch.tensor([[[2.5 / 4, 1.5 / 3]]]))[0].item() == pytest.approx(6.0)


def test_geometry_is_what_the_landmark_baseline_reads():
    world = found(20).world
    expected = landmark_baseline.compute_features(world.numpy())
    geometry = HandFeatures().geometry(world).numpy()
    assert geometry.shape == (20, BLOCKS[-1])
    assert np.allclose(geometry, expected, rtol=0, atol=1e-5)


def test_features_are_maps_at_each_joint_then_geometry(monkeypatch):
    network = HandFeatures().eval()
    crops, turns = hands(2)
    seen = found(2)

    def features(turn: Tensor = turns, **changes: Tensor) -> Tensor:
        """Of what the network is made to find."""
        what = seen._replace(**changes)
        monkeypatch.setattr(network.backbone, "predict_landmarks", lambda pooled: what)
        given, rows = network(crops, turn)
        assert given is what
        return rows

    with torch.inference_mode():
        before = features()
        moved = seen.landmarks.clone()
        moved[:, 8, :2] = INPUT_SIZE - moved[:, 8, :2]
        deeper = seen.landmarks + torch.tensor([0.0, 0.0, 0.3]) * INPUT_SIZE
        assert before.shape == (2, FEATURES) and before.dtype == torch.float32
        assert torch.equal(before, features(landmarks=deeper))
        changed = (features(landmarks=moved) != before).any(0).split(BLOCKS)
        bent = (features(world=seen.world[[1, 0]]) != before).any(0).split(BLOCKS)
        turned = (features(turn=turns[[1, 0]]) != before).any(0).split(BLOCKS)
    for block, channels in zip(changed[:-1], TAP_CHANNELS, strict=True):
        assert block.view(21, channels).any(1).nonzero().flatten().tolist() == [8]
    assert not changed[-1].any()
    for blocks in (bent, turned):
        assert [block.any().item() for block in blocks] == [False, False, False, True]


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, -2.5])
def test_world_landmarks_are_turned_back_into_the_cameras_frame(angle):
    """By hand: a crop whose up is turned clockwise by `angle` shows up what points there."""
    up_in_crop = torch.tensor([[[0.0, -1.0, 0.3]]])
    (point,) = turn_upright(up_in_crop, turn_of(angle))[0].tolist()
    assert point == pytest.approx([math.sin(angle), -math.cos(angle), 0.3], abs=1e-6)
    world = found(3).world
    there_and_back = turn_upright(
        turn_upright(world, turn_of(*[angle] * 3)), turn_of(*[-angle] * 3)
    )
    assert torch.allclose(there_and_back, world, atol=1e-6)


def test_the_outputs_are_those_of_the_engines_named_alike():
    assert list(Pass._fields) == [field.name for field in dataclasses.fields(HandOutputs)]
    assert list(Pass._fields) == [*HAND.outputs, "embedding"]
    encoder = GestureEncoder(SMALL).eval()
    crops, turns = hands(3)
    with torch.inference_mode():
        given = encoder(crops, turns)
        seen, features = encoder.features(crops, turns)
        embeddings = encoder.head(encoder.whitening(features))
    assert torch.equal(given.landmarks, seen.landmarks) and torch.equal(given[3], seen.world)
    assert torch.equal(given.presence, seen.presence.sigmoid())
    assert torch.equal(given.right, seen.right.sigmoid())
    assert torch.equal(given.embedding, embeddings)


@pytest.mark.parametrize("hidden", [0, 16])
def test_embeddings_are_unit_and_each_hands_own(hidden):
    config = ModelConfig(**{**SMALL.to_dict(), "hidden": hidden})
    encoder = GestureEncoder(config).eval()
    inputs = hands(5)
    with torch.inference_mode():
        together = encoder(*inputs).embedding
        rows = [[each[i : i + 1] for each in inputs] for i in range(5)]
        alone = torch.cat([encoder(*row).embedding for row in rows])
        turned_round = encoder(*(each.flip(0) for each in inputs)).embedding
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
        assert not torch.equal(encoder(*inputs).embedding, encoder(*inputs).embedding)
        encoder.eval()
        assert torch.equal(encoder(*inputs).embedding, encoder(*inputs).embedding)


@pytest.mark.parametrize("config", [ModelConfig(), SMALL])
def test_config_survives_json(config):
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and isinstance(again.components, tuple)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert hash(again) == hash(config)


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="colour"):
        ModelConfig.from_dict({"colour": "red"})
