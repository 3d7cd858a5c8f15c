"""Weighted logistic regression. Pure numpy."""

from __future__ import annotations

import numpy as np


def fit_logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fit by Newton's method, with a small ridge penalty.

    Args:
        x: features (N, K); a column of ones gives a bias.
        y: 0 or 1, (N,).
        weight: of the rows, (N,).

    Returns:
        The coefficients (K,).
    """
    w = np.zeros(x.shape[1])
    ridge = 1e-6 * np.eye(len(w))
    for _ in range(50):
        p = predict_logistic(x, w)
        step = np.linalg.solve(
            (x * (weight * p * (1 - p))[:, None]).T @ x + ridge,
            x.T @ (weight * (p - y)) + ridge @ w,
        )
        w -= np.clip(step, -10, 10)
        if np.abs(step).max() < 1e-8:
            break
    return w


def predict_logistic(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Probabilities (N,) of features (N, K) with coefficients (K,)."""
    return 1 / (1 + np.exp(-np.clip(x @ w, -60, 60)))
