"""A TensorRT plan as an Encoder, and the palm network's plan beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from engines.files import explain_errors
from engines.hand_networks import PALM, Shapes
from engines.network import Arrays, NetworkEncoder
from engines.tensorrt.plan import Plan, load_plan


def open_plan(path: Path, fingerprint: str | None = None) -> TensorRTEncoder:
    """Open an encoder's plan.

    Args:
        path: the plan, with its sidecar beside it.
        fingerprint: of the encoder that it must hold; None for any.

    Raises:
        UserError: if the plan is missing or damaged, holds another encoder, or can't run here. The
            sentence names the command that fixes it.
    """
    return TensorRTEncoder(load_plan(path, fingerprint))


def open_palm_plan(path: Path, onnx: Path) -> TensorRTPalm:
    """Open the palm network's plan. Raises UserError, as `open_plan` does.

    Args:
        path: the plan, with its sidecar beside it.
        onnx: the file that it must have been built from.
    """
    with explain_errors(f"{onnx} can't be read"):
        mark = hashlib.sha256(onnx.read_bytes()).hexdigest()
    return TensorRTPalm(load_plan(path, mark, palm=True))


class TensorRTEncoder(NetworkEncoder):
    """An encoder's plan on a GPU. Threads may share it; their calls wait for one another."""

    def __init__(self, plan: Plan) -> None:
        """Take a plan of an encoder, and close it with the encoder."""
        assert plan.sidecar.spec is not None
        self._plan = plan
        self.spec, self.fingerprint = plan.sidecar.spec, plan.sidecar.fingerprint
        self.engine, self.engine_name = plan.engine, str(plan.path)

    @property
    def gpu_ms(self) -> float | None:
        """Time of the last call on the GPU, copies included; None before the first."""
        return self._plan.gpu_ms

    def _run(self, inputs: Arrays, outputs: Shapes) -> dict[str, np.ndarray]:
        return self._plan.run(inputs, outputs)

    def close(self) -> None:
        """Free the GPU's memory and save the compiled kernels. Closing again does nothing."""
        self._plan.close()


class TensorRTPalm:
    """The palm network's plan on a GPU. Threads may share it; their calls wait for one another."""

    def __init__(self, plan: Plan) -> None:
        """Take a plan of the palm network, and close it with this."""
        self._plan = plan
        self.engine = plan.engine

    @property
    def gpu_ms(self) -> float | None:
        """Time of the last call on the GPU, copies included; None before the first."""
        return self._plan.gpu_ms

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """See PalmNetwork.run."""
        return self._plan.run({PALM.input_name: batch}, PALM.outputs)

    def close(self) -> None:
        """Free the GPU's memory and save the compiled kernels. Closing again does nothing."""
        self._plan.close()
