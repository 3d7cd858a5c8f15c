"""The commands of `run.py` that make encoders. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engines.errors import UserError
from engines.files import check_writable

if TYPE_CHECKING:
    from train.encoder.recipes import Recipe
    from train.siamese.recipes import SiameseRecipe

AnyRecipe = TypeVar("AnyRecipe", bound="Recipe | SiameseRecipe")


def prepare(arguments: argparse.Namespace) -> None:
    from realtime.hands.model import hand_model
    from train.pictures.prepare import prepare

    check_writable(arguments.out)
    prepare(arguments.dirs, hand_model(arguments.hand_model), arguments.out)


def train(arguments: argparse.Namespace) -> None:
    from realtime.hands.model import hand_model

    with training_packages():
        from train.encoder.fit import train
        from train.siamese.hand_run import train_siamese
        from train.siamese.recipes import SIAMESE

        if arguments.recipe in SIAMESE:
            recipe = _seeded(SIAMESE[arguments.recipe], arguments.seed)
            checkpoint = train_siamese(recipe, arguments.data, arguments.without, arguments.out)
        else:
            checkpoint = train(
                arguments.recipe,
                _recipe(arguments),
                arguments.data,
                arguments.without,
                hand_model(arguments.hand_model),
                arguments.out,
                arguments.features,
            )
    print(f"Trained: {checkpoint}. Next: python run.py export {checkpoint} --out FILE.onnx",
          file=sys.stderr)  # fmt: skip


def cross_validate(arguments: argparse.Namespace) -> None:
    from calibration.threshold import calibration_path, save
    from engines.encoder import encoder_path, open_encoder
    from realtime.hands.model import hand_model
    from realtime.measuring.report import print_calibration

    with training_packages():
        from train.evaluation.cross_validate import FAR, calibration_of, cross_validate

        recipe, encoder, path = _recipe(arguments), None, None
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
            hand_model(arguments.hand_model),
            arguments.out,
            arguments.features,
        )
    print((arguments.out / "report.md").read_text(encoding="utf-8"))
    if encoder is not None and path is not None:
        fitted = calibration_of(done, FAR, encoder.fingerprint)
        save(fitted, path)
        print_calibration(fitted, path)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    from train.encoder.recipes import RECIPES
    from train.siamese.recipes import SIAMESE

    if arguments.recipe not in RECIPES:
        names = [*RECIPES, *(SIAMESE if arguments.command == "train" else ())]
        raise UserError(f"--recipe takes {', '.join(names)}; got {arguments.recipe!r}.")
    return _seeded(RECIPES[arguments.recipe], arguments.seed)


def _seeded(recipe: AnyRecipe, seed: int | None) -> AnyRecipe:
    return recipe if seed is None else dataclasses.replace(recipe, seed=seed)


def _check_out(out: Path, name: str) -> None:
    """Raises UserError where another study's report lies, which this one's would take apart."""
    report = out / "report.md"
    if report.is_file() and f"run.py study {name} " not in report.read_text(encoding="utf-8"):
        raise UserError(f"{out} holds another study's report; name another folder with --out.")


def study(arguments: argparse.Namespace) -> None:
    with training_packages():
        from train.studies import asl_report, faces, gallery, omniglot
        from train.studies.study import Study

        studies = {
            "asl-volume": asl_report.study,
            "faces": faces.study,
            "omniglot": omniglot.study,
            "gallery": gallery.study,
        }
        if arguments.name not in studies:
            raise UserError(f"A study is one of {', '.join(studies)}; got {arguments.name!r}.")
        if arguments.storage and arguments.name != "faces":
            raise UserError(
                f"--storage is where a sweep is kept, and {arguments.name} has none: leave it out."
            )
        _check_out(arguments.out, arguments.name)
        plan = Study(
            arguments.data, arguments.out, arguments.size, arguments.seeds, arguments.storage
        )
        try:
            report = studies[arguments.name](plan)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(
                f"--out {arguments.out} can't be written ({error.strerror}). Make room, or name "
                "another folder; the same command goes on where it was."
            ) from None
    print(report.markdown())
    print(f"The report, with its pictures: {arguments.out / 'report.html'}", file=sys.stderr)


def export(arguments: argparse.Namespace) -> None:
    with training_packages():
        from train.encoder.export import export

        check_writable(arguments.out)
        mark, difference = export(arguments.checkpoint, arguments.out, arguments.name)
    print(f"{arguments.out}: fingerprint {mark[:12]}, largest difference from PyTorch "
          f"{difference:.1e}.", file=sys.stderr)  # fmt: skip


@contextlib.contextmanager
def training_packages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"Training needs the package {error.name}, which isn't installed. Install it with: "
            "pip install -r requirements-train.txt"
        ) from None
