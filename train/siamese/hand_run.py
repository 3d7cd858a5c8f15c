"""`run.py train --recipe siamese`: a Siamese network of hand shapes, for the live loop."""

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

WATCHED = 0.15  # of the classes, to be watched on
PAIRS = 1000


def train_siamese(recipe: SiameseRecipe, paths: list[Path], without: list[str], out: Path) -> Path:
    """→ the checkpoint out/network.pt. Raises UserError."""
    return train(recipe, hand_task(recipe, paths, without), out).folder / "network.pt"


def hand_task(recipe: SiameseRecipe, paths: list[Path], without: list[str]) -> Task:
    """Some gestures are held out, to be watched on. Raises UserError where too few are left."""
    size = NETWORKS[recipe.model.network].size
    hands = one_alphabet(load_hand_pictures(paths, size, without=without))
    names, counts = np.unique(hands.labels, return_counts=True)
    hands = hands.take(np.isin(hands.labels, names[counts > 1]))
    held_out = split_classes(hands.labels, WATCHED, np.random.default_rng(recipe.seed))
    learn, watch = hands.take(~held_out), hands.take(held_out)
    for part in (learn, watch):
        if len(np.unique(part.labels)) < 2:
            raise UserError(
                f"Siamese training needs more gestures than the {len(names)} there are: at least "
                "two to learn from and two, of every seven, to be watched on. Prepare more sets."
            )
    pairs = draw_pairs(np.random.default_rng(0), index_classes(watch.labels), PAIRS)
    return Task(_paired(learn), watch, pairs)


def one_alphabet(hands: Pictures) -> Pictures:
    """The sets of American Sign Language share their letters: one group, one label for each."""
    shared = np.isin(hands.groups, ASL)
    groups = np.where(shared, "asl", hands.groups)
    labels = [SAME_SHAPES.get(label, label.partition("/")[2]) for label in hands.labels.tolist()]
    return dataclasses.replace(
        hands, groups=groups, labels=np.char.add(np.char.add(groups, "/"), labels)
    )


def _paired(pictures: Pictures) -> Pictures:
    """Without the groups that holding out has left a single class of."""
    home = dict(zip(pictures.labels.tolist(), pictures.groups.tolist(), strict=True))
    names, counts = np.unique(list(home.values()), return_counts=True)
    return pictures.take(np.isin(pictures.groups, names[counts > 1]))
