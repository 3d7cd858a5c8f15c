"""Random warps of whole batches of pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def warp(pictures: Tensor, kind: str, draws: torch.Generator) -> Tensor:
    """Warp each picture by a random transform of its own; pixels from outside are 0.

    Args:
        pictures: float (N, 1, S, S).
        kind: "none"; "affine", as Koch et al. (2015, section 3.2): a turn within ±10°, a shear
            within ±0.3, a zoom of 0.8–1.2 per axis and a shift within ±2 of 105 px, each with
            probability ½; "elastic": all of these, within wider limits for turn and shift, and a
            smooth random displacement.
        draws: Source of randomness.

    Returns:
        float (N, 1, S, S).
    """
    if kind == "none":
        return pictures
    count = len(pictures)
    if kind == "affine":
        limits, chance = (0.1745, 0.3, 0.2, 2 * 2 / 105), 0.5
    else:
        limits, chance = (0.25, 0.3, 0.2, 0.15), 1.0

    def amount(limit: float) -> Tensor:
        values = (torch.rand(count, generator=draws) * 2 - 1) * limit
        return values * (torch.rand(count, generator=draws) < chance)

    turn, shear, zoom, shift = limits
    angle, slant = amount(turn), amount(shear)
    wide, high = 1 + amount(zoom), 1 + amount(zoom)
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos * wide, -sin * high + slant, amount(shift)], dim=1)
    down = torch.stack([sin * wide, cos * high, amount(shift)], dim=1)
    matrix = torch.stack([across, down], dim=1)  # (N, 2, 3), new → old, in half widths
    grid = functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    if kind == "elastic":
        knots = 0.08 * torch.randn(count, 2, 5, 5, generator=draws)
        bend = functional.interpolate(
            knots, size=pictures.shape[2:], mode="bicubic", align_corners=True
        )
        grid = grid + bend.permute(0, 2, 3, 1)
    return functional.grid_sample(pictures, grid, align_corners=False)
