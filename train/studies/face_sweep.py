"""Learning rate, batch and epochs of the reduced network, searched for with Optuna.

Trials are kept in a database that several machines may share: each adds trials until there are as
many as asked for, and one started again goes on from there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import optuna

from engines.errors import UserError, short_reason
from engines.say import tell
from train.reports.plots import curves
from train.siamese.batches import Task
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import Run, digest, train
from train.siamese.training import Diverged
from train.studies.face_data import Faces
from train.studies.face_runs import SIZES, Grid, published_recipe, resize_task
from train.studies.study import Study

SHARE = 0.2  # of validation
CHOSEN_BY = "AUC"  # of the validation's pairs
RANDOM = 4  # trials before it learns from those that there are


@dataclass(frozen=True)
class Trial:
    """Its settings, and the validation's AUC, 0…1, of its best epoch."""

    number: int
    rate: float
    batch: int
    epochs: int
    value: float


@dataclass(frozen=True)
class Sweep:
    """trials: the finished ones; run: of the best one, here."""

    trials: list[Trial]
    best: Trial
    run: Run


def open_table(study: Study, faces: Faces) -> optuna.Study:
    """Where the trials are kept. Raises UserError where the storage can't be used."""
    recipe, task = _basis(study, faces)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return _table(study, f"faces-{study.size}-{digest(task, recipe.within_groups)[:12]}")


def sweep(study: Study, faces: Faces, table: optuna.Study) -> Sweep:
    """Add the trials that are missing. Raises UserError where all of them diverged."""
    grid = SIZES[study.size].grid
    recipe, task = _basis(study, faces)

    def learned(rate: float, batch: int, epochs: int) -> Run:
        folder = study.out / "runs" / f"sweep-{rate:g}-{batch}-{epochs}"
        return train(_recipe(recipe, grid, rate, batch, epochs), task, folder)

    def objective(trial: optuna.Trial) -> float:
        rate = _rounded(trial.suggest_float("learning_rate", *grid.rates, log=True))
        batch = trial.suggest_categorical("batch", grid.batches)
        epochs = trial.suggest_categorical("epochs", grid.epochs)
        tell(f"Sweep, trial {trial.number + 1}: rate {rate:g}, batch {batch}, {epochs} epochs.")
        try:
            return learned(rate, batch, epochs).figures[CHOSEN_BY]
        except Diverged as error:
            tell(str(error))
            raise optuna.TrialPruned from None  # such settings are a finding, too

    while _tried(table) < grid.trials:
        # Seeded by the trial's number, machines that share the table don't draw the same.
        table.sampler = optuna.samplers.TPESampler(
            n_startup_trials=RANDOM, seed=len(table.get_trials(deepcopy=False))
        )
        table.optimize(objective, n_trials=1)
    trials = finished(table)
    if not trials:
        raise UserError(
            "Every trial of the sweep diverged. Lower its learning rates in "
            "train/studies/face_runs.py."
        )
    best = max(trials, key=lambda trial: trial.value)
    # Where another machine has trained it, it is trained here once more.
    return Sweep(trials, best, learned(best.rate, best.batch, best.epochs))


def _basis(study: Study, faces: Faces) -> tuple[SiameseRecipe, Task]:
    """What every trial changes, and what it learns from."""
    recipe = published_recipe(SIZES[study.size], "face-reduced", study.size == "full")
    return recipe, resize_task(faces.tasks[SHARE], recipe)


def _tried(table: optuna.Study) -> int:
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return len(table.get_trials(deepcopy=False, states=ended))


def finished(table: optuna.Study) -> list[Trial]:
    """Those that came to an end, in their order."""
    done = table.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return [
        Trial(
            t.number,
            _rounded(t.params["learning_rate"]),
            t.params["batch"],
            t.params["epochs"],
            float(t.value or 0.0),
        )
        for t in done
    ]


def draw_sweep(sweep: Sweep, study: Study, name: str) -> None:
    """Every trial's AUC against its learning rate, a line for each batch and number of epochs."""
    series = {}
    for batch, epochs in sorted({(t.batch, t.epochs) for t in sweep.trials}):
        own = [t for t in sweep.trials if (t.batch, t.epochs) == (batch, epochs)]
        own.sort(key=lambda t: t.rate)
        rates = np.array([t.rate for t in own])
        values = np.array([t.value for t in own])
        series[f"batch {batch}, {epochs} epochs"] = (rates, values, None, None)
    curves(
        study.out / name, series, "learning rate", "validation's AUC", "Sweep: reduced network",
        log_x=True, chance=0.5,
    )  # fmt: skip


def _table(study: Study, name: str) -> optuna.Study:
    storage = study.storage or f"sqlite:///{(study.out / 'sweep.db').absolute()}"
    try:
        study.out.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
    except Exception as error:  # each kind of database raises its own
        raise UserError(
            f"The sweep's storage {storage} can't be used ({short_reason(error)}): expected a "
            "database URL such as sqlite:////shared/sweep.db. Correct --storage, or leave it out."
        ) from None


def _recipe(
    recipe: SiameseRecipe, grid: Grid, rate: float, batch: int, epochs: int
) -> SiameseRecipe:
    return dataclasses.replace(
        recipe, learning_rate=rate, batch=batch, epochs=epochs, steps=grid.steps
    )


def _rounded(rate: float) -> float:
    return float(f"{rate:.2g}")
