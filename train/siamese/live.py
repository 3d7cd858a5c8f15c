"""A Siamese network as an encoder of the live loop: crop → grey → resized → features."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engines.spec import EncoderSpec
from train.siamese.networks import SiameseNetwork

CROP_SIZE = 160  # px; as in train/siamese/hands.py
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601), as in OpenCV


class LiveSiamese(nn.Module):
    """A Siamese network that takes the live loop's crops.

    It ends at the features; the spec says how they are compared.
    """

    grey: Tensor
    shrink: Tensor

    def __init__(self, network: SiameseNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1))
        shrink = area_average(CROP_SIZE, network.layout.size)
        self.register_buffer("shrink", torch.from_numpy(shrink))

    def forward(self, crop: Tensor) -> Tensor:
        """Compute features, float (N, D), of crops float (N, 3, CROP_SIZE, CROP_SIZE) RGB 0…1."""
        grey = (crop * self.grey).sum(1, keepdim=True)
        return self.network(self.shrink @ grey @ self.shrink.T)


def area_average(old: int, new: int) -> np.ndarray:
    """Build the matrix, float32 (new, old), that scales a line of pixels as cv2.INTER_AREA does.

    Args:
        old: Number of pixels before.
        new: Number of pixels after, at most `old`.
    """
    edges = np.arange(new + 1) * (old / new)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(old)[None]
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


def siamese_spec(network: SiameseNetwork, name: str) -> EncoderSpec:
    """Describe a network as an encoder, with the similarity that it was trained with."""
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
        crop_size=CROP_SIZE,
        similarity_weights=weights,
        similarity_bias=bias,
    )
