"""The part of the self-test that TensorRT's plans have to stand: built here, or given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from engines.encoder import Encoder
from engines.files import explain_errors
from engines.finding import Finding, guarded
from engines.selftest.machine import Gpu
from engines.selftest.reference import Reference, tried
from engines.selftest.trials import LIMITS, Effort, Hands, trial
from engines.tensorrt import sidecar
from engines.tensorrt.build import RTX, Wish, build
from engines.tensorrt.plan_check import Here, check
from engines.tensorrt.runtimes import RUNTIMES, installed

NO_GPU = "not run: no NVIDIA GPU answers here"
BLIND_TARGET = "sm89"  # what TensorRT for RTX builds for where there is no GPU


def built(
    runtime: str,
    precision: str,
    onnx: Path | None,
    reference: Reference,
    gpu: Gpu | None,
    folder: Path,
    effort: Effort,
) -> Iterator[Finding]:
    """Build a plan of an ONNX file, where the GPU allows it, and test it."""
    engine = f"{RUNTIMES[runtime]}, {precision}"
    why_not = _why_not(runtime, precision, onnx, gpu)
    if why_not or onnx is None:
        yield Finding(engine, None, f"not built: {why_not}")
        return
    plan = folder / f"{runtime}-{precision}.plan"
    wish = Wish(runtime, precision, effort.batches, () if gpu else (BLIND_TARGET,))

    def make() -> Finding:
        made = build(onnx, plan, wish)
        size, where = made.plan_bytes / 1e6, ", ".join(made.targets)
        figures = {"build_s": made.build_s, "plan_bytes": made.plan_bytes}
        found = f"{size:.1f} MB in {made.build_s:.1f} s for {where}"
        return Finding(f"{engine}: built", True, found, "", figures)

    found = guarded(f"{engine}: built", make)
    yield found
    if found.ok and gpu is None:
        yield Finding(engine, None, NO_GPU)
    elif found.ok:
        open_it, most = partial(_open_plan, plan), effort.batches[-1]
        yield from tried(engine, open_it, reference, LIMITS[precision], effort, most)


def _why_not(runtime: str, precision: str, onnx: Path | None, gpu: Gpu | None) -> str | None:
    """Why it can't be built; None where it should work."""
    if precision == "int8" and runtime == RTX:
        return "TensorRT for RTX has no INT8 convolutions"
    if runtime != RTX and gpu is None:
        return "TensorRT builds on the GPU that will run the plan, and none answers here"
    if runtime == RTX and gpu is not None and int(gpu.capability[2:]) < 80:
        return f"TensorRT for RTX can't build such encoders for {gpu.capability}"
    return "there is no quantised ONNX file of this encoder" if onnx is None else None


def given(
    plan: Path,
    reference: Reference | None,
    draw: Callable[[int], Hands],
    gpu: Gpu | None,
    effort: Effort,
) -> Iterator[Finding]:
    """Test a plan that is there: what stands beside it and, where there is a GPU, how it runs."""
    read: list[sidecar.Sidecar] = []

    def look() -> Finding:
        beside = sidecar.load(plan)
        with explain_errors(f"{plan} can't be read"):
            data = plan.read_bytes()
        # Without a GPU, all the rest of what it was built for is compared.
        where = gpu.capability if gpu else beside.targets[0]
        runtime = check(beside, plan, data, Here(installed(), where))
        read.append(beside)
        found = f"{beside.precision} for {', '.join(beside.targets)}, run by {RUNTIMES[runtime]}"
        figures = {"file": plan.name, "precision": beside.precision, "batches": beside.batches}
        return Finding("plan", True, found, "", figures)

    yield guarded("plan", look)
    if not read:
        return
    beside, most = read[0], read[0].batches[-1]
    same = reference is not None and _same(beside, reference)
    if not same:
        advice = "name its own ONNX file with --encoder FILE.onnx"
        yield Finding("plan: right", None, "not compared: --encoder is another encoder", advice)
    if gpu is None:
        yield Finding("plan", None, NO_GPU)
    elif reference is not None and same:
        limit = LIMITS[beside.precision]
        yield from tried("plan", partial(_open_plan, plan), reference, limit, effort, most)
    else:
        yield from _unreferred(plan, draw, beside.spec.crop_size, effort, most)


def _same(beside: sidecar.Sidecar, reference: Reference) -> bool:
    """Whether plan and reference hold one encoder; quantising gives it another fingerprint."""
    if beside.precision == "int8":
        named = dataclasses.replace(beside.spec, name=reference.spec.name)
        return named == reference.spec
    return beside.fingerprint == reference.fingerprint


def _unreferred(
    plan: Path, draw: Callable[[int], Hands], crop_size: int, effort: Effort, most: int
) -> Iterator[Finding]:
    opened: list[tuple[Encoder, Hands]] = []

    def look() -> Finding:
        hands = draw(crop_size)
        opened.append((_open_plan(plan), hands))
        return Finding("plan", True, "opened")

    yield guarded("plan", look)
    for encoder, hands in opened:
        yield from trial("plan", encoder, hands, effort, most)


def _open_plan(plan: Path) -> Encoder:
    from engines.tensorrt.encoder import open_plan

    return open_plan(plan)
