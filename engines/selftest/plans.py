"""The self-test of TensorRT plans: those that it builds itself, and one that is there already."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from engines.encoder import PALM_FILE, Encoder
from engines.files import explain_errors
from engines.finding import Finding, run_check
from engines.hand_networks import PalmNetwork
from engines.selftest.baseline import Baseline, try_engine
from engines.selftest.limits import LIMITS
from engines.selftest.machine import Gpu
from engines.selftest.trials import Effort, run_trials
from engines.spec import EncoderInputs
from engines.tensorrt import sidecar
from engines.tensorrt.build import RTX, BuildOptions, build
from engines.tensorrt.plan_check import PALM_ONNX, Machine, check_plan, check_role
from engines.tensorrt.runtimes import RUNTIMES, find_installed

NO_GPU = "not run: no NVIDIA GPU answers here"
TARGET = "sm89"  # what TensorRT for RTX builds for where there is no GPU


def try_build(
    runtime: str,
    precision: str,
    onnx: Path | None,
    baseline: Baseline,
    gpu: Gpu | None,
    folder: Path,
    effort: Effort,
) -> Iterator[Finding]:
    """Build a plan, where the GPU allows it, and check it.

    Args:
        runtime: a name of BUILDERS.
        precision: a key of LIMITS.
        onnx: the network's file; None where there is none for this precision.
        baseline: what the plan's outputs are compared with.
        gpu: this machine's; None where there is none.
        folder: where the plan goes.
        effort: how thorough to be.
    """
    engine = f"{baseline.prefix}{RUNTIMES[runtime]}, {precision}"
    why_not = _why_not(runtime, precision, onnx, gpu)
    if why_not or onnx is None:
        yield Finding(engine, None, f"not built: {why_not}")
        return
    name = f"{runtime}-{precision}" + ("" if baseline.spec else "-palm")
    plan = folder / f"{name}.plan"
    options = BuildOptions(runtime, precision, effort.batches, () if gpu else (TARGET,))

    def make() -> Finding:
        made = build(onnx, plan, options)
        size, where = made.plan_bytes / 1e6, ", ".join(made.targets)
        figures = {"build_s": made.build_s, "plan_bytes": made.plan_bytes}
        found = f"{size:.1f} MB in {made.build_s:.1f} s for {where}"
        return Finding(f"{engine}: built", True, found, "", figures)

    found = run_check(f"{engine}: built", make)
    yield found
    if found.ok and gpu is None:
        yield Finding(engine, None, NO_GPU)
    elif found.ok:
        open_it, most = _opener(plan, baseline), effort.batches[-1]
        yield from try_engine(engine, open_it, baseline, LIMITS[precision], effort, most)


def _why_not(runtime: str, precision: str, onnx: Path | None, gpu: Gpu | None) -> str | None:
    """Why the plan can't be built; None where it should work."""
    if precision == "int8" and runtime == RTX:
        return "TensorRT for RTX has no INT8 convolutions"
    if runtime != RTX and gpu is None:
        return "TensorRT builds on the GPU that will run the plan, and none answers here"
    if runtime == RTX and gpu is not None and int(gpu.capability[2:]) < 80:
        return f"TensorRT for RTX can't build such encoders for {gpu.capability}"
    return "there is no quantised ONNX file of this encoder" if onnx is None else None


def try_plan(
    plan: Path,
    baseline: Baseline | None,
    draw: Callable[[int], EncoderInputs],
    gpu: Gpu | None,
    effort: Effort,
) -> Iterator[Finding]:
    """Check a plan that is there: its sidecar and, where there is a GPU, how it runs.

    Args:
        plan: the file; the palm network's needn't be there.
        baseline: what its outputs are compared with, if both are of one network; the palm
            network's where the plan has to be that.
        draw: gives hands for a crop size, where there is no baseline to take them from.
        gpu: this machine's; None where there is none.
        effort: how thorough to be.
    """
    palm = baseline is not None and baseline.spec is None
    what = "palm network, plan" if palm else "plan"
    if palm and not plan.is_file():
        text = f"there is no {plan.name} beside the plan, so it runs on ONNX Runtime's CPU"
        advice = f"python run.py build --onnx {PALM_ONNX} --engine {plan}"
        yield Finding(what, None, text, advice)
        return
    read: list[sidecar.Sidecar] = []

    def look() -> Finding:
        beside = sidecar.load(plan)
        check_role(beside, plan, palm)
        with explain_errors(f"{plan} can't be read"):
            data = plan.read_bytes()
        # Without a GPU, everything else that the plan was built for is compared.
        where = gpu.capability if gpu else beside.targets[0]
        mark = baseline.fingerprint if baseline and palm else None
        runtime = check_plan(beside, plan, data, Machine(find_installed(), where, mark))
        read.append(beside)
        found = f"{beside.precision} for {', '.join(beside.targets)}, run by {RUNTIMES[runtime]}"
        figures = {"file": plan.name, "precision": beside.precision, "batches": beside.batches}
        return Finding(what, True, found, "", figures)

    yield run_check(what, look)
    if not read:
        return
    beside, most = read[0], read[0].batches[-1]
    same = baseline is not None and _same_network(beside, baseline)
    if not same:
        advice = "name its own ONNX file with --encoder FILE.onnx"
        why = "--encoder is another encoder" if baseline else "--encoder doesn't work"
        yield Finding(f"{what}: right", None, f"not compared: {why}", advice)
    if gpu is None:
        yield Finding(what, None, NO_GPU)
    elif baseline is not None and same:
        limits = LIMITS[beside.precision]
        yield from try_engine(what, _opener(plan, baseline), baseline, limits, effort, most)
    elif beside.spec is not None:
        yield from _try_alone(plan, draw, beside.spec.crop_size, effort, most)


def _same_network(beside: sidecar.Sidecar, baseline: Baseline) -> bool:
    """Whether plan and baseline are one network. Quantising gives it another fingerprint."""
    if beside.precision == "int8" and beside.spec and baseline.spec:
        named = dataclasses.replace(beside.spec, name=baseline.spec.name)
        return named == baseline.spec
    return beside.fingerprint == baseline.fingerprint


def _try_alone(
    plan: Path, draw: Callable[[int], EncoderInputs], crop_size: int, effort: Effort, most: int
) -> Iterator[Finding]:
    """Check a plan that there is nothing to compare with."""
    opened: list[tuple[Encoder, EncoderInputs]] = []

    def look() -> Finding:
        hands = draw(crop_size)
        opened.append((_open_plan(plan), hands))
        return Finding("plan", True, "opened")

    yield run_check("plan", look)
    for encoder, hands in opened:
        yield from run_trials("plan", encoder, hands, effort, most)


def _opener(plan: Path, baseline: Baseline) -> Callable[[], Encoder | PalmNetwork]:
    """Opens a plan of the baseline's network."""
    return partial(_open_palm_plan if baseline.spec is None else _open_plan, plan)


def _open_plan(plan: Path) -> Encoder:
    from engines.tensorrt.encoder import open_plan

    return open_plan(plan)


def _open_palm_plan(plan: Path) -> PalmNetwork:
    from engines.tensorrt.encoder import open_palm_plan

    return open_palm_plan(plan, PALM_FILE)
