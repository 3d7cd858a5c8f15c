"""An encoder in ONNX Runtime, on the CPU or on any provider that the installed build has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.hand_networks import Shapes
from engines.network import Arrays, NetworkEncoder
from engines.onnx_runtime.graph import OnnxGraph
from engines.onnx_runtime.providers import CPU
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec, input_shapes, output_shapes


class OnnxEncoder(NetworkEncoder):
    """An encoder's ONNX file in ONNX Runtime, float or quantised (Q/DQ). Threads may share it."""

    def __init__(self, path: Path, provider: str = CPU) -> None:
        """Open the file.

        Args:
            path: the ONNX file.
            provider: a key of PROVIDERS.

        Raises:
            UserError: if the file is no encoder, or the provider can't be used here.
        """
        self.engine, self.engine_name = f"ONNX Runtime, {provider}", f"onnx:{provider}"
        remedy = "Export the encoder again, or use --encoder landmarks."
        graph = self._graph = OnnxGraph(path, provider, str(path), remedy)
        if SPEC_KEY not in graph.metadata or FINGERPRINT_KEY not in graph.metadata:
            raise UserError(
                f"{path} is an ONNX file without an encoder spec: it was not exported by this "
                "project. Use --encoder landmarks, or export it again from its checkpoint."
            )
        self.spec = EncoderSpec.from_json(graph.metadata[SPEC_KEY])
        self.fingerprint = graph.metadata[FINGERPRINT_KEY]
        if set(graph.inputs) != set(self.spec.inputs):
            raise UserError(
                f"{path} takes the inputs {sorted(graph.inputs)} but its spec says "
                f"{sorted(self.spec.inputs)}. Export it again."
            )
        expected = output_shapes(self.spec)
        for name, shape in expected.items():
            if name not in graph.outputs or not _agree(graph.outputs[name][1:], shape):
                raise UserError(
                    f"{path} gives {graph.outputs} but its spec says {expected}, for any number "
                    "of hands. Export it again."
                )
        graph.accelerate(input_shapes(self.spec))

    def _run(self, inputs: Arrays, outputs: Shapes) -> dict[str, np.ndarray]:
        return self._graph.run(inputs, outputs)

    def close(self) -> None:
        """Does nothing: Python frees the session."""


def _agree(found: Sequence[int | str | None], expected: tuple[int, ...]) -> bool:
    """Whether a shape that a file states is the expected one; what it leaves open agrees."""
    return len(found) == len(expected) and all(
        size == wanted or not isinstance(size, int)
        for size, wanted in zip(found, expected, strict=True)
    )
