"""Normalisation of the features in closed form, before the training.

First the principal components of each block, so that the head doesn't learn millions of weights
from a few people. Then within-class covariance normalisation (Hatch et al. 2006): directions in
which pictures of one gesture vary, mostly between people, count less.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import UserError
from train.encoder.features import Bank
from train.encoder.model import BLOCKS, Whitening
from train.runs.checkpoint import weights_are_finite

SHRINKAGE = 0.1  # of the within-class covariance, towards a multiple of the identity
CHUNK = 4096  # rows read at once


def fit_whitening(bank: Bank, components: tuple[int, ...]) -> tuple[Whitening, nn.Linear]:
    """Fit both steps to the first view of a bank; all sets have the same weight.

    Args:
        bank: Features of N hands.
        components: Number of principal components of each block.

    Returns:
        The principal components, (N, FEATURES) → (N, K), and the within-class normalisation,
        (N, K) → (N, K).

    Raises:
        UserError: The pictures don't differ.
    """
    weights = set_weights(bank.sets)
    whitening = Whitening(components)
    start = 0
    for layer, width in zip(whitening.blocks, BLOCKS, strict=True):
        assert isinstance(layer, nn.Linear)
        _set_principal_components(layer, bank.features[0][:, start : start + width], weights)
        start += width
    rows = whiten(bank.features[0], whitening)
    classes = np.char.add(np.char.add(bank.alphabets, "/"), bank.labels)
    within = _normalise_within_class(rows, classes, weights)
    if not weights_are_finite({**whitening.state_dict(), "within": within.weight}):
        raise UserError(
            "The pictures are too alike to train on: what the hand network sees in them hardly "
            "differs. Prepare pictures of several people and gestures."
        )
    return whitening, within


def set_weights(sets: np.ndarray) -> np.ndarray:
    """Weigh pictures, float64 (N,) of sum 1: all sets alike, and all pictures of a set alike."""
    _, which, counts = np.unique(sets, return_inverse=True, return_counts=True)
    return 1.0 / (counts[which] * len(counts))


def whiten(features: np.ndarray, *layers: nn.Module) -> Tensor:
    """Pass features float16 (N, FEATURES) through layers, chunk by chunk: float32 (N, K)."""
    parts = []
    for start in range(0, len(features), CHUNK):
        x = torch.from_numpy(np.asarray(features[start : start + CHUNK], np.float32))
        with torch.inference_mode():
            for layer in layers:
                x = layer(x)
        parts.append(x)
    return torch.cat(parts)


def _set_principal_components(layer: nn.Linear, block: np.ndarray, weights: np.ndarray) -> None:
    """Set a layer to the first principal components; the block is scaled to total variance 1."""
    width = block.shape[1]
    mean, second = np.zeros(width), np.zeros((width, width))
    for start in range(0, len(block), CHUNK):
        rows = np.asarray(block[start : start + CHUNK], np.float32)
        share = weights[start : start + CHUNK, None].astype(np.float32)
        mean += (rows * share).sum(0)
        second += rows.T @ (rows * share)
    covariance = torch.from_numpy(second - np.outer(mean, mean))
    values, vectors = torch.linalg.eigh(covariance)
    matrix = vectors.flip(1)[:, : layer.out_features].T / values.sum().sqrt()  # (K, width)
    with torch.no_grad():
        layer.weight.copy_(matrix)
        layer.bias.copy_(-matrix @ torch.from_numpy(mean))


def _normalise_within_class(rows: Tensor, classes: np.ndarray, weights: np.ndarray) -> nn.Linear:
    """Fit the map after which pictures of one class vary equally in all directions."""
    x, share = rows.double(), torch.from_numpy(weights)[:, None]
    names, which = np.unique(classes, return_inverse=True)
    index = torch.from_numpy(which)
    total = torch.zeros(len(names), 1, dtype=torch.float64).index_add_(0, index, share)
    means = torch.zeros(len(names), x.shape[1], dtype=torch.float64)
    means = means.index_add_(0, index, x * share) / total
    away = x - means[index]
    covariance = away.T @ (away * share)
    even = torch.eye(len(covariance), dtype=torch.float64) * covariance.trace() / len(covariance)
    values, vectors = torch.linalg.eigh((1.0 - SHRINKAGE) * covariance + SHRINKAGE * even)
    matrix = (vectors / values.clamp(min=1e-12).sqrt()).T  # (K, K)
    mean = (x * share).sum(0)
    matrix /= ((x - mean) @ matrix.T).std()
    layer = nn.Linear(*reversed(matrix.shape))
    with torch.no_grad():
        layer.weight.copy_(matrix)
        layer.bias.copy_(-matrix @ mean)
    return layer
