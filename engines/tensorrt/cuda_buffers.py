"""Pinned host buffers, device buffers and the CUDA stream. The only file that imports pycuda.

Everything is in the GPU's primary context, which PyTorch and the CUDA runtime use, too. It is made
current for each call and released after it, so that any thread may call, also beside PyTorch.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from engines.errors import UserError, short_reason

Shapes = Mapping[str, tuple[int, ...]]
_RETAINING = threading.Lock()  # functools.cache doesn't lock


class CudaBuffers:
    """A float32 buffer per tensor on the host and one on the device. Not for two threads at once.

    Attributes:
        addresses: tensor name → device address, constant until `close`.
        gpu_ms: time of the last `run`, copies included, by the GPU's clock; None before the first.
    """

    def __init__(self, inputs: Shapes, outputs: Shapes) -> None:
        """Reserve the memory.

        Args:
            inputs: tensor name → shape with the largest batch.
            outputs: tensor name → shape with the largest batch.

        Raises:
            UserError: if pycuda or a GPU is missing, or memory runs out.
        """
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._host: dict[str, Any] = {}
        self._device: dict[str, Any] = {}
        self.gpu_ms: float | None = None
        cuda = self._cuda = _pycuda()
        with self.current():
            try:
                self._stream, self._began, self._ended = cuda.Stream(), cuda.Event(), cuda.Event()
                for name, shape in {**inputs, **outputs}.items():
                    self._host[name] = cuda.pagelocked_empty(shape, np.float32)
                    self._device[name] = cuda.mem_alloc(self._host[name].nbytes)
            except cuda.Error as error:
                self._free()
                raise cuda_error("can't reserve its memory", error) from None
        self.addresses = {name: int(memory) for name, memory in self._device.items()}

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream.handle)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make the primary context this thread's until the block ends."""
        with _RETAINING:
            context = _primary_context()
        try:
            context.push()
        except self._cuda.Error as error:
            raise cuda_error("doesn't answer", error) from None
        try:
            yield
        finally:
            context.pop()

    def run(
        self, arrays: Mapping[str, np.ndarray], enqueue: Callable[[int], None]
    ) -> dict[str, np.ndarray]:
        """Copy N inputs to the device, run the network, copy N outputs back.

        Call it inside `current`.

        Args:
            arrays: a float32 array (N, …) per input, N up to the largest batch.
            enqueue: queues the network's work on `stream` for N hands.

        Returns:
            A float32 array (N, …) per output.

        Raises:
            UserError: if CUDA fails.
        """
        count = len(next(iter(arrays.values())))
        for name in self._inputs:
            self._host[name][:count] = arrays[name]
        try:
            try:
                self._began.record(self._stream)
                for name in self._inputs:
                    source = self._host[name][:count]
                    self._cuda.memcpy_htod_async(self._device[name], source, self._stream)
                enqueue(count)
                for name in self._outputs:
                    target = self._host[name][:count]
                    self._cuda.memcpy_dtoh_async(target, self._device[name], self._stream)
                self._ended.record(self._stream)
            finally:  # after an error, too: queued work still uses the buffers
                self._stream.synchronize()
            self.gpu_ms = self._ended.time_since(self._began)
        except self._cuda.Error as error:
            raise cuda_error("stopped with an error", error) from None
        return {name: self._host[name][:count].copy() for name in self._outputs}

    def close(self) -> None:
        """Free all memory. Closing again does nothing."""
        if self._host or self._device:
            with self.current():
                self._free()

    def _free(self) -> None:
        for host in self._host.values():
            host.base.free()
        for memory in self._device.values():
            memory.free()
        self._host, self._device = {}, {}
        self._stream = self._began = self._ended = None


def pycuda_version() -> str:
    """The installed version. Raises UserError where pycuda is missing or can't be loaded."""
    _pycuda()
    import pycuda

    return str(pycuda.VERSION_TEXT)


def cuda_error(what: str, error: Exception) -> UserError:
    """The error for a CUDA exception; what: what the GPU did."""
    return UserError(f"The GPU {what} ({short_reason(error)}); for the CPU: --engine onnx")


def _pycuda() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below says what it warns of
            import pycuda.driver

        return pycuda.driver
    except ModuleNotFoundError:
        raise UserError(
            "Running a plan needs pycuda, which isn't installed here; install it, where the CUDA "
            "toolkit is, with: PATH=/usr/local/cuda/bin:$PATH pip install pycuda"
        ) from None
    except (ImportError, OSError) as error:  # it is linked with the driver's library
        raise UserError(
            f"pycuda can't be loaded ({short_reason(error)}): it needs NVIDIA's driver, and to be "
            "built with CUDA headers no newer than that; build it again with: pip install "
            "--force-reinstall --no-deps --no-cache-dir pycuda"
        ) from None


@functools.cache
def _primary_context() -> Any:
    """The first GPU's primary context, retained once for the life of the program."""
    cuda = _pycuda()
    try:
        cuda.init()
        context = cuda.Device(0).retain_primary_context()
    except cuda.Error as error:
        raise cuda_error("doesn't answer", error) from None
    # Never freed: pycuda 2026.1 would detach it as if it weren't the primary context.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(context))
    return context
