"""A GPU that isn't there: pycuda's driver and TensorRT's runtime as far as the engines use them.

It is strict where CUDA is: nothing works without a current context on the calling thread; what is
queued on a stream happens at its synchronisation, from the memory as it is then; memory freed twice
or never shows. A "plan" is a network's ONNX file, run by ONNX Runtime from device memory.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

import engines.tensorrt.cuda_buffers


class Error(Exception):
    """pycuda.driver.Error"""


class Gpu:
    """What has happened on it. fail: names of calls that go wrong from now on."""

    def __init__(self) -> None:
        self.stacks: dict[int, int] = {}  # thread → contexts pushed
        self.device: dict[int, np.ndarray] = {}  # address → bytes
        self.pinned = 0
        self.streams: dict[int, Stream] = {}
        self.retained = 0
        self.contexts = 0  # execution contexts alive
        self.calls: list[str] = []
        self.fail: set[str] = set()

    def called(self, name: str) -> None:
        if not self.stacks.get(threading.get_ident()):
            raise Error(f"{name} failed: invalid device context")
        self.calls.append(name)
        if name in self.fail:
            raise Error(f"{name} failed: out of memory")

    def at(self, address: int, count: int) -> np.ndarray:
        """float32 (count,), a view of the device's memory."""
        return self.device[address].view(np.float32)[:count]


class Context:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def push(self) -> None:
        thread = threading.get_ident()
        self._gpu.stacks[thread] = self._gpu.stacks.get(thread, 0) + 1

    def pop(self) -> None:
        self._gpu.called("pop")
        self._gpu.stacks[threading.get_ident()] -= 1


class Memory:
    def __init__(self, gpu: Gpu, size: int) -> None:
        gpu.called("mem_alloc")
        self._gpu, self._array = gpu, np.full(size, 0xAA, np.uint8)  # never zeros by luck
        gpu.device[int(self)] = self._array

    def __int__(self) -> int:
        return int(self._array.ctypes.data)

    def free(self) -> None:
        self._gpu.called("mem_free")
        del self._gpu.device[int(self)]


class Stream:
    def __init__(self, gpu: Gpu) -> None:
        gpu.called("Stream")
        self._gpu, self.handle = gpu, id(self)
        self.queue: list[Callable[[], None]] = []
        gpu.streams[self.handle] = self

    def synchronize(self) -> None:
        self._gpu.called("synchronize")
        queue, self.queue = self.queue, []
        for work in queue:
            work()


class Event:
    def __init__(self, gpu: Gpu) -> None:
        gpu.called("Event")
        self._at: int | None = None

    def record(self, stream: Stream) -> None:
        def happen() -> None:
            self._at = len(stream._gpu.calls)

        stream.queue.append(happen)

    def time_since(self, other: Event) -> float:
        assert self._at is not None and other._at is not None, "asked before synchronisation"
        return 1.5


def pycuda(gpu: Gpu) -> Any:
    """The module pycuda.driver."""
    module: Any = types.ModuleType("pycuda.driver")

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        gpu.called("pagelocked_empty")
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize

        class Pinned(ctypes.c_uint8 * size):  # type: ignore[misc]
            def free(self) -> None:
                gpu.called("mem_host_free")
                gpu.pinned -= size

        gpu.pinned += size
        return np.ndarray(shape, dtype, buffer=Pinned())

    def copy_there(target: Memory, source: np.ndarray, stream: Stream) -> None:
        gpu.called("memcpy_htod_async")
        flat = source.reshape(-1)
        assert np.shares_memory(flat, source), "only contiguous memory can be copied"

        def happen() -> None:
            gpu.at(int(target), flat.size)[:] = flat

        stream.queue.append(happen)

    def copy_back(target: np.ndarray, source: Memory, stream: Stream) -> None:
        gpu.called("memcpy_dtoh_async")

        def happen() -> None:
            target.reshape(-1)[:] = gpu.at(int(source), target.size)

        stream.queue.append(happen)

    class Device:
        def __init__(self, number: int) -> None:
            assert number == 0

        def retain_primary_context(self) -> Context:
            gpu.retained += 1
            return Context(gpu)

    module.init = lambda: time.sleep(0.01)  # lets other threads in, as CUDA's does
    module.Error, module.Device = Error, Device
    module.Stream, module.Event = (lambda: Stream(gpu)), (lambda: Event(gpu))
    module.mem_alloc, module.pagelocked_empty = (lambda size: Memory(gpu, size)), pagelocked_empty
    module.memcpy_htod_async, module.memcpy_dtoh_async = copy_there, copy_back
    return module


