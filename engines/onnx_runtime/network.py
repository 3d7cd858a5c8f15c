"""The networks that find hands, in ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.hand_networks import HAND, ROLE_KEY, HandOutputs, NetworkSpec
from engines.onnx_runtime.session import open_on_cpu, reason
from engines.spec import to_floats

REMEDY = "Make it again with: python -m train.backbone.hand_networks"


class OnnxNetwork:
    """A network's ONNX file in ONNX Runtime. Threads may share it."""

    def __init__(self, path: Path, spec: NetworkSpec) -> None:
        """Open the file.

        Args:
            path: the ONNX file.
            spec: what it has to take and give.

        Raises:
            UserError: if the file is missing, damaged or another network.
        """
        self._session = open_on_cpu(path, REMEDY)
        role = self._session.get_modelmeta().custom_metadata_map.get(ROLE_KEY)
        if role != spec.role:
            raise UserError(f"{path} is not the {spec.role} network ({role=}). {REMEDY}")
        inputs = {i.name: tuple(i.shape[1:]) for i in self._session.get_inputs()}
        outputs = {o.name: tuple(o.shape[1:]) for o in self._session.get_outputs()}
        if inputs != {spec.input_name: spec.input_shape} or outputs != spec.outputs:
            raise UserError(
                f"{path} takes {inputs} and gives {outputs}; expected "
                f"{ {spec.input_name: spec.input_shape} } and {spec.outputs}. {REMEDY}"
            )
        self._spec = spec

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            batch: float32 (N, 3, S, S), N ≥ 1.

        Returns:
            Its outputs by name, each float32 (N, …).

        Raises:
            UserError: if ONNX Runtime fails.
        """
        names = list(self._spec.outputs)
        try:
            values = self._session.run(names, {self._spec.input_name: batch})
        except Exception as error:  # out of memory
            raise UserError(
                f"ONNX Runtime can't run the {self._spec.role} network ({reason(error)}). {REMEDY}"
            ) from None
        return dict(zip(names, values, strict=True))


class OnnxHandNetwork:
    """The hand network by itself, for encoders that don't find landmarks. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open hand.onnx. Raises UserError, as OnnxNetwork does."""
        self._network = OnnxNetwork(path, HAND)

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        """See HandNetwork.look."""
        nothing = np.zeros((len(crops), 0), np.float32)
        return HandOutputs(**self._network.run(to_floats(crops)), embedding=nothing)
