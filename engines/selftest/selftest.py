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

from engines.encoder import EncoderInputs
from engines.errors import UserError
from engines.finding import Finding
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.providers import CPU
from engines.onnx_runtime.session import list_providers
from engines.selftest.baseline import Baseline, try_cpu, try_engine
from engines.selftest.machine import Gpu, examine_machine
from engines.selftest.plans import NO_GPU, try_build, try_plan
from engines.selftest.trials import LIMITS, Effort, embed_all
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
    baseline = made[0]
    for name in list_providers():
        engine = f"ONNX Runtime, {name}"
        if name == CPU:
            continue
        if name in NVIDIA and gpu is None:
            yield Finding(engine, None, NO_GPU)
            continue
        limit = LIMITS["fp16" if name in HALVING else "fp32"]
        yield from try_engine(engine, partial(OnnxEncoder, onnx, name), baseline, limit, effort)
    if int8 is not None:
        engine, limit = f"ONNX Runtime, {CPU}, int8", LIMITS["int8"]
        yield from try_engine(engine, partial(OnnxEncoder, int8), baseline, limit, effort)
    baselines = {precision: baseline for precision in LIMITS}
    if int8 is not None:
        with suppress(UserError):  # a finding above says so
            baselines["int8"] = _int8_baseline(int8, baseline, effort)
    for runtime in (name for name in BUILDERS if name in find_installed()):
        for precision in LIMITS:
            source = int8 if precision == "int8" else onnx
            yield from try_build(
                runtime, precision, source, baselines[precision], gpu, folder, effort
            )


def _int8_baseline(int8: Path, baseline: Baseline, effort: Effort) -> Baseline:
    """The quantised encoder's embeddings of the same hands: a plan of it only rounds again."""
    encoder = OnnxEncoder(int8)
    found = embed_all(encoder, baseline.hands, effort.batches[-1])
    return replace(baseline, fingerprint=encoder.fingerprint, embeddings=found)


def examine_plan(
    plan: Path,
    onnx: Path,
    draw: Callable[[int], EncoderInputs],
    gpu: Gpu | None,
    effort: Effort,
) -> Iterator[Finding]:
    """Check the machine and one plan.

    Args:
        plan: the file, with its sidecar beside it.
        onnx: the encoder's file that the plan's embeddings are compared with. Where it is another
            encoder, everything but the embeddings is checked.
        draw: gives effort.hands hands for a crop size.
        gpu: this machine's; None where there is none.
        effort: how thorough to be.
    """
    yield from examine_machine(gpu)
    made: list[Baseline] = []
    yield from try_cpu(onnx, draw, effort, made)
    yield from try_plan(plan, made[0] if made else None, draw, gpu, effort)
