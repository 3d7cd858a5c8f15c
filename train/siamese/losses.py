"""Losses of Siamese networks over pairs and triplets; CosFace, over classes, is a library's."""

from __future__ import annotations

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import Tensor
from torch.nn import functional

PAIR_LOSSES = ("bce", "contrastive")
LOSSES = (*PAIR_LOSSES, "triplet", "cosface")


def cross_entropy(logits: Tensor, same: Tensor) -> Tensor:
    """Compute the binary cross-entropy of pairs (Koch et al. 2015).

    Args:
        logits: float (P,).
        same: bool (P,), whether the pairs are of one class.

    Returns:
        The mean, ().
    """
    return functional.binary_cross_entropy_with_logits(logits, same.to(logits.dtype))


def contrastive_loss(distance: Tensor, same: Tensor, margin: float) -> Tensor:
    """Compute the contrastive loss (Hadsell, Chopra & LeCun 2006, equation 4).

    It is ½ d² for pairs of one class and ½ max(0, margin − d)² for others.

    Args:
        distance: float (P,), d ≥ 0.
        same: bool (P,), whether the pairs are of one class.
        margin: Distance from which on different pairs cost nothing.

    Returns:
        The mean, ().
    """
    other = (margin - distance).clamp(min=0).square()
    return 0.5 * torch.where(same, distance.square(), other).mean()


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Compute the triplet loss max(0, ‖a − p‖ − ‖a − n‖ + margin) of features float (T, D) each.

    As Schroff et al. (2015), but with distances that aren't squared.

    Returns:
        The mean over the triplets whose loss isn't zero, ().
    """
    count = torch.arange(len(anchor), device=anchor.device)
    rows = (count, count + len(anchor), count + 2 * len(anchor))
    loss = TripletMarginLoss(margin, distance=LpDistance(normalize_embeddings=False))
    return loss(torch.cat([anchor, positive, negative]), indices_tuple=rows)
