"""Siamese networks: the published ones and our own, and the similarities of their features.

The published ones are that of Koch, Zemel & Salakhutdinov, "Siamese neural networks for one-shot
image recognition" (2015), and its descendants for 28 × 28 ASL pictures and for faces.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.errors import UserError

SIMILARITIES = ("weighted_l1", "euclidean", "cosine")


@dataclass(frozen=True)
class TwinLayout:
    """A published twin: unpadded convolutions with ReLU, max pools between them, a dense layer.

    Pools are 2 × 2; the features are the sigmoid of the dense layer.

    Attributes:
        size: Width of the grey input, px.
        convolutions: (filters, kernel) of each convolution.
        features: Number D of features.
        batch_norm: Whether batch normalisation follows each convolution.
        first_bias: Whether the first convolution has a bias.
        dropout: Dropout rate before the dense layer.
    """

    size: int
    convolutions: tuple[tuple[int, int], ...]
    features: int
    batch_norm: bool = False
    first_bias: bool = True
    dropout: float = 0.0

    def body(self) -> nn.Sequential:
        """Build the layers: (N, 1, size, size) → (N, D)."""
        layers: list[nn.Module] = []
        channels, size = 1, self.size
        for number, (filters, kernel) in enumerate(self.convolutions):
            layers.append(nn.Conv2d(channels, filters, kernel, bias=self.first_bias or number > 0))
            channels, size = filters, size - kernel + 1
            if self.batch_norm:
                layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.ReLU())
            if number + 1 < len(self.convolutions):
                layers.append(nn.MaxPool2d(2))
                size //= 2
        layers.append(nn.Flatten())
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        layers += [nn.Linear(channels * size * size, self.features), nn.Sigmoid()]
        return nn.Sequential(*layers)


@dataclass(frozen=True)
class ResidualLayout:
    """Our own twin: residual blocks between max pools, a dense layer with batch normalisation.

    Attributes:
        size: Width of the grey input, px; four pools divide it by 16 and round down.
        width: Filters of the first blocks.
        features: Number D of features.
        dropout: Dropout rate before the dense layer.
    """

    size: int
    width: int
    features: int
    dropout: float = 0.2

    def body(self) -> nn.Sequential:
        """Build the layers: (N, 1, size, size) → (N, D)."""
        width = self.width
        last = (self.size // 16) ** 2 * 4 * width
        return nn.Sequential(
            _convolution(1, width, 5),
            nn.MaxPool2d(2),
            ResidualBlock(width, width),
            nn.MaxPool2d(2),
            ResidualBlock(width, 2 * width),
            ResidualBlock(2 * width, 2 * width),
            nn.MaxPool2d(2),
            ResidualBlock(2 * width, 4 * width),
            _convolution(4 * width, 4 * width, 3),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(self.dropout),
            nn.Linear(last, self.features),
            nn.BatchNorm1d(self.features),
        )


ASL = ((64, 7), (128, 4), (256, 3))
KOCH = ((64, 10), (128, 7), (128, 4), (256, 4))

NETWORKS: dict[str, TwinLayout | ResidualLayout] = {
    "koch": TwinLayout(105, KOCH, 4096),
    "asl-2048": TwinLayout(28, ASL, 2048),
    "asl-1024": TwinLayout(28, ASL, 1024),
    "asl-narrow": TwinLayout(28, ((64, 7), (128, 4), (128, 3)), 1024),
    "face": TwinLayout(105, KOCH, 4096, batch_norm=True, first_bias=False, dropout=0.4),
    "face-reduced": TwinLayout(
        105, ((32, 10), (64, 7), (64, 4), (128, 4)), 1024, True, first_bias=False, dropout=0.4
    ),
    "residual": ResidualLayout(52, 32, 256),
}


def _convolution(channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    )


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut (He et al. 2016): (N, C, H, W) → (N, F, H, W)."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.first = _convolution(channels, filters, 3)
        self.second = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.past: nn.Module = nn.Identity()
        if channels != filters:
            self.past = nn.Conv2d(channels, filters, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.second(self.first(x))) + self.past(x))


@dataclass(frozen=True)
class SiameseConfig:
    """What a checkpoint says of a network.

    Attributes:
        network: A name in NETWORKS.
        similarity: One of SIMILARITIES.

    Raises:
        UserError: One of them is unknown.
    """

    network: str
    similarity: str = "weighted_l1"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise UserError(f"A network is one of {', '.join(NETWORKS)}; got {self.network!r}.")
        if self.similarity not in SIMILARITIES:
            raise UserError(
                f"A similarity is one of {', '.join(SIMILARITIES)}; got {self.similarity!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class SiameseNetwork(nn.Module):
    """A twin, which computes features of grey pictures, and the similarity of features."""

    kind = "siamese"  # in a checkpoint

    def __init__(self, config: SiameseConfig) -> None:
        super().__init__()
        self.config = config
        self.layout = NETWORKS[config.network]
        self.body = self.layout.body()
        self.mixed_precision = False  # convolve in bfloat16, while training
        self.head = None
        if config.similarity == "weighted_l1":
            self.head = nn.Linear(self.layout.features, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute features, float32 (N, D), of pictures float (N, 1, S, S) 0…1.

        They have unit norm if the similarity is the cosine.
        """
        if self.mixed_precision:
            with torch.autocast(pictures.device.type, torch.bfloat16):
                features = self.body(pictures).float()
        else:
            features = self.body(pictures)
        return functional.normalize(features) if self.config.similarity == "cosine" else features

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare features float (…, D), with broadcasting; higher is more similar.

        Returns:
            float (…): the logit Σ wⱼ|aⱼ − bⱼ| + bias (weighted_l1), −‖a − b‖ (euclidean), or
            a · b (cosine).
        """
        if self.head is not None:
            return self.head((a - b).abs()).squeeze(-1)
        if self.config.similarity == "euclidean":
            # √0 has no gradient: equal features would give NaN.
            return -((a - b).square().sum(-1) + 1e-12).sqrt()
        return (a * b).sum(-1)


def initialise(network: SiameseNetwork, seed: int) -> None:
    """Initialise the weights as Koch et al. (2015, section 3.2) did.

    Convolutions are drawn from N(0, 0.01), dense layers from N(0, 0.2), biases from N(0.5, 0.01);
    the second numbers are standard deviations.
    """
    draws = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spread = 0.01 if isinstance(layer, nn.Conv2d) else 0.2
            nn.init.normal_(layer.weight, 0.0, spread, generator=draws)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, 0.5, 0.01, generator=draws)


KINDS = {SiameseNetwork.kind: lambda config: SiameseNetwork(SiameseConfig(**config))}
