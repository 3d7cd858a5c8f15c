"""One Siamese run: a recipe and a task in, a folder with the trained network out.

The folder holds its configuration (run.json), log (log.csv), curves (curves.png), the network
that was kept (network.pt) and figures (result.json). A killed run goes on where it was; a
finished one is read back.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.errors import UserError
from engines.files import replacing
from engines.say import tell
from train.runs.checkpoint import read_checkpoint, round_to_half, save_checkpoint
from train.runs.folder import check_folder, claim_folder
from train.runs.lightning import fit
from train.runs.machine import machine
from train.siamese.batches import Task
from train.siamese.networks import KINDS, SiameseNetwork, initialise
from train.siamese.recipes import SiameseRecipe
from train.siamese.training import SCORE, SiameseTraining, score_of
from train.siamese.verification import best_threshold, pair_scores


@dataclass(frozen=True)
class Run:
    """A trained network; figures of the epoch that was kept, as in result.json; log: a row per
    epoch; threshold: of its comparison, fitted on the validation pairs; machine: where it was."""

    network: SiameseNetwork
    recipe: SiameseRecipe
    figures: dict[str, float]
    log: list[dict[str, float]]
    threshold: float
    folder: Path
    machine: str


def train(recipe: SiameseRecipe, task: Task, out: Path) -> Run:
    """Raises UserError where the folder holds another run, or can't be written."""
    settings = {
        **json.loads(json.dumps(dataclasses.asdict(recipe))),
        "data": digest(task, recipe.within_groups),
    }
    check_folder(out, settings)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "Siamese networks are trained by one process; torchrun was asked for more. Start the "
            "command without it."
        )
    if not (out / "result.json").is_file():
        _train(recipe, task, out, settings)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    try:
        result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(
            f"{out / 'result.json'} is damaged. Delete that file: the run goes on, or is run again."
        ) from None
    network, _ = read_checkpoint(out / "network.pt", KINDS)
    assert isinstance(network, SiameseNetwork)
    return Run(
        network=network,
        recipe=recipe,
        figures=result["figures"],
        log=result["log"],
        threshold=result["threshold"],
        folder=out,
        machine=result["machine"],
    )


def _train(recipe: SiameseRecipe, task: Task, out: Path, settings: dict[str, Any]) -> None:
    torch.manual_seed(recipe.seed)
    network = SiameseNetwork(recipe.model)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub lacks it
    network.mixed_precision = recipe.bfloat16
    if recipe.published_start:
        initialise(network, recipe.seed)
    training = SiameseTraining(network, task, recipe)
    claim_folder(out, settings)
    folder = out / "checkpoints"
    _, epochs = fit(
        training,
        folder,
        SCORE,
        epochs=recipe.epochs,
        # A cycle is best at its end, and nothing before that.
        patience=recipe.epochs if recipe.one_cycle else recipe.patience,
        min_delta=recipe.min_delta,
        keep="last" if recipe.one_cycle else "best",
    )
    log = training.log_rows
    seconds = log[-1]["seconds"]
    network = round_to_half(network.cpu().eval())
    network.mixed_precision = False  # as it is used from here on
    pairs = task.validation_pairs
    scores = pair_scores(network, task.validation.images, pairs)
    threshold = best_threshold(scores, pairs.same)
    kept = log[-1] if recipe.one_cycle else max(log, key=score_of)
    figures = {**kept, "kept epoch": kept["epoch"], "epochs": float(epochs), "seconds": seconds}
    save_checkpoint(network, {**settings, "figures": figures}, out / "network.pt")
    _write_log(log, out / "log.csv")
    draw_log(log, out / "curves.png", recipe)
    with replacing(out / "result.json") as file:  # last: it says that all the rest is there
        text = json.dumps(
            {"figures": figures, "threshold": threshold, "log": log, "machine": machine()}, indent=1
        )
        file.write(text.encode())
    tell(f"{out}: {epochs} epochs in {seconds:.0f} s, {describe(figures)}.")


def describe(figures: dict[str, float]) -> str:
    """The validation's figures in words."""
    names = [name for name in ("one-shot", "verification", "AUC") if name in figures]
    return ", ".join(f"{name} {100 * figures[name]:.1f} %" for name in names)


def digest(task: Task, grouped: bool) -> str:
    """SHA-256 (hex) of the pictures, labels, pairs, and groups where they matter: what a run's
    folder is bound to."""
    total = hashlib.sha256()
    for pictures in (task.train, task.validation):
        total.update(np.ascontiguousarray(pictures.images).tobytes())
        names = (pictures.labels, pictures.groups) if grouped else (pictures.labels,)
        for name in names:
            total.update("\n".join(name.tolist()).encode())
    for pairs in (task.train_pairs, task.validation_pairs):
        if pairs is not None:
            for part in (pairs.first, pairs.second, pairs.same):
                total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def draw_log(log: list[dict[str, float]], path: Path, recipe: SiameseRecipe) -> None:
    """Loss, one-shot and verification over the iterations, as a picture."""
    from train.reports.plots import Curve, curves  # matplotlib takes a second to load

    steps = np.array([row["epoch"] for row in log]) * recipe.steps
    series: dict[str, Curve] = {
        name: (steps, np.array([row[name] for row in log]), None, None)
        for name in ("loss", "validation loss", "one-shot", "verification")
        if name in log[-1]
    }
    curves(path, series, "iterations", "loss, share", f"{recipe.model.network}, {recipe.loss}")


def _write_log(log: list[dict[str, float]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(log[-1]))
    writer.writeheader()
    writer.writerows(log)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
