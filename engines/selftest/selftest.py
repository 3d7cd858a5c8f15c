"""The self-test of an encoder's engines on the machine at hand, for its user's bug reports.

Everything that can be tried is tried, whatever went wrong before. What comes out is findings,
each as soon as it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from engines.errors import UserError
from engines.finding import Finding
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.providers import CPU
from engines.onnx_runtime.session import available
from engines.selftest.machine import Gpu, examine_machine
from engines.selftest.plans import NO_GPU, built, given
from engines.selftest.reference import Reference, referred, tried
from engines.selftest.trials import LIMITS, Effort, Hands, embedded
from engines.tensorrt.runtimes import BUILDERS, installed

NVIDIA = ("cuda", "tensorrt")  # providers of ONNX Runtime that need an NVIDIA GPU
HALVING = ("coreml", "directml")  # those that may work in half precision


def examine_encoder(
    onnx: Path,
    int8: Path | None,
    draw: Callable[[int], Hands],
    gpu: Gpu | None,
    folder: Path,
    effort: Effort,
) -> Iterator[Finding]:
    """Examine the machine, then every engine that can run an encoder on it.

    onnx: the encoder; int8: the same, quantised (Q/DQ), None where there is no such file.
    draw: crop size → effort.hands hands, as Encoder.encode takes them; folder: where plans are
    built, they stay there.
    """
    yield from examine_machine(gpu)
    made: list[Reference] = []
    yield from referred(onnx, draw, effort, made)
    if not made:
        return
    for name in available():
        engine = f"ONNX Runtime, {name}"
        if name == CPU:
            continue
        if name in NVIDIA and gpu is None:
            yield Finding(engine, None, NO_GPU)
            continue
        limit = LIMITS["fp16" if name in HALVING else "fp32"]
        yield from tried(engine, partial(OnnxEncoder, onnx, name), made[0], limit, effort)
    if int8 is not None:
        engine, limit = f"ONNX Runtime, {CPU}, int8", LIMITS["int8"]
        yield from tried(engine, partial(OnnxEncoder, int8), made[0], limit, effort)
    references = {precision: made[0] for precision in LIMITS}
    if int8 is not None:
        with suppress(UserError):  # told above
            references["int8"] = _quantised(int8, made[0], effort)
    for runtime in (name for name in BUILDERS if name in installed()):
        for precision in LIMITS:
            source = int8 if precision == "int8" else onnx
            reference = references[precision]
            yield from built(runtime, precision, source, reference, gpu, folder, effort)


def _quantised(int8: Path, reference: Reference, effort: Effort) -> Reference:
    """What ONNX Runtime makes of the same hands in 8 bits: a plan of that file only rounds anew."""
    encoder = OnnxEncoder(int8)
    found = embedded(encoder, reference.hands, effort.batches[-1])
    return replace(reference, fingerprint=encoder.fingerprint, embeddings=found)


def examine_plan(
    plan: Path,
    onnx: Path,
    draw: Callable[[int], Hands],
    gpu: Gpu | None,
    effort: Effort,
) -> Iterator[Finding]:
    """Examine the machine and one plan, which is compared with the encoder's ONNX file.

    Where that file holds another encoder than the plan, everything but its embeddings is tested.
    """
    yield from examine_machine(gpu)
    made: list[Reference] = []
    yield from referred(onnx, draw, effort, made)
    yield from given(plan, made[0] if made else None, draw, gpu, effort)
