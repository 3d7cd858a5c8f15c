"""The data of a training: prepared hands that a recipe uses, and their features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.say import tell
from train.backbone.backbone import Backbone
from train.encoder.features import (
    SIDES,
    Bank,
    join_banks,
    real_features,
    synthetic_features,
)
from train.encoder.recipes import Recipe
from train.pictures.prepared import Prepared, load_prepared

HELD_OUT_CLASSES, HELD_OUT_PER_CLASS = 300, 6  # synthetic gestures for validation
VALIDATION_SEED = 1000


def load_data(paths: list[Path], recipe: Recipe, without: list[str]) -> Prepared:
    """Load the prepared hands that a recipe uses.

    Args:
        paths: Files of `run.py prepare`.
        recipe: The recipe.
        without: Names of sets to leave out.

    Raises:
        UserError: A file can't be used, a set doesn't exist, or too few hands are left.
    """
    data = load_prepared(paths)
    names = np.unique(data.sets).tolist()
    unknown = [name for name in without if name not in names]
    if unknown:
        raise UserError(
            f"--without {unknown[0]}: the data has no such set; it has {', '.join(names)}."
        )
    kept = [n for n in names if n not in without and (recipe.only is None or n in recipe.only)]
    if not kept:
        wanted = f"the recipe uses only {', '.join(recipe.only or ())}; " if recipe.only else ""
        raise UserError(f"No set is left to train on: {wanted}the data has {', '.join(names)}.")
    data = data.where(np.isin(data.sets, kept))
    people = np.unique(data.subjects)
    if len(people) < 2:
        raise UserError(
            f"All pictures are of one subject, {people[0]}. Training needs several people: lay the "
            "pictures out as <set>/<subject>/<label>/<image>, and add people."
        )
    alphabets, labels = alphabets_and_labels(data, recipe)
    full = np.char.add(np.char.add(alphabets, "/"), labels)
    classes, counts = np.unique(full, return_counts=True)
    several = classes[counts > 1]
    if not any(np.char.startswith(several, f"{a}/").sum() > 1 for a in np.unique(alphabets)):
        raise UserError(
            f"The data shows too few gestures ({', '.join(classes[:5].tolist())}): training needs "
            "at least two labels of one set, with two pictures each."
        )
    lone = classes[counts == 1]
    if len(lone):
        tell(f"Left out, since they have only one picture: {', '.join(lone.tolist())}.")
    return data.where(~np.isin(full, lone))


def alphabets_and_labels(data: Prepared, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Return the alphabet of each hand, and its label there, str (N,) each.

    Within an alphabet, equal labels mean equal hand shapes.
    """
    home = {name: alphabet for alphabet, sets in recipe.alphabets.items() for name in sets}
    alphabets = np.array([home.get(name, name) for name in data.sets.tolist()])
    full = np.char.add(np.char.add(data.sets, "/"), data.labels).tolist()
    labels = np.array([recipe.same_shapes.get(f, f.rsplit("/", 1)[1]) for f in full])
    return alphabets, labels


def load_banks(
    data: Prepared, recipe: Recipe, backbone: Backbone, folder: Path
) -> tuple[Bank, Bank | None, Bank]:
    """Compute the features that training needs, or read them from a folder.

    Each hand is there twice: the encoder sees hands as they are, so it is trained on every picture
    as it was shown by a right hand and, mirrored, by a left one.

    Args:
        data: The prepared hands.
        recipe: The recipe.
        backbone: MediaPipe's network.
        folder: Where features are kept.

    Returns:
        Banks of the prepared hands, of synthetic gestures for training (None if the recipe has
        none), and of synthetic gestures for validation, from held-out regions of pose space.
    """
    size = recipe.model.crop_size
    alphabets, labels = alphabets_and_labels(data, recipe)

    def photographs(side: str) -> Bank:
        views = real_features(data, backbone, size, recipe.views, recipe.seed, folder, side)
        sides = np.full(len(data), side)
        return Bank(views, alphabets, labels, data.subjects, data.sets, sides)

    def drawings(classes: int, per_class: int, part: str, seed: int) -> Bank:
        settings = (backbone, size, classes, per_class, part, seed, folder)
        return join_banks([synthetic_features(*settings, side) for side in SIDES])

    drawn = None
    if recipe.synthetic_share:
        drawn = drawings(recipe.synthetic_classes, recipe.synthetic_per_class, "train", recipe.seed)
    return (
        join_banks([photographs(side) for side in SIDES]),
        drawn,
        drawings(HELD_OUT_CLASSES, HELD_OUT_PER_CLASS, "held_out", VALIDATION_SEED),
    )
