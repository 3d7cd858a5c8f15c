"""`run.py cross-validate`: each set in turn left out of the training and tested on."""

from __future__ import annotations

import argparse

from engines.errors import UserError
from train.commands.options import choose_recipe, training_options, training_packages

NAME = "cross-validate"
HELP = "train without each set in turn, and test on it"


def options(parser: argparse.ArgumentParser) -> None:
    training_options(parser)
    parser.add_argument(
        "--calibrate", metavar="FILE.onnx", help="fit this encoder's calibration, too"
    )


def run(arguments: argparse.Namespace) -> None:
    from calibration.threshold import calibration_path, save
    from engines.encoder import encoder_path, open_encoder
    from engines.files import check_writable
    from engines.say import print_result
    from realtime.measuring.report import print_calibration

    with training_packages():
        from train.encoder.recipes import RECIPES
        from train.evaluation import REPORT
        from train.evaluation.cross_validate import FAR, calibration_of, cross_validate

        recipe = choose_recipe(arguments.recipe, arguments.seed, RECIPES)
        encoder, path = None, None
        if arguments.calibrate is not None:
            encoder = open_encoder(arguments.calibrate)
            path = calibration_path(encoder_path(arguments.calibrate))
            check_writable(path)
            if "crop" not in encoder.spec.inputs or encoder.spec.dim != recipe.model.dim:
                raise UserError(
                    f"--calibrate takes an encoder trained with the recipe {arguments.recipe}; "
                    f"{encoder.spec.name} is none."
                )
        done = cross_validate(
            arguments.recipe,
            recipe,
            arguments.data,
            arguments.out,
            arguments.features,
        )
    print_result((arguments.out / REPORT).read_text(encoding="utf-8"))
    if encoder is not None and path is not None:
        fitted = calibration_of(done, FAR, encoder.fingerprint)
        save(fitted, path)
        print_calibration(fitted, path)
