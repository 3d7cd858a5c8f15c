"""What every Lightning run here has in common: quiet, resumable, best and last state kept."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger

from engines.say import console, tell


class Patience(EarlyStopping):
    """Early stopping that a run killed after its last epoch remembers, too."""

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        trainer.should_stop = self.wait_count >= self.patience


def fit(
    training: lightning.LightningModule,
    folder: Path,
    score: str,
    *,
    epochs: int,
    patience: int,
    min_delta: float = 0.0,
    logger: Logger | bool = False,
    keep: str = "best",
) -> tuple[float, int]:
    """Train, going on from folder/last.ckpt if there; load the "best" epoch, of the highest
    `score`, or the "last" one into `training` → the best score, and how many epochs there were.
    Ctrl-C is KeyboardInterrupt."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    best = ModelCheckpoint(folder, "best", score, mode="max", enable_version_counter=False)
    callbacks: list[lightning.Callback] = [
        Patience(score, mode="max", patience=patience, min_delta=min_delta),
        best,
        ModelCheckpoint(folder, "last", enable_version_counter=False),  # each epoch's, after best
    ]
    if console.is_terminal:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    workers = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    trainer = lightning.Trainer(
        max_epochs=epochs,
        devices=workers if workers > 1 or not torch.cuda.is_available() else 1,
        num_nodes=int(os.environ.get("WORLD_SIZE", "1")) // workers,
        strategy="ddp" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "auto",
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=logger,
        callbacks=callbacks,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    last = folder / "last.ckpt"
    try:
        trainer.fit(training, ckpt_path=last if last.is_file() else None, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C
        tell("What was trained is kept: the same command goes on from there.")
        raise KeyboardInterrupt from None
    stored = torch.load(folder / f"{keep}.ckpt", map_location="cpu", weights_only=True)
    training.load_state_dict(stored["state_dict"])
    assert best.best_model_score is not None  # every epoch is validated
    return float(best.best_model_score), int(trainer.current_epoch)
