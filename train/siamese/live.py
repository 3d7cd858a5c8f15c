"""A Siamese network as an encoder of the live loop: crop → grey → its size → features."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engines.spec import EncoderSpec
from train.siamese.networks import SiameseNetwork

CROP = 160  # px, as train/siamese/hands.py cuts its pictures from
GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as OpenCV does it


class LiveSiamese(nn.Module):
    """The network behind the live loop's crops. The graph ends at the features: what compares
    them is in the spec."""

    grey: Tensor
    shrink: Tensor

    def __init__(self, network: SiameseNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1))
        self.register_buffer("shrink", torch.from_numpy(area_average(CROP, network.layout.size)))

    def forward(self, crop: Tensor) -> Tensor:
        """float (N, 3, CROP, CROP) RGB, 0…1 → float (N, D)."""
        grey = (crop * self.grey).sum(1, keepdim=True)
        return self.network(self.shrink @ grey @ self.shrink.T)


def area_average(old: int, new: int) -> np.ndarray:
    """float32 (new, old): the mean over each new pixel's share of the old ones, as
    cv2.INTER_AREA takes it."""
    edges = np.arange(new + 1) * (old / new)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(old)[None]
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


def siamese_spec(network: SiameseNetwork, name: str) -> EncoderSpec:
    """Its similarity is the one it was trained with, weights and all."""
    weights: tuple[float, ...] = ()
    bias = 0.0
    if network.head is not None:
        weights = tuple(network.head.weight.detach().flatten().tolist())
        bias = float(network.head.bias.detach())
    return EncoderSpec(
        name=name,
        inputs=("crop",),
        dim=network.layout.features,
        similarity=network.config.similarity,
        crop_size=CROP,
        similarity_weights=weights,
        similarity_bias=bias,
    )
