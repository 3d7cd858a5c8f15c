"""ONNX Runtime as an Encoder. The only file that imports onnxruntime."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec, preprocess


class OnnxEncoder:
    """An encoder's ONNX file on ONNX Runtime's CPU provider.

    One thread: MediaPipe runs beside it, and a few hands per frame don't repay more.
    """

    def __init__(self, path: Path) -> None:
        # The wheels report usage to Microsoft from their import on, unless told so before.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own unrelated types
            first = (
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            raise UserError(
                f"{path} can't be opened as an ONNX file ({first}). Export the encoder again, "
                "or use --encoder landmarks."
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

    def encode(
        self, crops: np.ndarray, landmarks: np.ndarray, world_landmarks: np.ndarray
    ) -> np.ndarray:
        """See Encoder.encode."""
        inputs = preprocess(self.spec, crops, landmarks, world_landmarks)
        if len(next(iter(inputs.values()))) == 0:
            return np.zeros((0, self.spec.dim), np.float32)
        return self._session.run(["embedding"], inputs)[0]

    def close(self) -> None:
        """Nothing to free by hand; here so that every engine closes alike."""
