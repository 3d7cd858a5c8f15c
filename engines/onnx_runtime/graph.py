"""An ONNX file in ONNX Runtime: named arrays in, named arrays out."""

from __future__ import annotations

import contextlib
import functools
import threading
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.hand_networks import Shapes
from engines.network import Arrays, run_in_batches
from engines.onnx_runtime.providers import CPU, get_provider
from engines.onnx_runtime.session import accelerated_session, open_on_cpu, reason


class OnnxGraph:
    """A file in ONNX Runtime, on the CPU until `accelerate`. Threads may share it.

    Attributes:
        metadata: the file's.
        inputs: what it takes, by name; each shape as the file states it, with the batch axis.
        outputs: what it gives, likewise.
    """

    def __init__(self, path: Path, provider: str, what: str, remedy: str) -> None:
        """Open the file.

        Args:
            path: the ONNX file.
            provider: a key of PROVIDERS.
            what: the network, for messages.
            remedy: a sentence that says what to do where the file can't be opened or run.

        Raises:
            UserError: if there is no such provider, or the file is missing or damaged.
        """
        self._path, self._provider = path, provider
        self._what, self._remedy = what, remedy
        self._most = get_provider(provider).most_hands
        lock = threading.Lock() if get_provider(provider).single else None
        self._turn = lock or contextlib.nullcontext()
        # Always on the CPU first: a fault found here is the file's, not the provider's.
        self._session = open_on_cpu(path, remedy)
        try:
            self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.inputs = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
            self.outputs = {value.name: tuple(value.shape) for value in self._session.get_outputs()}
        except UnicodeDecodeError:  # ONNX Runtime hands on whatever bytes are there
            raise UserError(f"{path} is damaged: a name in it isn't text. {remedy}") from None

    def accelerate(self, inputs: Shapes) -> None:
        """Move to the provider. Raises UserError where it can't be used here.

        Args:
            inputs: the file's, without the batch axis.
        """
        if self._provider != CPU:
            self._session = accelerated_session(self._path, self._provider, inputs)

    def run(self, inputs: Arrays, outputs: Shapes) -> dict[str, np.ndarray]:
        """Run the network on any number of rows.

        Args:
            inputs: float32 (N, …) by name.
            outputs: those that are wanted.

        Raises:
            UserError: if ONNX Runtime fails, or an output has another shape.
        """
        run = functools.partial(self._run_once, outputs)
        return run_in_batches(run, inputs, outputs, self._most)

    def _run_once(self, outputs: Shapes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(next(iter(inputs.values())))
        try:
            with self._turn:
                values = self._session.run(list(outputs), inputs)
        except Exception as error:  # out of memory, or the GPU is gone
            raise UserError(
                f"ONNX Runtime's {self._provider} provider failed while it ran "
                f"({reason(error)}). Run with: --engine onnx"
                if self._provider != CPU
                else f"ONNX Runtime can't run {self._what} ({reason(error)}). {self._remedy}"
            ) from None
        for (name, shape), value in zip(outputs.items(), values, strict=True):
            if value.shape != (count, *shape) or value.dtype != np.float32:
                raise UserError(
                    f"ONNX Runtime makes {value.dtype} {value.shape} of {name} with {self._what}, "
                    f"where float32 {(count, *shape)} is expected. {self._remedy}"
                )
        return dict(zip(outputs, values, strict=True))
