"""Which sets are left out of which training, and what came out on them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from calibration.fitting import OpenSet
from calibration.metrics import Figure
from engines.errors import UserError
from train.encoder.data import alphabets_and_labels
from train.encoder.recipes import Recipe
from train.evaluation import FIGURES, OUTSIDE, REPORT
from train.pictures.prepared import Prepared


@dataclass(frozen=True)
class Fold:
    """A set that is left out of a training, and the results on it.

    Attributes:
        test: Name of the set.
        references: Name of a set of one-shot references to test it with, too, or None.
        without: Names of the sets that this fold isn't trained on.
        run: Name of the training's folder; sets that the recipe doesn't use share one.
        own: Whether the recipe uses the set: others are only tested on, and calibrate nothing.
        rows: Figure → encoder → value.
        scores: Open-set scores by the encoder trained without the set, of right and of left hands;
            None if it shows too few gestures.
        confused: (shown label, recognised label, share), most frequent first.
    """

    test: str
    references: str | None
    without: list[str]
    run: str
    own: bool = True
    rows: dict[str, dict[str, Figure]] = dataclasses.field(default_factory=dict)
    scores: OpenSet | None = None
    confused: list[tuple[str, str, float]] = dataclasses.field(default_factory=list)


def plan_folds(data: Prepared, recipe: Recipe) -> list[Fold]:
    """Plan one fold for each set that shows two labels; those outside the recipe come last.

    A set with one picture per label, in an alphabet with other sets, is no fold: it serves as
    references for the others of its alphabet, and is left out together with them.

    Raises:
        UserError: A set has a name that its folder can't have.
    """
    _check_names(np.unique(data.sets).tolist())
    alphabets, labels = alphabets_and_labels(data, recipe)
    names = np.unique(data.sets).tolist()
    used = [name for name in names if recipe.only is None or name in recipe.only]
    alphabet = {name: alphabets[data.sets == name][0] for name in names}

    def is_reference(name: str) -> bool:
        mask = data.sets == name
        shared = sum(a == alphabet[name] for a in alphabet.values()) > 1
        return shared and len(np.unique(data.labels[mask])) == mask.sum()

    def references(name: str) -> list[str]:
        return [n for n in names if is_reference(n) and alphabet[n] == alphabet[name]]

    def enough_to_train(without: list[str]) -> bool:
        left = [name for name in used if name not in without]
        return len(np.unique(data.subjects[np.isin(data.sets, left)])) > 1

    tested = [
        n for n in names if not is_reference(n) and len(np.unique(labels[data.sets == n])) > 1
    ]
    plan = []
    for name in tested:
        without = [name, *references(name)]
        if name in used and enough_to_train(without):
            plan.append(Fold(name, next(iter(references(name)), None), without, run=name))
    outside = [name for name in tested if name not in used]
    without = sorted({n for name in outside for n in (name, *references(name))})
    if outside and enough_to_train(without):
        for name in outside:
            first = next(iter(references(name)), None)
            plan.append(Fold(name, first, without, run=OUTSIDE, own=False))
    return plan


def _check_names(sets: list[str]) -> None:
    """Raise UserError for a set whose folder would lie where something else goes."""
    taken = (OUTSIDE, REPORT, FIGURES, "", ".", "..")
    for name in sets:
        if name.casefold() in taken or "/" in name or "\\" in name:
            raise UserError(
                f"The set {name!r} can't be cross-validated: the results have a folder for each "
                "set, and this name is taken there. Rename the set's folder and prepare it again."
            )
