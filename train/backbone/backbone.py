"""MediaPipe's hand-landmark network as a PyTorch module, with its published weights.

The network (Apache-2.0, "hand_landmark_full") is a chain of inverted residual blocks, trained on
far more hands than any data set of gestures holds: its features separate hand shapes without any
further training.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engines.encoder import MODELS
from engines.errors import UserError, short_reason
from engines.hand_networks import HAND

REMEDY = "Make it again with: python -m train.backbone.hand_networks"
FEATURES = 1152
INPUT_SIZE = HAND.size  # px; the unit of `Landmarks.landmarks`
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


def load_backbone(path: Path = MODELS / f"{HAND.role}.onnx") -> Backbone:
    """Load the network from hand.onnx, which `train.backbone.hand_networks` writes.

    Raises:
        UserError: The file is missing, damaged or holds another network.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
        values = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
        halved = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast"}
        values |= {name: values[half] for name, half in halved.items() if half in values}
        stored = [
            [
                torch.from_numpy(values[name].astype(np.float32))
                for name in node.input[1:3]
                if name in values
            ]
            for node in graph.node
            if node.op_type in ("Conv", "Gemm")
        ]
    except Exception as error:  # OSError, protobuf's own unrelated types
        raise UserError(
            f"{path} can't be read as the hand network ({short_reason(error)}). {REMEDY}"
        ) from None
    network = Backbone()
    layers = [
        (layer.weight, layer.bias)
        for layer in network.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None
    ]
    expected = [[weight.shape, bias.shape] for weight, bias in layers]
    if [[value.shape for value in pair] for pair in stored] != expected:
        raise UserError(f"{path} holds another network than hand_landmark_full. {REMEDY}")
    with torch.no_grad():
        for own, found in zip(layers, stored, strict=True):
            for parameter, value in zip(own, found, strict=True):
                parameter.copy_(value)
    return network.eval()
