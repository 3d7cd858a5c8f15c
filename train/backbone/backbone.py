"""MediaPipe's hand-landmark network as a PyTorch module, with its published weights.

The network (Apache-2.0, "hand_landmark_full") is a chain of inverted residual blocks, trained on
far more hands than any data set of gestures holds: its features separate hand shapes without any
further training.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import UserError
from train.backbone import tflite

NETWORK_FILE = "hand_landmarks_detector.tflite"  # inside the .task bundle
FEATURES = 1152
INPUT_SIZE = 224  # px; the unit of `Landmarks.landmarks`
# (kernel, stride, expanded channels, output channels) of each block. 0 leaves a 1 × 1 convolution
# out: the one before the depthwise convolution, or the one after it.
BLOCKS = (
    (3, 1, 0, 16),
    (3, 2, 64, 24),
    (3, 1, 144, 24),
    (5, 2, 144, 40),
    (5, 1, 240, 40),
    (3, 2, 240, 80),
    (3, 1, 480, 80),
    (3, 1, 480, 80),
    (5, 1, 480, 112),
    (5, 1, 672, 112),
    (5, 1, 672, 112),
    (5, 2, 672, 192),
    (5, 1, 1152, 192),
    (5, 1, 1152, 192),
    (5, 1, 1152, 192),
    (3, 1, FEATURES, 0),
)


class Convolution(nn.Sequential):
    """Convolution with TensorFlow's SAME padding, and ReLU6 unless `linear`.

    With stride 2, and inputs of even size as here, SAME pads more after the input than before it.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, linear: bool
    ) -> None:
        total = kernel - stride
        pad = (total // 2, total - total // 2) * 2
        layers: list[nn.Module] = [] if stride == 1 else [nn.ZeroPad2d(pad)]
        padding = kernel // 2 if stride == 1 else 0
        layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=True))
        if not linear:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """Block of MobileNetV2 (Sandler et al. 2018): expand 1 × 1, depthwise, project 1 × 1.

    The input is added to the output where their shapes agree.
    """

    def __init__(self, inputs: int, kernel: int, stride: int, expanded: int, out: int) -> None:
        super().__init__()
        wide = expanded or inputs
        layers = [Convolution(inputs, wide, 1, 1, 1, linear=False)] if expanded else []
        layers.append(Convolution(wide, wide, kernel, stride, wide, linear=False))
        if out:
            layers.append(Convolution(wide, out, 1, 1, 1, linear=True))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class Landmarks(NamedTuple):
    """Output of MediaPipe's network for N crops.

    Attributes:
        landmarks: (N, 21, 3), pixels of a 224 × 224 crop.
        presence: (N,) logits: the crop shows a hand.
        right: (N,) logits: it is a right hand.
        world: (N, 21, 3) metres, in the crop's orientation.
    """

    landmarks: Tensor
    presence: Tensor
    right: Tensor
    world: Tensor


class Backbone(nn.Module):
    """MediaPipe's hand-landmark network.

    Crops are float (N, 3, S, S) RGB, 0…1, upright; S is a multiple of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [Convolution(3, 24, 3, 2, 1, linear=False)]
        channels = 24
        for kernel, stride, expanded, out in BLOCKS:
            layers.append(InvertedResidual(channels, kernel, stride, expanded, out))
            channels = out or expanded
        self.layers = nn.Sequential(*layers)
        # `load_backbone` relies on this order: it is that of the file.
        self.right = nn.Linear(FEATURES, 1)
        self.presence = nn.Linear(FEATURES, 1)
        self.landmarks = nn.Linear(FEATURES, 63)
        self.world = nn.Linear(FEATURES, 63)

    def forward(self, crops: Tensor) -> Tensor:
        """Compute the last feature map, (N, 1152, S/32, S/32)."""
        return self.layers(crops)

    def pool(self, crops: Tensor) -> Tensor:
        """Compute the mean of the last feature map, (N, 1152)."""
        return self(crops).mean(dim=(2, 3))

    def predict_landmarks(self, pooled: Tensor) -> Landmarks:
        """Compute MediaPipe's own outputs from pooled features (N, 1152) of 224 × 224 crops."""
        return Landmarks(
            self.landmarks(pooled).view(-1, 21, 3),
            self.presence(pooled)[:, 0],
            self.right(pooled)[:, 0],
            self.world(pooled).view(-1, 21, 3),
        )


def load_backbone(hand_model: Path) -> Backbone:
    """Load the network from MediaPipe's hand_landmarker.task.

    Raises:
        UserError: The file is missing, damaged or holds another network.
    """
    try:
        with zipfile.ZipFile(hand_model) as bundle:
            data = bundle.read(NETWORK_FILE)
    except Exception as error:  # zipfile and zlib raise half a dozen types on damage
        raise UserError(
            f"{hand_model} is no hand model ({error}): a .task bundle with {NETWORK_FILE} is "
            f"expected. {tflite.REMEDY}"
        ) from None
    network = Backbone()
    layers = [
        (layer.weight, layer.bias)
        for layer in network.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None
    ]
    stored = [
        (torch.from_numpy(_torch_layout(kind, weight)), torch.from_numpy(bias))
        for kind, weight, bias in tflite.read_weights(data, hand_model)
    ]
    expected = [(weight.shape, bias.shape) for weight, bias in layers]
    if [(weight.shape, bias.shape) for weight, bias in stored] != expected:
        raise UserError(
            f"{hand_model} holds another network than hand_landmark_full. {tflite.REMEDY}"
        )
    with torch.no_grad():
        for own, found in zip(layers, stored, strict=True):
            for parameter, value in zip(own, found, strict=True):
                parameter.copy_(value)
    return network.eval()


def _torch_layout(kind: str, weight: np.ndarray) -> np.ndarray:
    """Transpose TensorFlow Lite's weights to PyTorch's order of axes."""
    if kind == "conv":  # (out, h, w, in) → (out, in, h, w)
        return np.ascontiguousarray(weight.transpose(0, 3, 1, 2))
    if kind == "depthwise":  # (1, h, w, channels) → (channels, 1, h, w)
        return np.ascontiguousarray(weight.transpose(3, 0, 1, 2))
    return weight
