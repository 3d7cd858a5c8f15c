"""One Lightning fit: quiet, resumable, with the best and the last epoch kept."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import Logger

from engines.files import explain_errors
from engines.say import console, tell
from train.runs.checkpoint import AGAIN, Diverged, weights_are_finite
from train.runs.processes import cluster, processes, processes_here
from train.runs.states import BEST, KeepStates, WholeFiles, newest_state


class Patience(EarlyStopping):
    """Early stopping that also holds when a run was killed after the epoch that should stop it."""

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        trainer.should_stop = self.wait_count >= self.patience


class StopDiverging(lightning.Callback):
    """Ends a training whose numbers are no longer finite, before its state is kept."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        if not bool(torch.isfinite(outputs["loss"])):
            raise _diverged(trainer, "loss isn't")

    def on_validation_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        if not weights_are_finite(module.state_dict()):
            raise _diverged(trainer, "weights aren't")


def _diverged(trainer: lightning.Trainer, what: str) -> Diverged:
    return Diverged(
        f"The training diverged in epoch {trainer.current_epoch + 1}: its {what} finite any "
        "more. Lower the recipe's learning rate, or look at the pictures for ones that are all "
        "alike."
    )


def fit(
    training: lightning.LightningModule,
    folder: Path,
    score: str,
    *,
    epochs: int,
    patience: int,
    min_delta: float = 0.0,
    logger: Logger | bool = False,
    keep: str = BEST,
) -> tuple[float, int]:
    """Train, resuming from the newest state in a folder, and load the chosen epoch's weights.

    Args:
        training: What to train; holds the weights of the chosen epoch afterwards.
        folder: Where states are kept.
        score: Name of the validation metric to maximise.
        epochs: The most epochs to train.
        patience: Epochs without an improvement before training stops.
        min_delta: The least increase of the score that counts as an improvement.
        logger: Lightning's logger, or False.
        keep: The epoch to load in the end, BEST or LAST.

    Returns:
        The best score and the number of epochs trained.

    Raises:
        UserError: A file can't be written, or the training diverged.
        KeyboardInterrupt: The user pressed Ctrl-C; training can be resumed.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    states = KeepStates(folder, score)
    callbacks: list[lightning.Callback] = [
        Patience(score, mode="max", patience=patience, min_delta=min_delta),
        StopDiverging(),
        states,
    ]
    if console.is_terminal:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    several = processes() > 1
    trainer = lightning.Trainer(
        max_epochs=epochs,
        devices=processes_here() if several or not torch.cuda.is_available() else 1,
        num_nodes=processes() // processes_here(),
        strategy="ddp" if several else "auto",
        plugins=[cluster(), WholeFiles()],
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=logger,
        callbacks=callbacks,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    with explain_errors(f"{folder.parent} can't be written", AGAIN):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            trainer.fit(training, ckpt_path=newest_state(folder, keep), weights_only=True)
        except SystemExit:  # Lightning turns Ctrl-C into this
            tell("Training was interrupted: the same command goes on from there.")
            raise KeyboardInterrupt from None
    stored = torch.load(folder / keep, map_location="cpu", weights_only=True)
    training.load_state_dict(stored["state_dict"])
    assert states.best is not None  # every epoch is validated
    return states.best, int(trainer.current_epoch)
