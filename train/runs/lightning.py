"""One Lightning fit: quiet, resumable, with the best and the last epoch kept."""

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
    """Early stopping that also holds when a run was killed after the epoch that should stop it."""

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
    """Train, resuming from folder/last.ckpt if it exists, and load the chosen epoch's weights.

    Args:
        training: What to train; holds the weights of the chosen epoch afterwards.
        folder: Where checkpoints are written.
        score: Name of the validation metric to maximise.
        epochs: The most epochs to train.
        patience: Epochs without an improvement before training stops.
        min_delta: The least increase of the score that counts as an improvement.
        logger: Lightning's logger, or False.
        keep: The epoch to load in the end, "best" or "last".

    Returns:
        The best score and the number of epochs trained.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C; training can be resumed.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    best = ModelCheckpoint(folder, "best", score, mode="max", enable_version_counter=False)
    callbacks: list[lightning.Callback] = [
        Patience(score, mode="max", patience=patience, min_delta=min_delta),
        best,
        # After `best`, so that each epoch's state includes what `best` knows by then.
        ModelCheckpoint(folder, "last", enable_version_counter=False),
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
    except SystemExit:  # Lightning turns Ctrl-C into this
        tell("Training was interrupted: the same command goes on from there.")
        raise KeyboardInterrupt from None
    stored = torch.load(folder / f"{keep}.ckpt", map_location="cpu", weights_only=True)
    training.load_state_dict(stored["state_dict"])
    assert best.best_model_score is not None  # every epoch is validated
    return float(best.best_model_score), int(trainer.current_epoch)
