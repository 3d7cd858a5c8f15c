"""N-way one-shot episodes on pictures (Koch et al. 2015, section 4.3), and their accuracy.

An episode compares one query with one support picture of each of N classes. It is right if the
support of the query's own class is the most similar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engines.errors import UserError
from train.runs.checkpoint import Diverged, weights_are_finite
from train.siamese.networks import SiameseNetwork


@dataclass(frozen=True)
class Episodes:
    """T episodes of N ways.

    Attributes:
        queries: int (T,), rows of the pictures.
        supports: int (T, N), rows of the pictures; supports[:, 0] are of the queries' classes.
    """

    queries: np.ndarray
    supports: np.ndarray


@dataclass(frozen=True)
class Share:
    """A share of independent trials with its 95 % interval (Wilson 1927).

    Attributes:
        value: The share, 0…1.
        low: Lower end of the interval, 0…1.
        high: Upper end of the interval, 0…1.
        trials: Number of trials.
    """

    value: float
    low: float
    high: float
    trials: int

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f})"


def share(right: int, trials: int) -> Share:
    """Compute the share of `right` among `trials` ≥ 1 independent trials."""
    z, p = 1.959964, right / trials
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return Share(p, max(0.0, centre - half), min(1.0, centre + half), trials)


def draw_episodes(
    seed: int,
    labels: np.ndarray,
    ways: int,
    trials: int,
    *,
    groups: np.ndarray | None = None,
    queries: np.ndarray | None = None,
    supports: np.ndarray | None = None,
) -> Episodes:
    """Draw episodes; no picture is its own support.

    Args:
        seed: The same seed gives the same episodes.
        labels: str (N,), the classes.
        ways: Classes per episode.
        trials: Number of episodes.
        groups: str (N,); the classes of an episode are of one group. None: one group.
        queries: bool (N,), the pictures that may be queries. None: all.
        supports: bool (N,), the pictures that may be supports. None: all.

    Raises:
        UserError: No group has enough classes.
    """
    rng = np.random.default_rng(seed)
    everything = np.ones(len(labels), bool)
    ask = everything if queries is None else queries
    show = everything if supports is None else supports
    names, number = np.unique(labels, return_inverse=True)
    home = np.zeros(len(names), int)
    if groups is not None:
        home[number] = np.unique(groups, return_inverse=True)[1]
    shown = [np.flatnonzero(show & (number == c)) for c in range(len(names))]
    asked = [np.flatnonzero(ask & (number == c)) for c in range(len(names))]
    usable = np.array([len(rows) > 0 for rows in shown])
    pools = {g: np.flatnonzero(usable & (home == g)) for g in np.unique(home)}
    able = [
        c
        for g, pool in pools.items()
        if len(pool) >= ways
        for c in pool
        if len(asked[c]) and len(np.union1d(asked[c], shown[c])) > 1
    ]
    if not able:
        most = max(len(pool) for pool in pools.values())
        raise UserError(
            f"{ways}-way episodes need {ways} classes with two pictures in one group; the largest "
            f"has {most}. Ask for fewer ways, or give more classes."
        )
    chosen_queries, chosen_supports = np.empty(trials, int), np.empty((trials, ways), int)
    for trial in range(trials):
        own = able[rng.integers(len(able))]
        query = rng.choice(asked[own])
        rest = pools[home[own]]
        others = rng.choice(rest[rest != own], ways - 1, replace=False)
        own_rows = shown[own][shown[own] != query]
        if not len(own_rows):  # the query is the class's only support: draw another query
            query = rng.choice(asked[own][asked[own] != shown[own][0]])
            own_rows = shown[own]
        chosen_queries[trial] = query
        chosen_supports[trial] = [rng.choice(own_rows), *(rng.choice(shown[c]) for c in others)]
    return Episodes(chosen_queries, chosen_supports)


@torch.inference_mode()
def compute_features(network: SiameseNetwork, images: np.ndarray, batch: int = 128) -> Tensor:
    """Compute features, float32 (N, D) on the CPU, of pictures uint8 (N, S, S)."""
    device = next(network.parameters()).device
    network.eval()
    parts = [
        network(to_input(images[start : start + batch]).to(device)).cpu()
        for start in range(0, len(images), batch)
    ]
    features = torch.cat(parts)
    if not weights_are_finite({"features": features}):
        raise Diverged(
            "The network's features aren't finite: its training diverged. Use a lower learning "
            "rate in train/siamese/recipes.py."
        )
    return features


def to_input(images: np.ndarray) -> Tensor:
    """Convert pictures uint8 (N, S, S) to a network's input, float32 (N, 1, S, S) 0…1."""
    return torch.from_numpy(np.ascontiguousarray(images)).float().div(255)[:, None]


@torch.inference_mode()
def right_answers(network: SiameseNetwork, features: Tensor, episodes: Episodes) -> np.ndarray:
    """Tell which episodes are right: bool (T,). A tie is wrong.

    Args:
        network: Compares the features.
        features: float (N, D) of the episodes' pictures.
        episodes: T episodes.
    """
    device = next(network.parameters()).device
    features = features.to(device)
    right = np.empty(len(episodes.queries), bool)
    for trial, (query, shown) in enumerate(zip(episodes.queries, episodes.supports, strict=True)):
        scores = network.compare(features[query], features[shown])
        right[trial] = bool((scores[0] > scores[1:]).all())
    return right


def accuracy_on_features(network: SiameseNetwork, features: Tensor, episodes: Episodes) -> Share:
    """Compute the share of right episodes from features float (N, D) of their pictures."""
    right = right_answers(network, features, episodes)
    return share(int(right.sum()), len(right))


def accuracy_on_pictures(network: SiameseNetwork, images: np.ndarray, episodes: Episodes) -> Share:
    """Compute the share of right episodes from pictures uint8 (N, S, S).

    Features are computed only of pictures that occur in an episode.
    """
    rows = np.unique(np.concatenate([episodes.queries, episodes.supports.ravel()]))
    renumbered = Episodes(
        np.searchsorted(rows, episodes.queries), np.searchsorted(rows, episodes.supports)
    )
    return accuracy_on_features(network, compute_features(network, images[rows]), renumbered)
