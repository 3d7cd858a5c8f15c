"""A TensorRT plan on the GPU: named arrays in, named arrays out."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np

from engines.errors import UserError, at_end
from engines.files import explain_errors, write_file
from engines.hand_networks import Shapes
from engines.network import Arrays, run_in_batches
from engines.tensorrt import sidecar as sidecars
from engines.tensorrt.cuda_buffers import CudaBuffers
from engines.tensorrt.execute import Execution
from engines.tensorrt.gpu import compute_capability
from engines.tensorrt.plan_check import (
    ENCODER_ONNX,
    PALM_ONNX,
    Machine,
    check_plan,
    check_role,
)
from engines.tensorrt.runtimes import RUNTIMES, find_installed, load
from engines.tensorrt.sidecar import Sidecar


class Plan:
    """A plan on TensorRT, its lean runtime, or TensorRT for RTX.

    Threads may share it; their calls wait for one another.

    Attributes:
        path: its file.
        sidecar: what it was built for.
        engine: what runs it, for people: "TensorRT for RTX, fp16".
        gpu_ms: time of the last `run` on the GPU, copies included; None before the first.
    """

    def __init__(self, path: Path, sidecar: Sidecar, plan: bytes, runtime: str) -> None:
        """Load the plan.

        Args:
            path: its file, for messages and the cache beside it.
            sidecar: what it was built for.
            plan: its bytes.
            runtime: the name of the runtime that runs it, see `check_plan`.

        Raises:
            UserError: if pycuda is missing, or TensorRT or the GPU refuses the plan.
        """
        self.path, self.sidecar = path, sidecar
        self.engine = f"{RUNTIMES[runtime]}, {sidecar.precision}"
        self.gpu_ms: float | None = None
        self._lock = threading.Lock()
        trt, most = load(runtime), sidecar.batches[-1]
        self._buffers = CudaBuffers(
            {name: (most, *shape) for name, shape in sidecar.inputs.items()},
            {name: (most, *shape) for name, shape in sidecar.outputs.items()},
        )
        self._cached = _read(cache_path(path))
        self._execution: Execution | None = None
        try:
            with self._buffers.current():
                self._execution = Execution(
                    trt,
                    f"{path} on {RUNTIMES[runtime]} {trt.__version__}",
                    plan,
                    sidecar.batches,
                    sidecar.inputs,
                    self._buffers.addresses,
                    self._buffers.stream,
                    sidecar.portable,
                    self._cached,
                )
        except BaseException:
            self._buffers.close()
            raise

    def run(self, inputs: Arrays, outputs: Shapes) -> dict[str, np.ndarray]:
        """Run the plan on any number of rows.

        Args:
            inputs: float32 (N, …) by name.
            outputs: those that are wanted.

        Raises:
            UserError: if the GPU fails, or the plan has been closed.
        """
        with self._lock:
            if self._execution is None:
                raise UserError(f"{self.path} has been closed; open it again.")
            enqueue, buffers, gpu_ms = self._execution.enqueue, self._buffers, 0.0

            def run_once(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
                nonlocal gpu_ms
                given = buffers.run(batch, enqueue)
                gpu_ms += buffers.gpu_ms or 0.0
                return {name: given[name] for name in outputs}

            with buffers.current():
                given = run_in_batches(run_once, inputs, outputs, self.sidecar.batches[-1])
            self.gpu_ms = gpu_ms
        return given

    def close(self) -> None:
        """Free the GPU's memory and save the compiled kernels. Closing again does nothing."""
        with self._lock:
            execution, self._execution = self._execution, None
            if execution is None:
                return
            close, buffers = execution.close, self._buffers
            with at_end(buffers.close), buffers.current(), at_end(close):
                kernels = execution.compiled_kernels()
        if kernels and kernels != self._cached:
            with contextlib.suppress(OSError):  # without them the next start only takes longer
                write_file(cache_path(self.path), kernels)


def load_plan(path: Path, fingerprint: str | None, palm: bool = False) -> Plan:
    """Open a plan that `build` wrote.

    Args:
        path: the plan, with its sidecar beside it.
        fingerprint: of the network that it must hold, see `Sidecar`; None for any.
        palm: whether that is the palm network, and not an encoder.

    Raises:
        UserError: if the plan is missing or damaged, holds another network, or can't run here. The
            sentence names the command that fixes it.
    """
    with explain_errors(f"{path} can't be read"):
        if not path.exists():
            raise UserError(
                f"There is no plan at {path}; build one: python run.py build --onnx "
                f"{PALM_ONNX if palm else ENCODER_ONNX} --engine {path}"
            )
        plan = path.read_bytes()
    sidecar = sidecars.load(path)
    check_role(sidecar, path, palm)
    here = Machine(find_installed(), compute_capability(), fingerprint)
    return Plan(path, sidecar, plan, check_plan(sidecar, path, plan, here))


def cache_path(plan: Path) -> Path:
    """The file that keeps the kernels which TensorRT for RTX compiled for this GPU."""
    return plan.with_name(plan.name + ".cache")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
