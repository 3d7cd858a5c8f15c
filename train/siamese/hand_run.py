"""`run.py train --recipe siamese`: train a Siamese network of hand shapes for the live loop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from engines.errors import UserError
from train.pictures.alphabets import ASL, SAME_SHAPES
from train.siamese.batches import Task
from train.siamese.class_index import index_classes
from train.siamese.hands import load_hand_pictures
from train.siamese.networks import NETWORKS
from train.siamese.pairs import draw_pairs
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import train
from train.siamese.splits import split_classes

VALIDATION_SHARE = 0.15  # of the classes
VALIDATION_PAIRS = 1000


def train_siamese(recipe: SiameseRecipe, paths: list[Path], without: list[str], out: Path) -> Path:
    """Train a network on prepared hands.

    Args:
        recipe: The settings.
        paths: Files of `run.py prepare`.
        without: Names of sets to leave out.
        out: The folder of the run.

    Returns:
        The checkpoint, out/network.pt.

    Raises:
        UserError: The data is unsuitable, or the folder can't be used.
    """
    return train(recipe, hand_task(recipe, paths, without), out).folder / "network.pt"


def hand_task(recipe: SiameseRecipe, paths: list[Path], without: list[str]) -> Task:
    """Load prepared hands and hold out some of the gestures for validation.

    Raises:
        UserError: The data is unsuitable or shows too few gestures.
    """
    size = NETWORKS[recipe.model.network].size
    hands = merge_alphabets(load_hand_pictures(paths, size, without=without))
    names, counts = np.unique(hands.labels, return_counts=True)
    hands = hands.take(np.isin(hands.labels, names[counts > 1]))
    held_out = split_classes(hands.labels, VALIDATION_SHARE, np.random.default_rng(recipe.seed))
    training, validation = hands.take(~held_out), hands.take(held_out)
    for part in (training, validation):
        if len(np.unique(part.labels)) < 2:
            raise UserError(
                f"Siamese training needs more than the {len(names)} gestures there are: at least "
                "two for training and two, of every seven, for validation. Prepare more sets."
            )
    index = index_classes(validation.labels)
    pairs = draw_pairs(np.random.default_rng(0), index, VALIDATION_PAIRS)
    return Task(_drop_single_classes(training), validation, pairs)


def merge_alphabets(hands: Pictures) -> Pictures:
    """Give the sets of American Sign Language one group, and each of their letters one label."""
    shared = np.isin(hands.groups, ASL)
    groups = np.where(shared, "asl", hands.groups)
    labels = [SAME_SHAPES.get(label, label.partition("/")[2]) for label in hands.labels.tolist()]
    return dataclasses.replace(
        hands, groups=groups, labels=np.char.add(np.char.add(groups, "/"), labels)
    )


def _drop_single_classes(pictures: Pictures) -> Pictures:
    """Drop groups of which only one class is left: they give no pairs of different classes."""
    home = dict(zip(pictures.labels.tolist(), pictures.groups.tolist(), strict=True))
    names, counts = np.unique(list(home.values()), return_counts=True)
    return pictures.take(np.isin(pictures.groups, names[counts > 1]))
