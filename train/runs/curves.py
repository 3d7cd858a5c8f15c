"""The curves of a training, as TensorBoard reads them."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Curves(Logger):
    """Writes what is logged into a new file of a folder.

    Lightning's own logger expands ~ and $ in the path, and TensorBoard's writer has a thread whose
    errors come late, as tracebacks.

    Attributes:
        folder: The folder.
    """

    name, version = "curves", 0  # Lightning asks for both

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._file: BinaryIO | None = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        now = time.time()
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._write(Event(wall_time=now, step=step, summary=Summary(value=values)))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Do nothing: run.json holds the settings."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, event: Event) -> None:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
            self._file = open(self.folder / name, "xb", buffering=0)  # noqa: SIM115  # see finalize
            self._write(Event(wall_time=event.wall_time, file_version="brain.Event:2"))
        RecordWriter(self._file).write(event.SerializeToString())
