"""The self-test of an encoder's engines on the machine at hand, made for bug reports.

It checks everything that can be checked, whatever failed before, and yields each finding as soon
as it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from engines.encoder import PALM_FILE
from engines.errors import UserError
from engines.finding import Finding
from engines.hand_networks import find_palm_plan
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.providers import CPU
from engines.onnx_runtime.session import list_providers
from engines.selftest.baseline import Baseline, open_network, try_cpu, try_engine
from engines.selftest.limits import LIMITS
from engines.selftest.machine import Gpu, examine_machine
from engines.selftest.outputs import all_outputs
from engines.selftest.plans import NO_GPU, try_build, try_plan
from engines.selftest.trials import Effort
from engines.spec import EncoderInputs
from engines.tensorrt.runtimes import BUILDERS, find_installed

NVIDIA = ("cuda", "tensorrt")  # providers of ONNX Runtime that need an NVIDIA GPU
HALVING = ("coreml", "directml")  # those that may work in half precision


def examine_encoder(
    onnx: Path,
    int8: Path | None,
    draw: Callable[[int], EncoderInputs],
    gpu: Gpu | None,
    folder: Path,
    effort: Effort,
) -> Iterator[Finding]:
    """Check the machine, then every engine that can run an encoder on it.

    The palm network, which runs beside a one-pass encoder, is checked likewise.

    Args:
        onnx: the encoder's file.
        int8: the same encoder, quantised (Q/DQ); None where there is no such file.
        draw: gives effort.hands hands for a crop size.
        gpu: this machine's; None where there is none.
        folder: where plans are built; they are left there.
        effort: how thorough to be.
    """
    yield from examine_machine(gpu)
    made: list[Baseline] = []
    yield from try_cpu(onnx, draw, effort, made)
    if not made:
        return
    yield from _try_providers(onnx, made[0], gpu, effort)
    baselines = {precision: made[0] for precision in LIMITS}
    if int8 is not None:
        engine, limits = f"ONNX Runtime, {CPU}, int8", LIMITS["int8"]
        yield from try_engine(engine, partial(open_network, int8), made[0], limits, effort)
        with suppress(UserError):  # a finding above says so
            baselines["int8"] = _int8_baseline(int8, made[0], effort)
    yield from _try_builds(baselines, onnx, int8, gpu, folder, effort)
    if made[0].spec is not None and made[0].spec.one_pass:
        yield from _examine_palm(draw, gpu, folder, effort)


def _examine_palm(
    draw: Callable[[int], EncoderInputs], gpu: Gpu | None, folder: Path, effort: Effort
) -> Iterator[Finding]:
    """Check every engine that can run the palm network beside a one-pass encoder."""
    made: list[Baseline] = []
    yield from try_cpu(PALM_FILE, draw, effort, made)
    if made:
        yield from _try_providers(PALM_FILE, made[0], gpu, effort)
        baselines = {precision: made[0] for precision in LIMITS if precision != "int8"}
        yield from _try_builds(baselines, PALM_FILE, None, gpu, folder, effort)


def _try_providers(
    onnx: Path, baseline: Baseline, gpu: Gpu | None, effort: Effort
) -> Iterator[Finding]:
    """Check a network on each provider of ONNX Runtime but the CPU."""
    for name in list_providers():
        engine = f"{baseline.prefix}ONNX Runtime, {name}"
        if name == CPU:
            continue
        if name in NVIDIA and gpu is None:
            yield Finding(engine, None, NO_GPU)
            continue
        limits = LIMITS["fp16" if name in HALVING else "fp32"]
        yield from try_engine(engine, partial(open_network, onnx, name), baseline, limits, effort)


def _try_builds(
    baselines: dict[str, Baseline],
    onnx: Path,
    int8: Path | None,
    gpu: Gpu | None,
    folder: Path,
    effort: Effort,
) -> Iterator[Finding]:
    """Check plans of a network.

    Args:
        baselines: what plans are compared with, by precision.
        onnx: the network's file.
        int8: the encoder, quantised; None where there is no such file.
        gpu: this machine's; None where there is none.
        folder: where plans are built.
        effort: how thorough to be.
    """
    for runtime in (name for name in BUILDERS if name in find_installed()):
        for precision, baseline in baselines.items():
            source = int8 if precision == "int8" else onnx
            yield from try_build(runtime, precision, source, baseline, gpu, folder, effort)


def _int8_baseline(int8: Path, baseline: Baseline, effort: Effort) -> Baseline:
    """What the quantised encoder makes of the same hands: a plan of it only rounds again."""
    encoder = OnnxEncoder(int8)
    found = all_outputs(encoder, baseline.inputs, effort.batches[-1])
    return replace(baseline, fingerprint=encoder.fingerprint, outputs=found)


def examine_plan(
    plan: Path,
    onnx: Path,
    draw: Callable[[int], EncoderInputs],
    gpu: Gpu | None,
    effort: Effort,
) -> Iterator[Finding]:
    """Check the machine and one plan; of a one-pass encoder, the palm network's beside it, too.

    Args:
        plan: the file, with its sidecar beside it.
        onnx: the encoder's file that the plan's outputs are compared with. Where it is another
            encoder, everything but the outputs is checked.
        draw: gives effort.hands hands for a crop size.
        gpu: this machine's; None where there is none.
        effort: how thorough to be.
    """
    yield from examine_machine(gpu)
    made: list[Baseline] = []
    yield from try_cpu(onnx, draw, effort, made)
    yield from try_plan(plan, made[0] if made else None, draw, gpu, effort)
    if made and made[0].spec is not None and made[0].spec.one_pass:
        palm: list[Baseline] = []
        yield from try_cpu(PALM_FILE, draw, effort, palm)
        if palm:
            yield from try_plan(find_palm_plan(plan), palm[0], draw, gpu, effort)