def tensorrt(gpu: Gpu, graphs: bool) -> Any:
    """A TensorRT runtime's module. graphs: whether it captures CUDA graphs, as for RTX."""
    import onnxruntime

    module: Any = types.ModuleType("tensorrt")

    class Logger:
        ERROR, INTERNAL_ERROR = "error", "internal error"

    class ExecutionContext:
        def __init__(self, engine: Engine) -> None:
            gpu.called("create_execution_context")
            gpu.contexts += 1
            self._engine, self._profile = engine, 0
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._addresses: dict[str, int] = {}

        def __del__(self) -> None:
            gpu.contexts -= 1
            if not gpu.stacks.get(threading.get_ident()) or not gpu.device:
                gpu.calls.append("an execution context outlived its memory")

        def set_optimization_profile_async(self, index: int, stream: int) -> bool:
            assert stream in gpu.streams
            self._profile = index
            return True

        def set_tensor_address(self, name: str, address: int) -> bool:
            self._addresses[name] = address
            return name in self._engine.names and address in gpu.device

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            gpu.called("set_input_shape")
            least, most = self._engine.profiles[self._profile]
            self._shapes[name] = shape
            return least <= shape[0] <= most

        def execute_async_v3(self, stream: int) -> bool:
            gpu.called("execute_async_v3")
            if "execute" in gpu.fail:
                self._engine.logger.log(Logger.ERROR, "the kernel\nhas had enough")
                return False
            shapes = dict(self._shapes)

            def happen() -> None:
                inputs = {
                    name: gpu.at(self._addresses[name], int(np.prod(shape))).reshape(shape)
                    for name, shape in shapes.items()
                }
                given = self._engine.session.run(self._engine.outputs, inputs)
                for name, out in zip(self._engine.outputs, given, strict=True):
                    gpu.at(self._addresses[name], out.size)[:] = out.reshape(-1)

            gpu.streams[stream].queue.append(happen)
            return True

    class Engine:
        profiles: list[tuple[int, int]] = []  # a test says which

        def __init__(self, plan: bytes, logger: Any) -> None:
            self.logger = logger
            self.session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
            self.outputs = [value.name for value in self.session.get_outputs()]
            self.names = [value.name for value in self.session.get_inputs()] + self.outputs
            self.num_io_tensors = len(self.names)
            self.num_optimization_profiles = len(self.profiles)

        def get_tensor_name(self, index: int) -> str:
            return self.names[index]

        def create_runtime_config(self) -> RuntimeConfig:
            return RuntimeConfig()

        def create_execution_context(self, runtime_config: Any = None) -> Any:
            if graphs:
                assert runtime_config.cuda_graph_strategy == "whole"
                eager = runtime_config.dynamic_shapes_kernel_specialization_strategy
                assert eager == "eager"
            enough = gpu.contexts >= 1 and "second context" in gpu.fail
            return None if enough or "context" in gpu.fail else ExecutionContext(self)

    class RuntimeCache:
        data = b""

        def deserialize(self, data: bytes) -> None:
            self.data = data

        def serialize(self) -> bytes:
            return self.data or b"kernels"

    class RuntimeConfig:
        cuda_graph_strategy = "none"
        _cache: Any = None

        def create_runtime_cache(self) -> RuntimeCache:
            return RuntimeCache()

        def set_runtime_cache(self, cache: RuntimeCache) -> bool:
            self._cache = cache
            return True

        def get_runtime_cache(self) -> Any:
            return self._cache

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger: Any) -> None:
            self.logger = logger
            if "old driver" in gpu.fail:
                logger.log(Logger.ERROR, "\nCUDA initialization failure with error: 35\n")

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            gpu.called("deserialize_cuda_engine")
            if "deserialize" in gpu.fail:
                self.logger.log(Logger.ERROR, "serialization assertion failed.")
                return None
            return Engine(plan, self.logger)

    module.ILogger, module.Runtime, module.Engine = Logger, Runtime, Engine
    module.__version__ = "10.16.1.11"
    if graphs:
        module.CudaGraphStrategy = types.SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
        kinds = types.SimpleNamespace(EAGER="eager")
        module.DynamicShapesKernelSpecializationStrategy = kinds
    return module


def plug_in(monkeypatch: Any) -> Gpu:
    """pycuda as if it were installed here, on a new GPU."""
    gpu = Gpu()
    package: Any = types.ModuleType("pycuda")
    package.driver, package.VERSION_TEXT = pycuda(gpu), "2026.1"
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", package.driver)
    engines.tensorrt.cuda_buffers._primary_context.cache_clear()
    return gpu
