"""A TensorRT plan as an Encoder: for TensorRT, its lean runtime, and TensorRT for RTX."""

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
from engines.tensorrt.plan_check import Here, check
from engines.tensorrt.runtimes import RUNTIMES, installed, load
from engines.tensorrt.sidecar import Sidecar


def open_plan(path: Path, fingerprint: str | None = None) -> TensorRTEncoder:
    """Open a plan that `build` wrote. fingerprint: of the encoder it must hold; None: any.

    Raises UserError, one sentence with the command that mends it, where the plan is damaged, holds
    another encoder, or can't run here.
    """
    with explain_errors(f"{path} can't be read"):
        if not path.exists():
            raise UserError(
                f"There is no plan at {path}; build one: python run.py build --onnx FILE.onnx "
                f"--engine {path}"
            )
        plan = path.read_bytes()
    sidecar = sidecars.load(path)
    here = Here(installed(), compute_capability(), fingerprint)
    return TensorRTEncoder(path, plan, sidecar, check(sidecar, path, plan, here))


class TensorRTEncoder:
    """A plan on a GPU. From any thread: calls wait for one another.

    gpu_ms: time of the last `encode` on the GPU, copies included; None before the first.
    """

    def __init__(self, path: Path, plan: bytes, sidecar: Sidecar, runtime: str) -> None:
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
        self._kept = _read(cache_path(path))
        self._execution: Execution | None = None
        try:
            with self._buffers.current():
                self._execution = Execution(
                    trt, f"{path} on {RUNTIMES[runtime]} {trt.__version__}", plan, sidecar.batches,
                    shapes, self._buffers.addresses, self._buffers.stream, sidecar.portable,
                    self._kept,
                )  # fmt: skip
        except BaseException:
            self._buffers.close()
            raise

    def encode(
        self, crops: np.ndarray, landmarks: np.ndarray, world_landmarks: np.ndarray
    ) -> np.ndarray:
        """See Encoder.encode. Raises UserError where the GPU fails."""
        inputs = preprocess(self.spec, crops, landmarks, world_landmarks)
        count = len(next(iter(inputs.values())))
        embeddings, gpu_ms = np.zeros((count, self.spec.dim), np.float32), 0.0
        with self._lock:
            if self._execution is None:
                raise UserError(f"{self._path} has been closed; open it again.")
            with self._buffers.current():
                for start in range(0, count, self._most):
                    part = {name: rows[start : start + self._most] for name, rows in inputs.items()}
                    given = self._buffers.run(part, self._execution.enqueue)
                    embeddings[start : start + self._most] = given["embedding"]
                    gpu_ms += self._buffers.gpu_ms or 0.0
            self.gpu_ms = gpu_ms
        return embeddings

    def close(self) -> None:
        """Free the GPU's memory and keep what the runtime compiled. Again: nothing."""
        with self._lock:
            execution, self._execution = self._execution, None
            if execution is None:
                return
            try:
                with self._buffers.current():
                    try:
                        compiled = execution.compiled()
                    finally:
                        execution.close()
            finally:
                self._buffers.close()
        if compiled and compiled != self._kept:
            with contextlib.suppress(OSError):  # only time is lost without it
                write_file(cache_path(self._path), compiled)


def cache_path(plan: Path) -> Path:
    """Where TensorRT for RTX keeps the kernels it compiled for this GPU."""
    return plan.with_name(plan.name + ".cache")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
