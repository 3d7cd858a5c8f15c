"""`run.py cross-validate`: train without each set in turn, and test on it.

The figures of a left-out set estimate what the encoder does for people it wasn't trained on. The
scores of all left-out sets together calibrate the encoder that is trained on everything.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from calibration import fitting, threshold
from calibration.carry_over import carry_over
from calibration.episodes import LabelledEmbeddings, Scores, across, within
from calibration.figures import figures
from calibration.finite import json_text
from calibration.fitting import WITHIN
from calibration.metrics import Figure
from calibration.threshold import MANY, Calibration
from engines.errors import UserError
from engines.files import write_file
from engines.say import tell
from train.backbone.backbone import load_backbone
from train.backbone.landmark_baseline import mean_features
from train.encoder.checkpoint import load_checkpoint
from train.encoder.data import alphabets_and_labels, load_data
from train.encoder.export import export
from train.encoder.features import SIDES, pooled_features, real_features
from train.encoder.fit import train
from train.encoder.model import GEOMETRY, GestureEncoder
from train.encoder.recipes import Recipe
from train.encoder.whitening import whiten
from train.evaluation import FIGURES, REPORT
from train.evaluation.confusions import count_confusions
from train.evaluation.folds import Fold, plan_folds
from train.pictures.alphabets import kinds_of
from train.pictures.prepared import Prepared, load_prepared
from train.runs.processes import processes

ENCODERS = (
    "landmark baseline",
    "frozen backbone",
    "trained without this set",
    "the same, shown left hands",
)
FAR = 0.01
DRAWS = 20  # of references per person, for the calibration


def cross_validate(
    recipe_name: str,
    recipe: Recipe,
    paths: list[Path],
    out: Path,
    features: Path | None = None,
) -> list[Fold]:
    """Train and test a fold per set; write out/report.json and out/report.md.

    Args:
        recipe_name: Name of the recipe, for the checkpoints and the report.
        recipe: The recipe.
        paths: Files of `run.py prepare`.
        out: The folder of the results, with a run's folder for each fold.
        features: Where features are kept; None: beside the first prepared file.

    Raises:
        UserError: The data is unsuitable, or a folder can't be used.
    """
    data = load_prepared(paths)
    plan = plan_folds(data, recipe)
    if not plan:
        raise UserError(
            "No set can be left out: each must show two labels, and pictures of two people must be "
            "left to train on without it. Add sets, or people."
        )
    if processes() > 1:
        raise UserError("cross-validate runs in one process; torchrun is for train.")
    for fold in plan:  # unsuitable data is an error before the long work
        load_data(paths, recipe, fold.without)
    folder = features or paths[0].with_suffix(".features")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = load_backbone().to(device)
    size = recipe.model.crop_size
    by_side = {
        side: real_features(data, backbone, size, 1, recipe.seed, folder, side)[0] for side in SIDES
    }
    pooled = pooled_features(data, backbone, size, folder)
    done: list[Fold] = []
    for fold in plan:
        checkpoint = out / fold.run / "encoder.pt"
        if fold.run not in [each.run for each in done]:
            tell(f"Without {', '.join(fold.without)}:")
            train(recipe_name, recipe, paths, fold.without, out / fold.run, features)
        done.append(_test_fold(fold, data, recipe, by_side, pooled, checkpoint))
        _write_reports(done, recipe_name, out, last=fold is plan[-1])
    _export_folds(done, out)
    return done


def _test_fold(
    fold: Fold,
    data: Prepared,
    recipe: Recipe,
    features: Mapping[str, np.ndarray],
    pooled: np.ndarray,
    checkpoint: Path,
) -> Fold:
    model, _ = load_checkpoint(checkpoint)
    assert isinstance(model, GestureEncoder)  # `train` writes no other kind
    _, labels = alphabets_and_labels(data, recipe)

    def embed(name: str, encoder: str) -> LabelledEmbeddings:
        mask = data.sets == name
        side = SIDES[encoder == ENCODERS[3]]
        rows = np.asarray(features[side][mask])
        if encoder == ENCODERS[0]:
            values = torch.from_numpy(rows[:, -GEOMETRY:].astype(np.float32) - mean_features())
        elif encoder == ENCODERS[1]:
            values = torch.from_numpy(np.sqrt(pooled[mask].astype(np.float32)))
        else:
            values = whiten(rows, model.whitening, model.head)
        unit = functional.normalize(values, dim=1).numpy()
        return LabelledEmbeddings(unit, labels[mask], data.subjects[mask])

    rows: dict[str, dict[str, Figure]] = {}
    for encoder in ENCODERS:
        queries = embed(fold.test, encoder)
        modes: dict[str, Callable[..., Scores]] = {"across people": across}
        if WITHIN in kinds_of(fold.test):
            modes = {"within a person": within, **modes}
        if fold.references:
            pool = embed(fold.references, encoder)
            modes[f"references from {fold.references}"] = functools.partial(across, references=pool)
        for mode, episodes in modes.items():
            for row, figure in figures(queries, episodes, _cosine, None):
                if isinstance(figure, Figure):
                    rows.setdefault(f"{mode}: {row}", {})[encoder] = figure
    trained = [embed(fold.test, encoder) for encoder in ENCODERS[2:]]
    kinds = kinds_of(fold.test)
    scores = fitting.join_sets(
        [fitting.open_set(hands, _cosine, DRAWS, kinds=kinds) for hands in trained]
    )
    return dataclasses.replace(
        fold,
        rows=rows,
        scores=scores if scores.one else None,
        confused=count_confusions(trained[0]),
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b.T


def calibration_of(done: list[Fold], far: float, fingerprint: str) -> Calibration:
    """Calibrate an encoder like those of the folds on the scores of the recipe's left-out sets.

    Args:
        done: The tested folds.
        far: The false accept rate to calibrate for, 0…1.
        fingerprint: The encoder's fingerprint.

    Raises:
        UserError: The sets are too few or too small.
    """
    by_set = {fold.test: fold.scores for fold in done if fold.own}
    return fitting.fit_left_out(by_set, far, fingerprint, "an encoder", DRAWS)


def _fit_on_others(
    fold: Fold, done: list[Fold], far: float, fingerprint: str
) -> Calibration | None:
    """Calibrate on all folds but one; None if they are too few."""
    try:
        return calibration_of([f for f in done if f is not fold], far, fingerprint)
    except UserError:
        return None


def _export_folds(done: list[Fold], out: Path) -> None:
    """Export each fold's encoder as an ONNX file, calibrated on the other folds' sets."""
    for fold in {fold.run: fold for fold in done}.values():
        folder = out / fold.run
        mark, _ = export(folder / "encoder.pt", folder / "encoder.onnx", f"without-{fold.run}")
        fitted = _fit_on_others(fold, done, FAR, mark)
        if fitted is not None:
            threshold.save(fitted, threshold.calibration_path(folder / "encoder.onnx"))


def _write_reports(done: list[Fold], recipe_name: str, out: Path, last: bool) -> None:
    """Write report.json and report.md for the folds that are done; with the last, calibrations."""
    stored = {
        fold.test: {
            row: {name: [f.value, f.low, f.high] for name, f in by.items()}
            for row, by in fold.rows.items()
        }
        for fold in done
    }
    lines = [f"Recipe {recipe_name}; each set tested on the encoder trained without it.", ""]
    for fold in done:
        lines += [f"### {fold.test} (not trained on: {', '.join(fold.without)})", ""]
        lines += ["| | " + " | ".join(ENCODERS) + " |", "|---|" + "---|" * len(ENCODERS)]
        for row, by in fold.rows.items():
            cells = [str(by[name]) if name in by else "–" for name in ENCODERS]
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
        worst = ", ".join(f"{a} as {b} {100 * share:.0f} %" for a, b, share in fold.confused[:10])
        if worst:
            lines += ["", f"Most often taken for another (trained without this set): {worst}."]
        lines.append("")
    by_set = {fold.test: fold.scores for fold in done}
    fitted = [fold.test for fold in done if fold.own]
    trials = carry_over(by_set, fitted, FAR, DRAWS) if last else {}
    if trials:
        lines += [
            "### Calibration at 1 % false accepts, fitted on the recipe's other sets",
            "",
            f"| set | false accepts | with {MANY} pictures of each gesture | correct accepts "
            "| ECE of similarity | of probability |",
            "|---|---|---|---|---|---|",
        ]
        for name, tried in trials.items():
            many, rates = tried.false_accepts.get(MANY), tried.rates
            values = [str(tried.false_accepts[1]), str(many or "–")]
            values += [f"{100 * rates['correct_accepts']:.1f} %" if rates else "–"]
            values += [f"{rates[e]:.3f}" if rates else "–" for e in ("ece_before", "ece_after")]
            lines.append(f"| {name} | " + " | ".join(values) + " |")
    write_file(out / FIGURES, json_text(stored, indent=1))
    write_file(out / REPORT, "\n".join(lines) + "\n")
