"""The calls to TensorRT's runtime: from a plan's bytes to work queued on a CUDA stream.

`trt` is the module of one of RUNTIMES, see `engines.tensorrt.runtimes`. Its features are looked up
in the module: only TensorRT for RTX captures CUDA graphs itself and caches compiled kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.errors import UserError
from engines.tensorrt.runtimes import error_log, first_error, start
from engines.tensorrt.sidecar import ranges


class Execution:
    """A deserialised plan with one execution context per optimisation profile.

    Switching a context's profile would cost a synchronisation, and each context keeps its CUDA
    graph. Every method needs the CUDA context to be current.
    """

    def __init__(
        self,
        trt: Any,
        what: str,
        plan: bytes,
        batches: Sequence[int],
        shapes: Mapping[str, tuple[int, ...]],
        addresses: Mapping[str, int],
        stream: int,
        portable: bool = False,
        cached: bytes = b"",
    ) -> None:
        """Deserialise the plan.

        Args:
            trt: the runtime's module.
            what: the plan and the runtime, for messages.
            plan: its bytes.
            batches: see `Sidecar`.
            shapes: input → shape without the batch.
            addresses: tensor → device address, constant.
            stream: handle of the CUDA stream to run on.
            portable: see `Sidecar`; such plans contain host code.
            cached: what `compiled_kernels` gave at an earlier start.

        Raises:
            UserError: if TensorRT refuses the plan.
        """
        self._what, self._shapes, self._stream = what, shapes, stream
        self._log = error_log(trt)
        self._contexts: list[tuple[int, Any]] = []  # (most hands, context)
        self._options: dict[str, Any] = {}  # keywords of create_execution_context
        self._counts: dict[int, int] = {}  # most hands → the number its context is set to
        self._engine: Any = None
        self._runtime = start(trt.Runtime, self._log, what)
        try:
            self._open(trt, plan, batches, addresses, portable, cached)
        except BaseException:
            self.close()
            raise

    def _open(
        self,
        trt: Any,
        plan: bytes,
        batches: Sequence[int],
        addresses: Mapping[str, int],
        portable: bool,
        cached: bytes,
    ) -> None:
        if portable:
            self._runtime.engine_host_code_allowed = True
        engine = self._engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._refusal("can't be opened")
        names = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}
        if names != set(addresses) or engine.num_optimization_profiles != len(batches):
            raise UserError(
                f"{self._what} has the tensors {', '.join(sorted(names))} and "
                f"{engine.num_optimization_profiles} profiles where its sidecar says "
                f"{', '.join(sorted(addresses))} and {len(batches)}; build it again."
            )
        self._options = _runtime_config(trt, engine, cached)
        for i, (_, most) in enumerate(ranges(batches)):
            context = engine.create_execution_context(**self._options)
            if context is None:
                raise self._refusal("can't be made ready")
            self._contexts.append((most, context))
            self._check(context.set_optimization_profile_async(i, self._stream))
            for name, address in addresses.items():
                self._check(context.set_tensor_address(name, address))

    def enqueue(self, count: int) -> None:
        """Queue the network for `count` hands, after their inputs. Raises UserError."""
        self._log.errors.clear()
        most, context = next(pair for pair in self._contexts if count <= pair[0])
        if self._counts.get(most) != count:
            self._counts.pop(most, None)
            for name, shape in self._shapes.items():
                self._check(context.set_input_shape(name, (count, *shape)))
            self._counts[most] = count
        self._check(context.execute_async_v3(self._stream))

    def compiled_kernels(self) -> bytes:
        """The kernels that the runtime compiled while it ran, to be cached; b"" for none."""
        config = self._options.get("runtime_config")
        cache = config.get_runtime_cache() if config is not None else None
        memory = cache.serialize() if cache is not None else None
        return b"" if memory is None else bytes(memory)

    def close(self) -> None:
        """Free the contexts, then the engine, then the runtime."""
        self._contexts.clear()
        self._options.clear()
        self._engine = None
        self._runtime = None

    def _check(self, succeeded: bool) -> None:
        if not succeeded:
            raise self._refusal("stopped")

    def _refusal(self, fault: str) -> UserError:
        return UserError(
            f"{self._what} {fault} ({first_error(self._log)}); for the CPU: --engine onnx"
        )


def _runtime_config(trt: Any, engine: Any, cached: bytes) -> dict[str, Any]:
    """Keywords of create_execution_context; none where the runtime has no such configuration."""
    if not hasattr(trt, "CudaGraphStrategy"):
        return {}
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    # Compile within the first run, not in the background: results and times stay the same.
    eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    config.dynamic_shapes_kernel_specialization_strategy = eager
    cache = config.create_runtime_cache()
    if cached:
        cache.deserialize(cached)  # refused, and compiled again, for another GPU or release
    config.set_runtime_cache(cache)
    return {"runtime_config": config}
