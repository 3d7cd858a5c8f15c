"""Same or different? Accuracy, ROC and equal error rate of a network over pairs of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from train.siamese.episodes import Share, features_of, share
from train.siamese.networks import SiameseNetwork
from train.siamese.pairs import Pairs

KINDS = ("same, rightly", "different, rightly", "same, wrongly", "different, wrongly")


@dataclass(frozen=True)
class Verification:
    """accuracy at `threshold` (scores above it are called the same); fpr, tpr float (K,): the ROC;
    auc: its area; eer: where false accepts and false rejects are equally frequent. 0…1."""

    accuracy: Share
    threshold: float
    fpr: np.ndarray
    tpr: np.ndarray
    auc: float
    eer: float


def pair_scores(network: SiameseNetwork, images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Pictures uint8 (N, S, S), P pairs of their rows → float32 (P,), as SiameseNetwork.compare;
    only pictures that are in a pair are looked at."""
    rows, place = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    first, second = np.split(place, 2)
    return compared(network, features_of(network, images[rows]), Pairs(first, second, pairs.same))


@torch.inference_mode()
def compared(network: SiameseNetwork, features: Tensor, pairs: Pairs) -> np.ndarray:
    """The same for features float (N, D) of the pictures."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(pairs), 256):  # the differences of all at once are gigabytes
        part = slice(start, start + 256)
        first, second = features[pairs.first[part]], features[pairs.second[part]]
        parts.append(network.compare(first.to(device), second.to(device)).float().cpu())
    return torch.cat(parts).numpy()


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold of the highest accuracy on these pairs (validation's: never the test's)."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    # With the k lowest called different: right are the different ones below, the same ones above.
    right = np.concatenate([[0], np.cumsum(~same[order])]) + (
        same.sum() - np.concatenate([[0], np.cumsum(same[order])])
    )
    edges = np.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    distinct = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    return float(edges[np.argmax(np.where(distinct, right, -1))])


def verify(scores: np.ndarray, same: np.ndarray, threshold: float) -> Verification:
    """scores float (P,), same bool (P,), of both kinds some."""
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
    """Equal error rate: where the ROC, straight between its points, meets 1 − tpr = fpr."""
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
    """Rows of the most confident decisions of each of KINDS, int (≤ count,), surest first."""
    says = scores > threshold
    masks = (says & same, ~says & ~same, says & ~same, ~says & same)
    rows = {}
    for kind, mask in zip(KINDS, masks, strict=True):
        where = np.flatnonzero(mask)
        surest = np.argsort(-np.abs(scores[where] - threshold), kind="stable")
        rows[kind] = where[surest][:count]
    return rows
