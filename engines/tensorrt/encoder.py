"""A TensorRT plan as an Encoder, on TensorRT, its lean runtime, or TensorRT for RTX."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.files import explain_errors, write_file
from engines.spec import input_shapes, preprocess
from engines.tensorrt import sidecar as sidecars
from engines.tensorrt.cuda_buffers import CudaBuffers
from engines.tensorrt.execute import Execution
from engines.tensorrt.gpu import compute_capability
from engines.tensorrt.plan_check import Machine, check_plan
from engines.tensorrt.runtimes import RUNTIMES, find_installed, load
from engines.tensorrt.sidecar import Sidecar


def open_plan(path: Path, fingerprint: str | None = None) -> TensorRTEncoder:
    """Open a plan that `build` wrote.

    Args:
        path: the plan, with its sidecar beside it.
        fingerprint: of the encoder that it must hold; None for any.

    Raises:
        UserError: if the plan is missing or damaged, holds another encoder, or can't run here. The
            sentence names the command that fixes it.
    """
    with explain_errors(f"{path} can't be read"):
        if not path.exists():
            raise UserError(
                f"There is no plan at {path}; build one: python run.py build --onnx FILE.onnx "
                f"--engine {path}"
            )
        plan = path.read_bytes()
    sidecar = sidecars.load(path)
    here = Machine(find_installed(), compute_capability(), fingerprint)
    return TensorRTEncoder(path, plan, sidecar, check_plan(sidecar, path, plan, here))


class TensorRTEncoder:
    """A plan on a GPU. Threads may share it; their calls wait for one another.

    Attributes:
        gpu_ms: time of the last `encode` on the GPU, copies included; None before the first.
    """

    def __init__(self, path: Path, plan: bytes, sidecar: Sidecar, runtime: str) -> None:
        """Load the plan.

        Args:
            path: the plan's file, for messages and the cache beside it.
            plan: its bytes.
            sidecar: what it was built for.
            runtime: the name of the runtime that runs it, see `check_plan`.

        Raises:
            UserError: if pycuda is missing, or TensorRT or the GPU refuses the plan.
        """
        self.spec, self.fingerprint = sidecar.spec, sidecar.fingerprint
        self.engine = f"{RUNTIMES[runtime]}, {sidecar.precision}"
        self.gpu_ms: float | None = None
        self._path, self._most = path, sidecar.batches[-1]
        self._lock = threading.Lock()
        trt, shapes = load(runtime), input_shapes(sidecar.spec)
        self._buffers = CudaBuffers(
            {name: (self._most, *shape) for name, shape in shapes.items()},
            {"embedding": (self._most, sidecar.spec.dim)},
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
                    shapes,
                    self._buffers.addresses,
                    self._buffers.stream,
                    sidecar.portable,
                    self._cached,
                )
        except BaseException:
            self._buffers.close()
            raise

    def encode(
        self,
        crops: np.ndarray,
        landmarks: np.ndarray,
        world_landmarks: np.ndarray,
        turns: np.ndarray,
    ) -> np.ndarray:
        """See Encoder.encode."""
        inputs = preprocess(self.spec, crops, landmarks, world_landmarks, turns)
        count = len(next(iter(inputs.values())))
        embeddings, gpu_ms = np.zeros((count, self.spec.dim), np.float32), 0.0
        with self._lock:
            if self._execution is None:
                raise UserError(f"{self._path} has been closed; open it again.")
            with self._buffers.current():
                for start in range(0, count, self._most):
                    part = {name: rows[start : start + self._most] for name, rows in inputs.items()}
                    outputs = self._buffers.run(part, self._execution.enqueue)
                    embeddings[start : start + self._most] = outputs["embedding"]
                    gpu_ms += self._buffers.gpu_ms or 0.0
            self.gpu_ms = gpu_ms
        return embeddings

    def close(self) -> None:
        """Free the GPU's memory and save the compiled kernels. Closing again does nothing."""
        with self._lock:
            execution, self._execution = self._execution, None
            if execution is None:
                return
            try:
                with self._buffers.current():
                    try:
                        kernels = execution.compiled_kernels()
                    finally:
                        execution.close()
            finally:
                self._buffers.close()
        if kernels and kernels != self._cached:
            with contextlib.suppress(OSError):  # without them the next start only takes longer
                write_file(cache_path(self._path), kernels)


def cache_path(plan: Path) -> Path:
    """The file that keeps the kernels which TensorRT for RTX compiled for this GPU."""
    return plan.with_name(plan.name + ".cache")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
