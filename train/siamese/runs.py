"""One Siamese run: train a network by a recipe on a task, in a folder.

The folder holds the settings (run.json), the log (log.csv), its curves (curves.png), the network of
the chosen epoch (network.pt) and the figures (result.json). An interrupted run is resumed; a
finished one is read back.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calibration.finite import json_text
from engines.errors import UserError
from engines.files import write_file
from engines.say import tell
from train.runs.checkpoint import read_checkpoint, round_to_half, save_checkpoint
from train.runs.folder import check_folder, claim_folder
from train.runs.lightning import fit
from train.runs.machine import machine
from train.runs.processes import processes
from train.runs.states import BEST, LAST
from train.siamese.batches import Task
from train.siamese.networks import KINDS, SiameseNetwork, initialise
from train.siamese.recipes import SiameseRecipe
from train.siamese.training import SCORE, SiameseTraining, score_of
from train.siamese.verification import best_threshold, score_pairs


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        network: The network of the chosen epoch.
        recipe: Its settings.
        figures: Validation figures of the chosen epoch, as in result.json.
        log: One row of figures per epoch.
        threshold: Similarity from which on a pair counts as one class, fitted on the validation
            pairs.
        folder: The folder of the run.
        machine: Name of the machine that trained it.
    """

    network: SiameseNetwork
    recipe: SiameseRecipe
    figures: dict[str, float]
    log: list[dict[str, float]]
    threshold: float
    folder: Path
    machine: str


def train(recipe: SiameseRecipe, task: Task, out: Path) -> Run:
    """Train a network, or read it back if the folder holds the finished run.

    Raises:
        UserError: The folder holds another run, is damaged or can't be written.
    """
    settings = {
        **json.loads(json.dumps(dataclasses.asdict(recipe))),
        "data": digest(task, recipe.within_groups),
    }
    check_folder(out, settings)
    if processes() > 1:
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
            f"{out / 'result.json'} is damaged. Delete it, and the same command trains again."
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
        # With one cycle the last epoch is the best: never stop before it.
        patience=recipe.epochs if recipe.one_cycle else recipe.patience,
        min_delta=recipe.min_delta,
        keep=LAST if recipe.one_cycle else BEST,
    )
    log = training.log_rows
    seconds = log[-1]["seconds"]
    network = round_to_half(network.cpu().eval())
    network.mixed_precision = False
    pairs = task.validation_pairs
    scores = score_pairs(network, task.validation.images, pairs)
    threshold = best_threshold(scores, pairs.same)
    kept = log[-1] if recipe.one_cycle else max(log, key=score_of)
    figures = {**kept, "kept epoch": kept["epoch"], "epochs": float(epochs), "seconds": seconds}
    save_checkpoint(network, {**settings, "figures": figures}, out / "network.pt")
    _write_log(log, out / "log.csv")
    draw_log(log, out / "curves.png", recipe)
    result = {"figures": figures, "threshold": threshold, "log": log, "machine": machine()}
    # Last: it marks the run as finished.
    write_file(out / "result.json", json_text(result, indent=1))
    tell(f"{out}: {epochs} epochs in {seconds:.0f} s, {describe(figures)}.")


def describe(figures: dict[str, float]) -> str:
    """Return the validation figures as text."""
    names = [name for name in ("one-shot", "verification", "AUC") if name in figures]
    return ", ".join(f"{name} {100 * figures[name]:.1f} %" for name in names)


def digest(task: Task, grouped: bool) -> str:
    """Compute the SHA-256 (hex) of a task's data, which binds a run's folder to it.

    Args:
        task: The task.
        grouped: Whether the groups matter.
    """
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
    """Plot loss, one-shot accuracy and verification accuracy over the iterations."""
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
    write_file(path, text.getvalue())
