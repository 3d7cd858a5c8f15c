"""All that is said to TensorRT's builder: an ONNX graph's bytes → a plan's bytes.

`trt` is the module of either runtime that builds, see tensorrt_runtimes. No builder flag for a
precision, no calibrator, no implicit batch: TensorRT 11 has none of them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.errors import UserError, first_line
from engines.files import write_file
from engines.tensorrt.runtimes import error_log, first_error, started
from engines.tensorrt.sidecar import ranges


def compiled(
    trt: Any,
    what: str,
    model: bytes,
    batches: Sequence[int],
    targets: Sequence[str] = (),
    portable: bool = False,
    timing: Path | None = None,
) -> bytes:
    """→ the plan, with an optimisation profile for each of `ranges(batches)`.

    what: the runtime, as people call it. targets: GPUs as "sm89", where the runtime builds for
    others than the one that is there. timing: the file that keeps kernels' times between builds.
    Raises UserError where TensorRT refuses the graph or can't build it.
    """
    logger, progress = error_log(trt), _progress(trt)
    builder = started(trt.Builder, logger, what)
    config = builder.create_builder_config()
    config.progress_monitor = progress
    config.clear_flag(trt.BuilderFlag.TF32)  # what is left in single precision needs all of it
    # Since TensorRT 11 every network is strongly typed; 10 has to be asked for it.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        error = parser.get_error(0)
        node = f"{error.node_operator()} {error.node_name()}: " if error.node_operator() else ""
        raise _refused(what, "can't take the encoder's graph", node + error.desc())
    for least, most in ranges(batches):
        profile = builder.create_optimization_profile()
        for i in range(network.num_inputs):
            tensor = network.get_input(i)
            rest = tuple(tensor.shape)[1:]
            profile.set_shape(tensor.name, (least, *rest), (most, *rest), (most, *rest))
        if config.add_optimization_profile(profile) < 0:
            raise _refused(what, f"can't take {least} to {most} hands", first_error(logger))
    if targets:
        config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        if not config.set_compute_capability(trt.ComputeCapability.__members__[target.upper()], i):
            raise _refused(what, f"can't build for {target}", first_error(logger))
    if portable:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    times = _known_times(config, timing) if timing else None  # held until the plan is built
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _refused(what, "can't build the encoder", first_error(logger))
    if timing and times is not None:
        _keep_times(times, timing)
    return bytes(plan)


def _refused(what: str, fault: str, reason: str) -> UserError:
    return UserError(
        f"{what} {fault} ({first_line(reason)}); without a plan the encoder runs with: --engine "
        "onnx"
    )


def _known_times(config: Any, path: Path) -> Any:
    """The timing cache that this build uses and adds to; None where the runtime has none."""
    kept = path.read_bytes() if path.is_file() else b""
    for data in (kept, b""):  # those of another GPU or release are refused
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def _keep_times(cache: Any, path: Path) -> None:
    with contextlib.suppress(OSError):  # the plan matters more
        write_file(path, bytes(cache.serialize()))


def _progress(trt: Any) -> Any:
    class Progress(trt.IProgressMonitor):
        """The phase at hand and the seconds gone by, on one line of a terminal."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._started = time.monotonic()
            self._shown = sys.stderr.isatty()

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._show(name)

        def step_complete(self, name: str, step: int) -> bool:
            return True  # go on

        def phase_finish(self, name: str) -> None:
            self._show("")

        def _show(self, text: str) -> None:
            if self._shown:
                seconds = time.monotonic() - self._started
                line = f"{seconds:6.1f} s  {text}" if text else ""
                print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    return Progress()
