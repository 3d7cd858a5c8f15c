"""All that is said to TensorRT's runtime: a plan's bytes → embeddings queued on a CUDA stream.

`trt` is the module of any of the runtimes, see tensorrt_runtimes. What they offer is asked of the
module, not of its name: TensorRT for RTX captures CUDA graphs by itself and keeps what it compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.errors import UserError
from engines.tensorrt.runtimes import error_log, first_error, started
from engines.tensorrt.sidecar import ranges


class Execution:
    """A deserialised plan with an execution context for each of its optimisation profiles.

    One each, because switching a context's profile costs a synchronisation, and contexts keep
    their CUDA graph. Addresses are set once. Everything here needs the CUDA context current.

    what: the runtime and the plan, as people call them; batches: see Sidecar; shapes: input → its
    shape without the batch; addresses: tensor → device address; stream: the handle of the one it
    runs on; portable: see Sidecar, such plans carry code; kept: what `compiled` gave earlier.
    Raises UserError where TensorRT refuses the plan.
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
        kept: bytes = b"",
    ) -> None:
        self._what, self._shapes, self._stream = what, shapes, stream
        self._log = error_log(trt)
        self._contexts: list[tuple[int, Any]] = []  # (most hands, context)
        self._choices: dict[str, Any] = {}  # keywords of create_execution_context
        self._counts: dict[int, int] = {}  # most hands → the number its context is set to
        self._engine: Any = None
        self._runtime = started(trt.Runtime, self._log, what)
        try:
            self._open(trt, plan, batches, addresses, portable, kept)
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
        kept: bytes,
    ) -> None:
        if portable:
            self._runtime.engine_host_code_allowed = True
        engine = self._engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._refused("can't be opened")
        names = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}
        if names != set(addresses) or engine.num_optimization_profiles != len(batches):
            raise UserError(
                f"{self._what} has the tensors {', '.join(sorted(names))} and "
                f"{engine.num_optimization_profiles} profiles where its sidecar says "
                f"{', '.join(sorted(addresses))} and {len(batches)}; build it again."
            )
        self._choices = _runtime_config(trt, engine, kept)
        for i, (_, most) in enumerate(ranges(batches)):
            context = engine.create_execution_context(**self._choices)
            if context is None:
                raise self._refused("can't be made ready")
            self._contexts.append((most, context))
            self._check(context.set_optimization_profile_async(i, self._stream))
            for name, address in addresses.items():
                self._check(context.set_tensor_address(name, address))

    def enqueue(self, count: int) -> None:
        """Queue `count` hands, whose inputs are queued before. Raises UserError."""
        self._log.errors.clear()
        most, context = next(pair for pair in self._contexts if count <= pair[0])
        if self._counts.get(most) != count:
            self._counts.pop(most, None)
            for name, shape in self._shapes.items():
                self._check(context.set_input_shape(name, (count, *shape)))
            self._counts[most] = count
        self._check(context.execute_async_v3(self._stream))

    def compiled(self) -> bytes:
        """What the runtime compiled while it ran, to spare it the next time; b"" where none."""
        config = self._choices.get("runtime_config")
        cache = config.get_runtime_cache() if config is not None else None
        memory = cache.serialize() if cache is not None else None
        return b"" if memory is None else bytes(memory)

    def close(self) -> None:
        """Contexts go before their engine, the engine before its runtime."""
        self._contexts.clear()
        self._choices.clear()
        self._engine = None
        self._runtime = None

    def _check(self, well: bool) -> None:
        if not well:
            raise self._refused("stopped")

    def _refused(self, fault: str) -> UserError:
        return UserError(
            f"{self._what} {fault} ({first_error(self._log)}); for the CPU: --engine onnx"
        )


def _runtime_config(trt: Any, engine: Any, kept: bytes) -> dict[str, Any]:
    """Keywords of create_execution_context: {} where the runtime has nothing to choose."""
    if not hasattr(trt, "CudaGraphStrategy"):
        return {}
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    # Compiled before the first run is over, not behind its back: results and times stay the same.
    eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    config.dynamic_shapes_kernel_specialization_strategy = eager
    cache = config.create_runtime_cache()
    if kept:
        cache.deserialize(kept)  # another GPU's or release's is refused, and made anew
    config.set_runtime_cache(cache)
    return {"runtime_config": config}
