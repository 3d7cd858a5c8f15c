"""The networks that find hands, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.hand_networks import HAND, ROLE_KEY, HandOutputs, NetworkSpec
from engines.onnx_runtime.graph import OnnxGraph
from engines.onnx_runtime.providers import CPU
from engines.spec import to_floats

REMEDY = "Make it again with: python -m train.backbone.hand_networks"


class OnnxNetwork:
    """A network's ONNX file in ONNX Runtime. Threads may share it."""

    def __init__(self, path: Path, spec: NetworkSpec, provider: str = CPU) -> None:
        """Open the file.

        Args:
            path: the ONNX file.
            spec: what it has to take and give.
            provider: a key of PROVIDERS.

        Raises:
            UserError: if the file is missing, damaged or another network, or the provider can't be
                used here.
        """
        self.engine = f"ONNX Runtime, {provider}"
        self._spec = spec
        self._graph = OnnxGraph(path, provider, f"the {spec.role} network", REMEDY)
        role = self._graph.metadata.get(ROLE_KEY)
        if role != spec.role:
            raise UserError(f"{path} is not the {spec.role} network ({role=}). {REMEDY}")
        inputs = {name: shape[1:] for name, shape in self._graph.inputs.items()}
        outputs = {name: shape[1:] for name, shape in self._graph.outputs.items()}
        if inputs != spec.inputs or outputs != spec.outputs:
            raise UserError(
                f"{path} takes {inputs} and gives {outputs}; expected {spec.inputs} and "
                f"{spec.outputs}. {REMEDY}"
            )
        self._graph.accelerate(spec.inputs)

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            batch: float32 (N, 3, S, S).

        Returns:
            Its outputs by name, each float32 (N, …).

        Raises:
            UserError: if ONNX Runtime fails.
        """
        return self._graph.run({self._spec.input_name: batch}, self._spec.outputs)

    def close(self) -> None:
        """Does nothing: Python frees the session."""


class OnnxHandNetwork:
    """The hand network by itself, for encoders that don't find landmarks. Threads may share it."""

    def __init__(self, path: Path, provider: str = CPU) -> None:
        """Open hand.onnx. Raises UserError, as OnnxNetwork does."""
        self._network = OnnxNetwork(path, HAND, provider)
        self.engine = self._network.engine

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        """See HandNetwork.look."""
        nothing = np.zeros((len(crops), 0), np.float32)
        return HandOutputs(**self._network.run(to_floats(crops)), embedding=nothing)
