"""An encoder in ONNX Runtime, on the CPU or on any provider that the installed build has."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.hand_networks import HAND, HandOutputs
from engines.onnx_runtime.providers import CPU, get_provider
from engines.onnx_runtime.session import accelerated_session, open_on_cpu, reason
from engines.spec import (
    FINGERPRINT_KEY,
    NO_POINTS,
    SPEC_KEY,
    EncoderSpec,
    output_shapes,
    preprocess,
)


class OnnxEncoder:
    """An encoder's ONNX file in ONNX Runtime, float or quantised (Q/DQ). Threads may share it."""

    def __init__(self, path: Path, provider: str = CPU) -> None:
        """Open the file.

        Args:
            path: the ONNX file.
            provider: a key of PROVIDERS.

        Raises:
            UserError: if the file is no encoder, or the provider can't be used here.
        """
        self.provider = provider
        self.engine = f"ONNX Runtime, {provider}"
        self._most = get_provider(provider).most_hands
        lock = threading.Lock() if get_provider(provider).single else None
        self._turn = lock or contextlib.nullcontext()
        # Always on the CPU first: a fault found here is the file's, not the provider's.
        self._session = open_on_cpu(path, "Export the encoder again, or use --encoder landmarks.")
        metadata = self._session.get_modelmeta().custom_metadata_map
        if SPEC_KEY not in metadata or FINGERPRINT_KEY not in metadata:
            raise UserError(
                f"{path} is an ONNX file without an encoder spec: it was not exported by this "
                "project. Use --encoder landmarks, or export it again from its checkpoint."
            )
        self.spec = EncoderSpec.from_json(metadata[SPEC_KEY])
        self.fingerprint = metadata[FINGERPRINT_KEY]
        inputs = {i.name for i in self._session.get_inputs()}
        if inputs != set(self.spec.inputs):
            raise UserError(
                f"{path} takes the inputs {sorted(inputs)} but its spec says "
                f"{sorted(self.spec.inputs)}. Export it again."
            )
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        expected = output_shapes(self.spec)
        for name, shape in expected.items():
            if name not in outputs or not _agree(outputs[name][1:], shape):
                raise UserError(
                    f"{path} gives {outputs} but its spec says {expected}, for any number of "
                    "hands. Export it again."
                )
        if provider != CPU:
            self._session = accelerated_session(path, provider, self.spec)

    def encode(
        self,
        crops: np.ndarray,
        landmarks: np.ndarray,
        world_landmarks: np.ndarray,
        turns: np.ndarray,
    ) -> np.ndarray:
        """See Encoder.encode."""
        inputs = preprocess(self.spec, crops, landmarks, world_landmarks, turns)
        return self._run(inputs, ["embedding"])[0]

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        """See Encoder.look."""
        names = [*HAND.outputs, "embedding"]
        inputs = preprocess(self.spec, crops, *NO_POINTS, turns)
        return HandOutputs(**dict(zip(names, self._run(inputs, names), strict=True)))

    def _run(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """Run in steps of at most as many hands as the provider takes: the outputs in order."""
        count = len(next(iter(inputs.values())))
        if count == 0:
            shapes = output_shapes(self.spec)
            return [np.zeros((0, *shapes[name]), np.float32) for name in outputs]
        step = self._most or count
        parts = [
            self._run_once({name: values[i : i + step] for name, values in inputs.items()}, outputs)
            for i in range(0, count, step)
        ]
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _run_once(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        try:
            with self._turn:
                return self._session.run(outputs, inputs)
        except Exception as error:  # out of memory, or the GPU is gone
            raise UserError(
                f"ONNX Runtime's {self.provider} provider failed while it ran "
                f"({reason(error)}). Run with: --engine onnx"
                if self.provider != CPU
                else f"ONNX Runtime can't run {self.spec.name} ({reason(error)}). Export it again."
            ) from None

    def close(self) -> None:
        """Does nothing: Python frees the session."""


def _agree(found: list[int | str | None], expected: tuple[int, ...]) -> bool:
    """Whether a shape that a file states is the expected one; what it leaves open agrees."""
    return len(found) == len(expected) and all(
        size == wanted or not isinstance(size, int)
        for size, wanted in zip(found, expected, strict=True)
    )
