"""Checks whether a plan runs on this machine, before TensorRT is asked to open it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import UserError
from engines.hand_networks import PALM
from engines.tensorrt.runtimes import BUILDERS, RUNTIMES, InstalledRuntime, pip_install
from engines.tensorrt.sidecar import Sidecar, sidecar_path, this_system

LEAN = "tensorrt-lean"
ENCODER_ONNX, PALM_ONNX = "FILE.onnx", f"models/{PALM.role}.onnx"  # in commands that build a plan


@dataclass(frozen=True)
class Machine:
    """What a plan has to fit.

    Attributes:
        installed: the TensorRT runtimes, by name.
        gpu: such as "sm89"; None where there is none, or no driver for it.
        fingerprint: of the network that is asked for, see `Sidecar`; None for any.
        system: see `this_system`.
    """

    installed: Mapping[str, InstalledRuntime]
    gpu: str | None
    fingerprint: str | None = None
    system: str = field(default_factory=this_system)


def check_role(sidecar: Sidecar, path: Path, palm: bool) -> None:
    """Check that a plan is the palm network's, or an encoder's. Raises UserError."""
    if palm and sidecar.role != PALM.role:
        raise UserError(
            f"{path} holds an encoder and not the palm network; give that plan another name, and "
            f"build this one: python run.py build --onnx {PALM_ONNX} --engine {path}"
        )
    if not palm and sidecar.role == PALM.role:
        raise UserError(
            f"{path} holds the palm network; name the encoder's plan that it runs beside."
        )


def check_plan(sidecar: Sidecar, path: Path, plan: bytes, here: Machine) -> str:
    """Check a plan against its sidecar and this machine.

    Args:
        sidecar: what the plan was built for.
        path: its file.
        plan: its bytes.
        here: this machine, and the network that is asked for.

    Returns:
        The name of the installed runtime that runs it.

    Raises:
        UserError: if none does, or the plan isn't the one that the sidecar describes. The sentence
            names the command that fixes it.
    """
    if len(plan) != sidecar.plan_bytes:
        raise UserError(
            f"{path} has {len(plan)} bytes where {sidecar.plan_bytes} were written; copy it again "
            f"whole, or build it again: {rebuild_command(sidecar, path)}"
        )
    if hashlib.sha256(plan).hexdigest() != sidecar.plan_sha256:
        raise UserError(
            f"{path} isn't the plan that {sidecar_path(path).name} describes; copy the two "
            f"together, or build it again: {rebuild_command(sidecar, path)}"
        )
    if here.fingerprint not in (None, sidecar.fingerprint):
        if sidecar.role == PALM.role:
            raise UserError(
                f"{path} was built from another file than {PALM_ONNX}; build it again: "
                f"{rebuild_command(sidecar, path)}"
            )
        raise UserError(
            f"{path} holds the encoder {sidecar.fingerprint[:12]} and not the one asked for, "
            f"{here.fingerprint[:12]}; name its own ONNX file with --encoder, or build it from "
            f"that one: {rebuild_command(sidecar, path)}"
        )
    if sidecar.runtime == "tensorrt" and sidecar.system != here.system:
        raise UserError(
            f"{path} was built on {sidecar.system} and this is {here.system}, where TensorRT "
            f"doesn't take it; build it here: {rebuild_command(sidecar, path)}"
        )
    runtime = _find_runtime(sidecar, path, here)
    if here.gpu is None:
        raise UserError(
            f"{path} needs an NVIDIA GPU with its driver, and none answers here; for the CPU: "
            "--engine onnx"
        )
    if here.gpu not in sidecar.targets:
        raise UserError(
            f"{path} was built for {', '.join(sidecar.targets)} and the GPU here is {here.gpu}; "
            f"build it for this one: {rebuild_command(sidecar, path, target=here.gpu)}"
        )
    return runtime


def _find_runtime(sidecar: Sidecar, path: Path, here: Machine) -> str:
    """The installed runtime that runs the plan."""
    able = [sidecar.runtime, *((LEAN,) if sidecar.portable else ())]
    there = [name for name in able if name in here.installed]
    wanted = f"{RUNTIMES[sidecar.runtime]} {sidecar.runtime_version}"
    for name in there:
        if _runs(sidecar, here.installed[name].version):
            return name
    # A runtime without a CUDA release in its package's name came with the system, as on a Jetson.
    install = pip_install(sidecar.runtime, sidecar.runtime_version, sidecar.cuda)
    install = (
        install if sidecar.cuda else f"take {wanted}, which came with the system it was built on"
    )
    if there:
        raise UserError(
            f"{path} was built by {wanted} and here is {here.installed[there[0]].version}; build "
            f"it again: {rebuild_command(sidecar, path)}, or: {install}"
        )
    others = [name for name in here.installed if name in BUILDERS]
    if others:
        raise UserError(
            f"{path} was built by {wanted} and here is {RUNTIMES[others[0]]}; build it again: "
            f"{rebuild_command(sidecar, path, others[0], here.gpu)}, or: {install}"
        )
    raise UserError(f"{path} needs {wanted}, which isn't installed here: {install}")


def _runs(sidecar: Sidecar, version: str) -> bool:
    """Whether a release runs a plan: the same release, or for a portable plan a newer minor."""
    if not sidecar.portable:
        return version == sidecar.runtime_version
    built, there = _numbers(sidecar.runtime_version), _numbers(version)
    return built[:1] == there[:1] and built <= there


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def rebuild_command(
    sidecar: Sidecar, path: Path, runtime: str | None = None, target: str | None = None
) -> str:
    """The command that builds a plan of the same kind, as far as the runtime can.

    Args:
        sidecar: of the plan.
        path: its file.
        runtime: another one than the plan's.
        target: the GPU to build for, in place of the plan's.
    """
    runtime = runtime or sidecar.runtime
    rtx = runtime == "tensorrt-rtx"
    targets = target or ",".join(sidecar.targets)
    batches = ",".join(map(str, sidecar.batches))
    precision = "fp16" if rtx and sidecar.precision == "int8" else sidecar.precision
    onnx = PALM_ONNX if sidecar.role == PALM.role else ENCODER_ONNX
    return (
        f"python run.py build --onnx {onnx} --engine {shlex.quote(str(path))} --precision "
        f"{precision} --runtime {runtime} --batch {batches}"
        # Classic TensorRT builds for the GPU it finds.
        + (f" --target {targets}" if rtx else "")
        + (" --portable" if sidecar.portable and not rtx else "")
    )
