"""`run.py train`: an encoder, trained on prepared pictures."""

from __future__ import annotations

import argparse

from train.commands.options import choose_recipe, training_options, training_packages

NAME = "train"
HELP = "train an encoder on prepared pictures"


def options(parser: argparse.ArgumentParser) -> None:
    training_options(parser)
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="SET",
        help="leave sets out, to test on them",
    )


def run(arguments: argparse.Namespace) -> None:
    from engines.say import tell

    with training_packages():
        from train.encoder.fit import train
        from train.encoder.recipes import RECIPES, Recipe
        from train.siamese.hand_run import train_siamese
        from train.siamese.recipes import SIAMESE, SiameseRecipe

        recipes: dict[str, Recipe | SiameseRecipe] = {**RECIPES, **SIAMESE}
        recipe = choose_recipe(arguments.recipe, arguments.seed, recipes)
        if isinstance(recipe, SiameseRecipe):
            checkpoint = train_siamese(recipe, arguments.data, arguments.without, arguments.out)
        else:
            checkpoint = train(
                arguments.recipe,
                recipe,
                arguments.data,
                arguments.without,
                arguments.out,
                arguments.features,
            )
    tell(f"Trained: {checkpoint}. Next: python run.py export {checkpoint} --out FILE.onnx")
