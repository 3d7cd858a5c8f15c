"""The task of a Siamese run, and the batches of one epoch, each drawn from its own seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from train.siamese.class_index import ClassIndex, index_classes
from train.siamese.episodes import to_input
from train.siamese.losses import PAIR_LOSSES
from train.siamese.pairs import Pairs, draw_pairs, draw_triplets
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe
from train.siamese.warp import warp

QUARTER_TURNS = 4


@dataclass(frozen=True)
class Task:
    """The data of a run: pictures of the network's size, for training and validation.

    Attributes:
        train: Training pictures.
        validation: Validation pictures.
        validation_pairs: Pairs of rows of `validation`.
        train_pairs: Pairs of rows of `train`; None draws new ones for every batch.
    """

    train: Pictures
    validation: Pictures
    validation_pairs: Pairs
    train_pairs: Pairs | None = None


class SiameseBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of one epoch: pictures, float32 (K·B, 1, S, S) 0…1, and numbers, int (B,).

    The loss decides what a batch holds:

    - Pairs: K = 2, all first pictures, then all second ones; the numbers say whether they match.
    - Triplets: K = 3, anchors, positives, negatives; the numbers are unused.
    - Classes: K = 1; the numbers are the classes.
    """

    def __init__(self, task: Task, recipe: SiameseRecipe, epoch: int) -> None:
        self.task, self.recipe, self.seed = task, recipe, (recipe.seed, epoch)
        labels = task.train.labels
        self.classes = np.unique(labels, return_inverse=True)[1]
        self.index: ClassIndex | None = None
        if recipe.loss != "cosface" and task.train_pairs is None:
            self.index = index_classes(labels, task.train.groups if recipe.within_groups else None)

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([*self.seed, step])
        rows, numbers = self._rows(rng, step)
        pictures = to_input(self.task.train.images[rows])
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        pictures = warp(pictures, self.recipe.warp, draws)
        if self.recipe.turns:  # a turned character is a class of its own (Santoro et al. 2016)
            turns = rng.integers(QUARTER_TURNS, size=len(numbers))
            # The pictures of a pair turn alike, so that they still match or not.
            each = np.tile(turns, len(rows) // len(numbers))
            pictures = torch.stack(
                [torch.rot90(p, int(t), (1, 2)) for p, t in zip(pictures, each, strict=True)]
            )
            if self.recipe.loss == "cosface":
                numbers = numbers * QUARTER_TURNS + turns
        return pictures, torch.from_numpy(numbers)

    def _rows(self, rng: np.random.Generator, step: int) -> tuple[np.ndarray, np.ndarray]:
        recipe, task = self.recipe, self.task
        if recipe.loss == "cosface":
            rows = rng.integers(len(task.train), size=recipe.batch)
            return rows, self.classes[rows]
        if recipe.loss in PAIR_LOSSES:
            if task.train_pairs is None:
                assert self.index is not None
                pairs = draw_pairs(rng, self.index, recipe.batch)
            else:
                pairs = _take_batch(task.train_pairs, self.seed, step, recipe.batch)
            return np.concatenate([pairs.first, pairs.second]), pairs.same.astype(int)
        assert self.index is not None, "triplets are always drawn"
        triplets = draw_triplets(rng, self.index, recipe.batch)
        return triplets.T.ravel(), np.zeros(len(triplets), int)


def _take_batch(pairs: Pairs, seed: tuple[int, int], step: int, batch: int) -> Pairs:
    """Take the pairs of a step from a list that is shuffled anew for every pass over it."""
    places = np.arange(step * batch, (step + 1) * batch)
    passes = np.unique(places // len(pairs))
    mixed = np.concatenate(
        [np.random.default_rng([*seed, 0x11F0, int(p)]).permutation(len(pairs)) for p in passes]
    )
    return pairs.take(mixed[places - passes[0] * len(pairs)])
