"""A sweep over learning rate, batch size and epochs of the reduced network, with Optuna.

Trials are stored in a database that several machines may share: each adds trials until there are as
many as wanted, and an interrupted sweep is resumed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import optuna

from engines.errors import UserError
from engines.files import explain_errors
from engines.say import tell
from train.reports.plots import curves
from train.runs import sweep_storage
from train.runs.checkpoint import Diverged
from train.runs.sweep_storage import explain_storage, file_url
from train.siamese.batches import Task
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import Run, digest, train
from train.studies.face_data import Faces
from train.studies.face_runs import SIZES, SweepGrid, published_recipe, resize_task
from train.studies.study import Study

VALIDATION_SHARE = 0.2
CRITERION = "AUC"  # of the validation pairs
RANDOM_TRIALS = 4  # before the sampler learns from earlier trials


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        number: Number of the trial, from 0.
        rate: Learning rate.
        batch: Batch size.
        epochs: Number of epochs.
        value: AUC of the validation in its best epoch, 0…1.
    """

    number: int
    rate: float
    batch: int
    epochs: int
    value: float


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Attributes:
        trials: The finished trials.
        best: The best of them.
        run: The best one's run on this machine.
    """

    trials: list[Trial]
    best: Trial
    run: Run


def open_table(study: Study, faces: Faces) -> optuna.Study:
    """Open the table of trials.

    Raises:
        UserError: The storage can't be used.
    """
    recipe, task = _common_settings(study, faces)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with explain_errors(f"--out {study.out} can't be written"):
        study.out.mkdir(parents=True, exist_ok=True)
    name = f"faces-{study.size}-{digest(task, recipe.within_groups)[:12]}"
    return sweep_storage.open_table(_url(study), name)


def run_sweep(study: Study, faces: Faces, table: optuna.Study) -> Sweep:
    """Run the trials that are missing.

    Raises:
        UserError: Every trial diverged, or the storage can't be used.
    """
    grid = SIZES[study.size].grid
    recipe, task = _common_settings(study, faces)

    def train_trial(rate: float, batch: int, epochs: int) -> Run:
        folder = study.out / "runs" / f"sweep-{rate:g}-{batch}-{epochs}"
        return train(_recipe(recipe, grid, rate, batch, epochs), task, folder)

    def objective(trial: optuna.Trial) -> float:
        rate = _round_rate(trial.suggest_float("learning_rate", *grid.rates, log=True))
        batch = trial.suggest_categorical("batch", grid.batches)
        epochs = trial.suggest_categorical("epochs", grid.epochs)
        tell(f"Sweep, trial {trial.number + 1}: rate {rate:g}, batch {batch}, {epochs} epochs.")
        try:
            return train_trial(rate, batch, epochs).figures[CRITERION]
        except Diverged as error:
            tell(str(error))
            raise optuna.TrialPruned from None  # a diverged trial counts as one

    with explain_storage(_url(study)):
        while _count_trials(table) < grid.trials:
            # Seeded by the number of trials, machines that share the table draw different ones.
            table.sampler = optuna.samplers.TPESampler(
                n_startup_trials=RANDOM_TRIALS, seed=len(table.get_trials(deepcopy=False))
            )
            table.optimize(objective, n_trials=1)
        trials = list_trials(table)
    if not trials:
        raise UserError(
            "Every trial of the sweep diverged. Lower its learning rates in "
            "train/studies/face_runs.py."
        )
    best = max(trials, key=lambda trial: trial.value)
    # If another machine trained it, it is trained again here.
    return Sweep(trials, best, train_trial(best.rate, best.batch, best.epochs))


def _common_settings(study: Study, faces: Faces) -> tuple[SiameseRecipe, Task]:
    """Return the recipe that trials vary, and their task."""
    recipe = published_recipe(SIZES[study.size], "face-reduced", study.size == "full")
    return recipe, resize_task(faces.tasks[VALIDATION_SHARE], recipe)


def _count_trials(table: optuna.Study) -> int:
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return len(table.get_trials(deepcopy=False, states=ended))


def list_trials(table: optuna.Study) -> list[Trial]:
    """List the finished trials in order."""
    done = table.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return [
        Trial(
            t.number,
            _round_rate(t.params["learning_rate"]),
            t.params["batch"],
            t.params["epochs"],
            float(t.value or 0.0),
        )
        for t in done
    ]


def draw_sweep(sweep: Sweep, study: Study, name: str) -> None:
    """Plot AUC against learning rate, one line for each batch size and number of epochs."""
    series = {}
    for batch, epochs in sorted({(t.batch, t.epochs) for t in sweep.trials}):
        own = [t for t in sweep.trials if (t.batch, t.epochs) == (batch, epochs)]
        own.sort(key=lambda t: t.rate)
        rates = np.array([t.rate for t in own])
        values = np.array([t.value for t in own])
        series[f"batch {batch}, {epochs} epochs"] = (rates, values, None, None)
    curves(
        study.out / name,
        series,
        "learning rate",
        "validation AUC",
        "Sweep: reduced network",
        log_x=True,
        chance=0.5,
    )


def _url(study: Study) -> str:
    return study.storage or file_url(study.out / "sweep.db")


def _recipe(
    recipe: SiameseRecipe, grid: SweepGrid, rate: float, batch: int, epochs: int
) -> SiameseRecipe:
    return dataclasses.replace(
        recipe, learning_rate=rate, batch=batch, epochs=epochs, steps=grid.steps
    )


def _round_rate(rate: float) -> float:
    return float(f"{rate:.2g}")
