"""The calls to TensorRT's builder: from an ONNX graph's bytes to a plan's bytes.

`trt` is the module of one of BUILDERS, see `engines.tensorrt.runtimes`. TensorRT 11 has no builder
flags for precisions, no calibrators and no implicit batch, so none of them is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress, TimeElapsedColumn

from engines.errors import UserError, first_line
from engines.files import write_file
from engines.say import progress
from engines.tensorrt.runtimes import error_log, first_error, start
from engines.tensorrt.sidecar import ranges


def compile_plan(
    trt: Any,
    what: str,
    network: str,
    model: bytes,
    batches: Sequence[int],
    targets: Sequence[str] = (),
    portable: bool = False,
    timing: Path | None = None,
) -> bytes:
    """Compile a graph, with an optimisation profile for each of `ranges(batches)`.

    Args:
        trt: the runtime's module.
        what: the runtime's name, for people.
        network: the network's, likewise: "the encoder".
        model: the serialised ONNX graph.
        batches: ascending numbers of rows.
        targets: GPUs, such as "sm89"; empty for the one in this machine.
        portable: see `Sidecar`.
        timing: the file in which kernels' times are kept between builds; None for none.

    Returns:
        The plan.

    Raises:
        UserError: if TensorRT refuses the graph or can't build it.
    """
    logger = error_log(trt)
    builder = start(trt.Builder, logger, what)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # what stays in FP32 needs its full precision
    # TensorRT 11 always does this; TensorRT 10 has to be told.
    graph = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(graph, logger)
    if not parser.parse(model):
        error = parser.get_error(0)
        node = f"{error.node_operator()} {error.node_name()}: " if error.node_operator() else ""
        raise _refusal(what, network, f"take {network}'s graph", node + error.desc())
    for least, most in ranges(batches):
        profile = builder.create_optimization_profile()
        for i in range(graph.num_inputs):
            tensor = graph.get_input(i)
            rest = tuple(tensor.shape)[1:]
            profile.set_shape(tensor.name, (least, *rest), (most, *rest), (most, *rest))
        if config.add_optimization_profile(profile) < 0:
            raise _refusal(what, network, f"take {least} to {most} rows", first_error(logger))
    if targets:
        config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        if not config.set_compute_capability(trt.ComputeCapability.__members__[target.upper()], i):
            raise _refusal(what, network, f"build for {target}", first_error(logger))
    if portable:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    times = _load_times(config, timing) if timing else None  # must outlive the build
    with progress("{task.description}", TimeElapsedColumn()) as shown:
        monitor = _monitor(trt, shown)  # in a variable: TensorRT doesn't keep it alive
        config.progress_monitor = monitor
        plan = builder.build_serialized_network(graph, config)
    if plan is None:
        raise _refusal(what, network, f"build {network}", first_error(logger))
    if timing and times is not None:
        _keep_times(times, timing)
    return bytes(plan)


def _refusal(what: str, network: str, task: str, reason: str) -> UserError:
    return UserError(
        f"{what} can't {task} ({first_line(reason)}); without a plan {network} runs with: --engine "
        "onnx"
    )


def _load_times(config: Any, path: Path) -> Any:
    """The timing cache that the build uses and extends; None where the runtime has none."""
    kept = path.read_bytes() if path.is_file() else b""
    for data in (kept, b""):  # TensorRT refuses another GPU's or release's
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def _keep_times(cache: Any, path: Path) -> None:
    with contextlib.suppress(OSError):  # without it the next build only takes longer
        write_file(path, bytes(cache.serialize()))


def _monitor(trt: Any, shown: Progress) -> Any:
    """Shows the builder's phase at hand."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._task = shown.add_task("", total=None)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            shown.update(self._task, description=name)

        def step_complete(self, name: str, step: int) -> bool:
            return True  # go on

        def phase_finish(self, name: str) -> None:
            shown.update(self._task, description="")

    return Monitor()
