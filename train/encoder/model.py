"""The encoder: one pass of a hand-landmark network gives landmarks and an embedding.

Pooling a feature map over the whole crop blurs what distinguishes similar gestures: where a
fingertip touches, whether two fingers lie together. So three maps of MediaPipe's network are
sampled at the 21 joints that the same pass finds, and concatenated with the geometry of its world
landmarks. A small head, the only part that is trained, turns that into a unit embedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.backbone.backbone import INPUT_SIZE, Backbone, Landmarks
from train.backbone.landmark_baseline import BONES, EPSILON, PAIR_WEIGHT, PAIRS, PALM

TAPS = (5, 9, 11)  # layers of the backbone whose output is sampled: strides 8, 16, 16
TAP_CHANNELS = (40, 112, 112)
GEOMETRY = 270
BLOCKS = (*(21 * channels for channels in TAP_CHANNELS), GEOMETRY)  # widths of the features
FEATURES = sum(BLOCKS)


@dataclass(frozen=True)
class ModelConfig:
    """Settings of the encoder, as stored in a checkpoint.

    Attributes:
        crop_size: Width S of the crops, px; a multiple of 32.
        components: Principal components kept of each block of features.
        hidden: Width of the head's non-linear branch; 0 leaves it out.
        dim: Size D of the embedding.
        dropout: Dropout rate of the head.
    """

    crop_size: int = INPUT_SIZE
    components: tuple[int, ...] = (120, 180, 180, 80)
    hidden: int = 384
    dim: int = 256
    dropout: float = 0.3

    @staticmethod
    def from_dict(values: dict[str, object]) -> ModelConfig:
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return ModelConfig(**fields)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        return dataclasses.asdict(self)


def sample_at(maps: Sequence[Tensor], points: Tensor) -> list[Tensor]:
    """Sample feature maps bilinearly.

    The same as grid_sample with padding_mode="border" and align_corners=False, but as a product
    with tent functions, in operators that every runtime has.

    Args:
        maps: (N, C, H, W) each.
        points: (N, P, 2), x and y in map widths and heights, 0…1; points outside are moved to the
            border.

    Returns:
        (N, P, C) for each map.
    """
    tents: dict[tuple[int, int], Tensor] = {}  # maps of one size share them
    samples = []
    for each in maps:
        height, width = each.shape[2:]
        if (height, width) not in tents:
            tents[height, width] = _tents(points, height, width)
        samples.append(tents[height, width] @ each.flatten(2).transpose(1, 2))
    return samples


def _tents(points: Tensor, height: int, width: int) -> Tensor:
    """The weights, (N, P, H·W), of a map's places in the samples at (N, P, 2)."""
    size = torch.tensor([width, height], dtype=points.dtype, device=points.device)
    at = torch.minimum((points * size - 0.5).clamp(min=0.0), size - 1.0)  # (N, P, 2)
    columns = torch.arange(width, dtype=points.dtype, device=points.device)
    rows = torch.arange(height, dtype=points.dtype, device=points.device)
    across = (1.0 - (at[..., :1] - columns).abs()).clamp(min=0.0)  # (N, P, W)
    down = (1.0 - (at[..., 1:] - rows).abs()).clamp(min=0.0)  # (N, P, H)
    return (down[..., :, None] * across[..., None, :]).flatten(2)


class HandFeatures(nn.Module):
    """The frozen part of the encoder: crops and turns, as in EncoderSpec → landmarks, features."""

    bones: Tensor
    pairs: Tensor
    palm: Tensor

    def __init__(self, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.backbone = backbone or Backbone()
        for name, matrix in (("bones", BONES), ("pairs", PAIRS), ("palm", PALM)):
            self.register_buffer(name, torch.from_numpy(matrix), persistent=False)

    def forward(self, crop: Tensor, turn: Tensor) -> tuple[Landmarks, Tensor]:
        """Compute what MediaPipe's network gives, and features (N, FEATURES)."""
        maps, x = [], crop
        for i, layer in enumerate(self.backbone.layers):
            x = layer(x)
            if i in TAPS:
                maps.append(x)
        found = self.backbone.predict_landmarks(x.mean(dim=(2, 3)))
        at = found.landmarks[..., :2] / INPUT_SIZE
        parts = [samples.flatten(1) for samples in sample_at(maps, at)]
        return found, torch.cat([*parts, self.geometry(turn_upright(found.world, turn))], 1)

    def geometry(self, world_landmarks: Tensor) -> Tensor:
        """Compute the landmark baseline's bone directions and pair distances, (N, 270)."""
        bones = self.bones @ world_landmarks  # (N, 20, 3)
        directions = bones / (bones.norm(dim=2, keepdim=True) + EPSILON)
        distances = (self.pairs @ world_landmarks).norm(dim=2)  # (N, 210)
        palm = (self.palm @ world_landmarks).norm(dim=2).mean(1, keepdim=True)  # (N, 1)
        return torch.cat([directions.flatten(1), PAIR_WEIGHT * distances / (palm + EPSILON)], 1)


def turn_upright(world: Tensor, turn: Tensor) -> Tensor:
    """Turn world landmarks (N, 21, 3) of a crop into the camera's frame.

    Args:
        world: In the crop's orientation.
        turn: (N, 2), cosine and sine of the angle by which its up is turned clockwise.
    """
    x, y, z = world.unbind(-1)
    cos, sin = turn[:, :1], turn[:, 1:]
    return torch.stack([x * cos - y * sin, x * sin + y * cos, z], -1)


class Whitening(nn.Module):
    """Principal components of each block of features: (N, FEATURES) → (N, Σ components).

    train.encoder.whitening computes them in closed form before the training.
    """

    def __init__(self, components: tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Linear(width, count) for width, count in zip(BLOCKS, components, strict=True)
        )

    def forward(self, features: Tensor) -> Tensor:
        parts = features.split(BLOCKS, 1)
        return torch.cat([f(x) for f, x in zip(self.blocks, parts, strict=True)], 1)


class Head(nn.Module):
    """Whitened features (N, K) → unit embeddings (N, D): a linear plus a non-linear branch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = sum(config.components)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width, config.dim)
        self.bent = None
        if config.hidden:
            self.bent = nn.Sequential(
                nn.Linear(width, config.hidden),
                nn.GELU(),
                nn.Dropout(config.dropout),
                nn.Linear(config.hidden, config.dim),
            )

    def forward(self, whitened: Tensor) -> Tensor:
        x = self.dropout(whitened)
        y = self.linear(x)
        if self.bent is not None:
            y = y + self.bent(x)
        return functional.normalize(y, dim=1)


class Pass(NamedTuple):
    """Outputs of the encoder, named and shaped as `engines.hand_networks.HandOutputs`."""

    landmarks: Tensor
    presence: Tensor
    right: Tensor
    world_landmarks: Tensor
    embedding: Tensor


class GestureEncoder(nn.Module):
    """Crops and turns → landmarks, presence, side and unit embeddings (N, D)."""

    kind = "one-pass"  # in a checkpoint

    def __init__(self, config: ModelConfig, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.config = config
        self.features = HandFeatures(backbone)
        self.whitening = Whitening(config.components)
        self.head = Head(config)

    def forward(self, crop: Tensor, turn: Tensor) -> Pass:
        found, features = self.features(crop, turn)
        return Pass(
            found.landmarks,
            found.presence.sigmoid(),
            found.right.sigmoid(),
            found.world,
            self.head(self.whitening(features)),
        )
