"""What several commands of training share."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engines.errors import UserError

if TYPE_CHECKING:
    from train.encoder.recipes import Recipe
    from train.siamese.recipes import SiameseRecipe

AnyRecipe = TypeVar("AnyRecipe", bound="Recipe | SiameseRecipe")


def training_options(parser: argparse.ArgumentParser) -> None:
    """What is trained, on what, and where: --recipe, --data, --out, --features, --seed."""
    add = parser.add_argument
    add(
        "--recipe",
        default="default",
        metavar="NAME",
        help="a name in train/encoder/recipes.py, or for `train` siamese (%(default)s)",
    )
    add(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE.npz",
        help="what `prepare` wrote",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where it happens; the same command goes on there",
    )
    add(
        "--features",
        type=Path,
        metavar="DIR",
        help="where frozen features are kept (beside the data)",
    )
    add("--seed", type=int, help="of everything random (the recipe's)")


def name_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        default="gesture-encoder",
        help="what the encoder of a checkpoint is called (%(default)s)",
    )


def choose_recipe(name: str, seed: int | None, recipes: Mapping[str, AnyRecipe]) -> AnyRecipe:
    """The recipe of that name, with another seed unless that is None.

    Raises:
        UserError: If there is no such recipe.
    """
    if name not in recipes:
        raise UserError(f"--recipe takes {', '.join(recipes)}; got {name!r}.")
    return recipes[name] if seed is None else dataclasses.replace(recipes[name], seed=seed)


@contextlib.contextmanager
def training_packages() -> Iterator[None]:
    """For imports of what requirements-train.txt brings: a missing package is told as that."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"Training needs the package {error.name}, which isn't installed. Install it with: "
            "pip install -r requirements-train.txt"
        ) from None
