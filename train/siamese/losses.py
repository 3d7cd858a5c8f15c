"""What Siamese networks are trained with: a loss over pairs, over triplets, or over classes."""

from __future__ import annotations

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import Tensor
from torch.nn import functional

PAIR_LOSSES = ("bce", "contrastive")
LOSSES = (*PAIR_LOSSES, "triplet", "cosface")


def cross_entropy(logits: Tensor, same: Tensor) -> Tensor:
    """Binary cross-entropy of float logits (P,) against bool same (P,); → () (Koch et al. 2015)."""
    return functional.binary_cross_entropy_with_logits(logits, same.to(logits.dtype))


def contrastive(distance: Tensor, same: Tensor, margin: float) -> Tensor:
    """Mean of d² for pairs of one class and max(0, margin − d)² for others, halved; → ()
    (Hadsell, Chopra & LeCun 2006, equation 4). distance ≥ 0 (P,), same bool (P,)."""
    other = (margin - distance).clamp(min=0).square()
    return 0.5 * torch.where(same, distance.square(), other).mean()


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean over the triplets of max(0, ‖a − p‖ − ‖a − n‖ + margin), those at zero left out; → ()
    (Schroff et al. 2015, with distances that aren't squared). Features float (T, D) each."""
    count = torch.arange(len(anchor), device=anchor.device)
    rows = (count, count + len(anchor), count + 2 * len(anchor))
    loss = TripletMarginLoss(margin, distance=LpDistance(normalize_embeddings=False))
    return loss(torch.cat([anchor, positive, negative]), indices_tuple=rows)
