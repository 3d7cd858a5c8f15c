"""Similarity between embeddings, higher is more alike. Its weights live in the encoder's spec."""

from __future__ import annotations

import numpy as np

from engines.spec import EncoderSpec


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, D) and (M, D) embeddings of unit norm → (N, M) in −1…1."""
    return a @ b.T


def weighted_l1(a: np.ndarray, b: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """(N, D) and (M, D) features → (N, M) in 0…1: σ(Σ wⱼ|aⱼ − bⱼ| + bias), Koch et al. 2015."""
    logits = np.stack([np.abs(row - b) @ weights for row in a]) if len(a) else np.zeros((0, len(b)))
    return 1.0 / (1.0 + np.exp(-np.clip(logits + bias, -60, 60)))  # e⁸⁹ is past float32


def euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, D) and (M, D) features → (N, M) in 0…1: 1 / (1 + ‖a − b‖)."""
    distances = [np.linalg.norm(row - b, axis=1) for row in a]
    return 1.0 / (1.0 + (np.stack(distances) if len(a) else np.zeros((0, len(b)))))


def similarity(spec: EncoderSpec, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, D) × (M, D) → (N, M) float32 by the similarity the encoder was made for."""
    if spec.similarity == "cosine":
        scores = cosine(a, b)
    elif spec.similarity == "euclidean":
        scores = euclidean(a, b)
    else:
        weights = np.asarray(spec.similarity_weights, np.float32)
        scores = weighted_l1(a, b, weights, spec.similarity_bias)
    return scores.astype(np.float32)
