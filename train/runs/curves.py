"""The curves of a training, for TensorBoard."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter


class Curves(Logger):
    """Writes what is logged into a folder, as it is named: Lightning's own logger expands ~ and $.

    Attributes:
        folder: The folder.
    """

    name, version = "curves", 0  # Lightning asks for both

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._writer: SummaryWriter | None = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder))
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Do nothing: run.json holds the settings."""

    @rank_zero_only
    def save(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._writer is not None:
            self._writer.close()
