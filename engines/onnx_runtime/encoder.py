"""ONNX Runtime as an Encoder, on the CPU or on any provider that the installed build has."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.onnx_runtime.providers import CPU, known
from engines.onnx_runtime.session import accelerated_session, cpu_session, reason
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec, preprocess


class OnnxEncoder:
    """An encoder's ONNX file in ONNX Runtime. Two threads may use one.

    provider: a name of onnx_providers.PROVIDERS. Quantised (Q/DQ) files need nothing else.
    Raises UserError where the file is no encoder, or the provider can't be had or used here.
    """

    def __init__(self, path: Path, provider: str = CPU) -> None:
        self.provider = provider
        self.engine = f"ONNX Runtime, {provider}"
        self._at_once = known(provider).at_once
        lock = threading.Lock() if known(provider).single else None
        self._turn = lock or contextlib.nullcontext()
        try:
            # First on the CPU in any case: a fault found here is the file's, not the provider's.
            self._session = cpu_session(path)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # onnxruntime raises its own unrelated types
            raise UserError(
                f"{path} can't be opened as an ONNX file ({reason(error)}). Export the encoder "
                "again, or use --encoder landmarks."
            ) from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        if SPEC_KEY not in metadata or FINGERPRINT_KEY not in metadata:
            raise UserError(
                f"{path} is an ONNX file without an encoder spec: it was not exported by this "
                "project. Use --encoder landmarks, or export it again from its checkpoint."
            )
        self.spec = EncoderSpec.from_json(metadata[SPEC_KEY])
        self.fingerprint = metadata[FINGERPRINT_KEY]
        wanted = {i.name for i in self._session.get_inputs()}
        if wanted != set(self.spec.inputs):
            raise UserError(
                f"{path} takes the inputs {sorted(wanted)} but its spec says "
                f"{sorted(self.spec.inputs)}. Export it again."
            )
        given = {o.name: o.shape for o in self._session.get_outputs()}
        if given.get("embedding", [])[1:] not in ([self.spec.dim], [None]):
            raise UserError(
                f"{path} gives {given} but its spec says an embedding of (N, {self.spec.dim}). "
                "Export it again."
            )
        if provider != CPU:
            self._session = accelerated_session(path, provider, self.spec)

    def encode(
        self, crops: np.ndarray, landmarks: np.ndarray, world_landmarks: np.ndarray
    ) -> np.ndarray:
        """See Encoder.encode. Raises UserError where the provider fails while it runs."""
        inputs = preprocess(self.spec, crops, landmarks, world_landmarks)
        count = len(next(iter(inputs.values())))
        if count == 0:
            return np.zeros((0, self.spec.dim), np.float32)
        step = self._at_once or count
        parts = [
            self._run({name: values[i : i + step] for name, values in inputs.items()})
            for i in range(0, count, step)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        try:
            with self._turn:
                return self._session.run(["embedding"], inputs)[0]
        except Exception as error:  # no memory, or a GPU that went away
            raise UserError(
                f"ONNX Runtime's {self.provider} provider failed while it ran "
                f"({reason(error)}). Run with: --engine onnx"
                if self.provider != CPU
                else f"ONNX Runtime can't run {self.spec.name} ({reason(error)}). Export it again."
            ) from None

    def close(self) -> None:
        """Nothing to free by hand; here so that every engine closes alike."""
