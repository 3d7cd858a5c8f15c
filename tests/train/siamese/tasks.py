"""Small tasks for Siamese networks, and a network whose answers are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("pytorch_metric_learning", reason="training needs requirements-train.txt")

import torch
from torch import Tensor, nn

from train.siamese.batches import Task
from train.siamese.class_index import index_classes, rank_within_class
from train.siamese.networks import NETWORKS, SiameseConfig, SiameseNetwork
from train.siamese.pairs import draw_pairs
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe

SIZE = 28
SMALL = SiameseRecipe(
    SiameseConfig("asl-narrow"),
    published_start=False,
    optimizer="adam",
    learning_rate=1e-3,
    batch=8,
    steps=3,
    epochs=2,
    ways=3,
    trials=20,
)
COSINE = dataclasses.replace(
    SMALL,
    model=SiameseConfig("residual", "cosine"),
    loss="cosface",
    margin=0.2,
    one_cycle=True,
    turns=True,
    warp="elastic",
)


class Brightness(SiameseNetwork):
    """Features are a picture's first two pixels; the nearer, the more alike. Its dropout spoils
    them unless the network is told that it isn't in training."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.scale = nn.Parameter(torch.tensor(255.0))
        self.dropout = nn.Dropout(0.9)
        self.batches: list[int] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.batches.append(len(pictures))
        return self.dropout(pictures.flatten(1)[:, :2] * self.scale)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return -(a - b).abs().sum(-1)


def gratings(classes: int, each: int, seed: int = 0, turned: float = 0.0) -> Pictures:
    """Stripes of a direction per class, at any phase, some noise: uint8 (N, SIZE, SIZE).

    turned: of all directions, in the distance between two classes' directions.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    number = np.repeat(np.arange(classes), each)
    angle = np.pi * (number + turned) / classes
    phase = rng.uniform(0, 2 * np.pi, len(number))
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    stripes = 128 + 80 * np.sin(2 * np.pi * along / 7 + phase[:, None, None])
    images = np.clip(stripes + rng.normal(0, 8, stripes.shape), 0, 255).astype(np.uint8)
    labels = np.array([f"way{n}" for n in number])
    nothing = np.full(len(labels), "")
    return Pictures(images, labels, nothing, nothing, rank_within_class(labels))


def grating_task(
    classes: int = 6, each: int = 8, pairs: int = 64, network: str = "asl-narrow"
) -> Task:
    """Training on some directions, validation on others between them; pictures for a network."""
    size = NETWORKS[network].size
    training = gratings(classes, each).resize(size)
    validation = gratings(classes, each, seed=1, turned=0.5).resize(size)
    drawn = draw_pairs(np.random.default_rng(2), index_classes(validation.labels), pairs)
    return Task(training, validation, drawn)
