"""Verification (same or different?): accuracy, ROC and equal error rate over pairs of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from train.runs.checkpoint import Diverged
from train.siamese.episodes import Share, compute_features, share
from train.siamese.networks import SiameseNetwork
from train.siamese.pairs import Pairs

# What a decision says, and whether that is right.
DECISIONS = ("same, correct", "different, correct", "same, wrong", "different, wrong")


@dataclass(frozen=True)
class Verification:
    """Figures of verification; all in 0…1 except the threshold.

    Attributes:
        accuracy: Share of right decisions at the threshold.
        threshold: Scores above it mean "same".
        fpr: float (K,), false positive rates of the ROC.
        tpr: float (K,), true positive rates of the ROC.
        auc: Area under the ROC.
        eer: Equal error rate: where false accepts and false rejects are equally frequent.
    """

    accuracy: Share
    threshold: float
    fpr: np.ndarray
    tpr: np.ndarray
    auc: float
    eer: float


def score_pairs(network: SiameseNetwork, images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Compare P pairs of pictures.

    Args:
        network: Computes features, of pictures that occur in a pair, and compares them.
        images: uint8 (N, S, S).
        pairs: Pairs of rows of `images`.

    Returns:
        float32 (P,), as from SiameseNetwork.compare.
    """
    rows, place = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    first, second = np.split(place, 2)
    features = compute_features(network, images[rows])
    return score_features(network, features, Pairs(first, second, pairs.same))


@torch.inference_mode()
def score_features(network: SiameseNetwork, features: Tensor, pairs: Pairs) -> np.ndarray:
    """Compare P pairs of features float (N, D): float32 (P,)."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(pairs), 256):  # all differences at once would take gigabytes
        part = slice(start, start + 256)
        first, second = features[pairs.first[part]], features[pairs.second[part]]
        parts.append(network.compare(first.to(device), second.to(device)).float().cpu())
    scores = torch.cat(parts).numpy()
    if not np.isfinite(scores).all():
        raise Diverged(
            "The network's similarities aren't finite: its training diverged. Use a lower learning "
            "rate in train/siamese/recipes.py."
        )
    return scores


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the threshold of the highest accuracy on these pairs; use validation pairs only."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    # For every k, the right decisions if the k lowest scores mean "different".
    right = np.concatenate([[0], np.cumsum(~same[order])]) + (
        same.sum() - np.concatenate([[0], np.cumsum(same[order])])
    )
    edges = np.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    distinct = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    return float(edges[np.argmax(np.where(distinct, right, -1))])


def verify(scores: np.ndarray, same: np.ndarray, threshold: float) -> Verification:
    """Compute the figures of scores float (P,) against same bool (P,), which holds both values."""
    fpr, tpr, _ = roc_curve(same, scores)
    right = int(((scores > threshold) == same).sum())
    return Verification(
        share(right, len(same)),
        threshold,
        fpr,
        tpr,
        float(roc_auc_score(same, scores)),
        eer(fpr, tpr),
    )


def eer(fpr: np.ndarray, tpr: np.ndarray) -> float:
    """Compute the equal error rate, where the ROC, linear between its points, has fpr = 1 − tpr."""
    gap = fpr - (1 - tpr)  # rises from −1 to 1
    after = int(np.argmax(gap >= 0))
    if after == 0:
        return float(fpr[0])
    step = gap[after] - gap[after - 1]
    part = -gap[after - 1] / step
    return float(fpr[after - 1] + part * (fpr[after] - fpr[after - 1]))


def extremes(
    scores: np.ndarray, same: np.ndarray, threshold: float, count: int
) -> dict[str, np.ndarray]:
    """Return the rows of the most confident decisions of each of DECISIONS, int (≤ count,) each."""
    says = scores > threshold
    masks = (says & same, ~says & ~same, says & ~same, ~says & same)
    rows = {}
    for decision, mask in zip(DECISIONS, masks, strict=True):
        where = np.flatnonzero(mask)
        surest = np.argsort(-np.abs(scores[where] - threshold), kind="stable")
        rows[decision] = where[surest][:count]
    return rows
