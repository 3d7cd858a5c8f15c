"""The baseline of every learned comparison: the pictures themselves, compared pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RawPixels(nn.Module):
    """Stands where a SiameseNetwork does, and has learned nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # says on which device

    def forward(self, pictures: Tensor) -> Tensor:
        """float (N, 1, S, S), 0…1 → features (N, S²): the pixels."""
        return pictures.flatten(1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """float (…, D), broadcast → float (…): −‖a − b‖, higher is more alike."""
        return -(a - b).square().sum(-1).sqrt()
