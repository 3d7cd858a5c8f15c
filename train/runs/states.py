"""The states from which a training goes on: each file is written whole, and checked when read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from engines.files import TEMPORARY
from engines.say import tell
from train.runs.checkpoint import write_tensors

BEST, LAST = "best.ckpt", "last.ckpt"


class KeepStates(Checkpoint):
    """Keeps the state after the newest epoch, and after the one with the best score so far.

    Lightning's own ModelCheckpoint takes paths for addresses, and forgets the best score when the
    folder was moved.

    Attributes:
        folder: Where the states are kept.
        score: Name of the validation metric to maximise.
        best: Its best value so far.
    """

    def __init__(self, folder: Path, score: str) -> None:
        self.folder, self.score = folder, score
        self.best: float | None = None

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        score = float(trainer.callback_metrics[self.score])
        if self.best is None or score > self.best:
            self.best = score
            trainer.save_checkpoint(self.folder / BEST)
        trainer.save_checkpoint(self.folder / LAST)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class WholeFiles(CheckpointIO):
    """Writes Lightning's states whole or not at all, beside where they go.

    Lightning writes them in the temporary folder and copies them, which leaves a torn file where
    the disk is full.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        write_tensors(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        return torch.load(path, map_location="cpu", weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def newest_state(folder: Path, keep: str) -> Path | None:
    """Find the state to go on from, and delete what an earlier process left half written.

    Args:
        folder: Where states are kept.
        keep: The epoch that is wanted in the end, BEST or LAST.

    Returns:
        The newest whole state; None where there is none, or where the best epoch so far is lost.
    """
    for torn in folder.glob(f"{TEMPORARY}*"):
        torn.unlink(missing_ok=True)
    states = [path for path in (folder / LAST, folder / BEST) if path.is_file()]
    whole = [path for path in states if _is_whole(path)]
    damaged = [str(path) for path in states if path not in whole]
    lost = keep == BEST and folder / BEST not in whole
    start = None if lost or not whole else whole[0]
    if damaged:
        goes_on = f"goes on from {start}" if start else "starts anew"
        tell(f"{' and '.join(damaged)}: damaged, so the training {goes_on}.")
    return start


def _is_whole(path: Path) -> bool:
    """Whether a file is one of KeepStates' states, by its checksums, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            intact = archive.testzip() is None
        state = torch.load(path, map_location="cpu", weights_only=True)
        return intact and KeepStates.__qualname__ in state["callbacks"]
    except Exception:  # zipfile, pickle and torch raise a dozen types on damage
        return False
