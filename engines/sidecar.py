"""What a TensorRT plan was built for, in a JSON file beside it, compared before the plan is used.

TensorRT itself answers a plan of another version, another GPU or another length with None and a
line in its log; this file is how we know before, and can say what to do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.atomic import replacing
from engines.errors import UserError
from engines.spec import EncoderSpec
from engines.tensorrt_runtimes import RUNTIMES, Installed, pip_install

FORMAT = 1
LEAN = "tensorrt-lean"


@dataclass(frozen=True)
class Sidecar:
    """Of one plan.

    runtime: "tensorrt" or "tensorrt-rtx"; runtime_version: "10.16.1.11"; cuda: "12", "13", None.
    targets: the GPUs it runs on, as "sm89". precision: "fp32", "fp16" or "int8".
    portable: built so that newer releases of the runtime, and the lean one, run it as well.
    onnx_sha256: of the ONNX file it was built from; fingerprint, spec: of the encoder in there.
    batches: ascending numbers of hands; the plan has an optimisation profile for each, from one
        more than the number before up to it.
    build_s: seconds it took; plan_bytes, plan_sha256: of the plan.
    """

    runtime: str
    runtime_version: str
    cuda: str | None
    targets: tuple[str, ...]
    precision: str
    portable: bool
    onnx_sha256: str
    fingerprint: str
    spec: EncoderSpec
    batches: tuple[int, ...]
    build_s: float
    plan_bytes: int
    plan_sha256: str
    format: int = FORMAT


@dataclass(frozen=True)
class Here:
    """What is on this machine. gpu: such as "sm89", None where there is none or no driver for it.

    fingerprint: of the encoder that is asked for; None takes whichever the plan holds.
    """

    installed: Mapping[str, Installed]
    gpu: str | None
    fingerprint: str | None = None


def ranges(batches: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Least and most hands of each optimisation profile: (1, 2, 8) → (1, 1), (2, 2), (3, 8)."""
    least = 1
    for most in batches:
        yield least, most
        least = most + 1


def sidecar_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".json")


def save(sidecar: Sidecar, plan: Path) -> None:
    """Write it beside the plan, whole or not at all. OSError passes through."""
    fields = dataclasses.asdict(sidecar) | {"spec": json.loads(sidecar.spec.to_json())}
    with replacing(sidecar_path(plan)) as file:
        file.write((json.dumps(fields, indent=2) + "\n").encode())


def load(plan: Path) -> Sidecar:
    """Read what stands beside a plan. Raises UserError where that is nothing we can read."""
    path = sidecar_path(plan)
    again = f"Build the plan again: python run.py build --onnx FILE.onnx --engine {plan}"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["format"] != FORMAT:
            raise UserError(
                f"{path} has format {fields['format']}; this program reads {FORMAT}. {again}"
            )
        return _parsed(fields)
    except FileNotFoundError:
        raise UserError(
            f"{plan} has no {path.name} beside it, which says what it was built for. {again}"
        ) from None
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}). {again}") from None
    except (TypeError, ValueError, KeyError, AttributeError):
        raise UserError(f"{path} doesn't say what a plan was built for. {again}") from None


def _parsed(fields: dict[str, Any]) -> Sidecar:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    values["spec"] = EncoderSpec.from_json(json.dumps(fields["spec"]))
    sidecar = Sidecar(**values)
    texts = (sidecar.runtime_version, sidecar.precision, sidecar.onnx_sha256, sidecar.fingerprint,
             sidecar.plan_sha256, *sidecar.targets)  # fmt: skip
    sound = (
        sidecar.runtime in RUNTIMES
        and all(isinstance(text, str) for text in texts)
        and bool(sidecar.batches)
        and all(type(number) is int and number > 0 for number in sidecar.batches)
        and type(sidecar.plan_bytes) is int
    )
    if not sound:
        raise ValueError
    return sidecar


def check(sidecar: Sidecar, path: Path, plan: bytes, here: Here) -> str:
    """→ the name of the runtime that runs this plan here.

    path, plan: the file and its bytes. Raises UserError, one sentence with the command that mends
    it, where nothing here can, or where the plan isn't what its sidecar says.
    """
    if len(plan) != sidecar.plan_bytes:
        raise UserError(
            f"{path} has {len(plan)} bytes where {sidecar.plan_bytes} were written; copy it again "
            f"whole, or build it again: {rebuild(sidecar, path)}"
        )
    if hashlib.sha256(plan).hexdigest() != sidecar.plan_sha256:
        raise UserError(
            f"{path} isn't the plan that {sidecar_path(path).name} speaks of; copy the two "
            f"together, or build it again: {rebuild(sidecar, path)}"
        )
    if here.fingerprint not in (None, sidecar.fingerprint):
        raise UserError(
            f"{path} holds the encoder {sidecar.fingerprint[:12]} and not the one asked for, "
            f"{here.fingerprint[:12]}; name its own ONNX file with --encoder, or build it from "
            f"that one: {rebuild(sidecar, path)}"
        )
    runtime = _runtime(sidecar, path, here)
    if here.gpu is None:
        raise UserError(
            f"{path} needs an NVIDIA GPU with its driver, and none answers here; run without: "
            "--engine onnx"
        )
    if here.gpu not in sidecar.targets:
        raise UserError(
            f"{path} was built for {', '.join(sidecar.targets)} and the GPU here is {here.gpu}; "
            f"build it for this one: {rebuild(sidecar, path, target=here.gpu)}"
        )
    return runtime


def _runtime(sidecar: Sidecar, path: Path, here: Here) -> str:
    """The installed runtime that runs the plan."""
    able = [sidecar.runtime, *((LEAN,) if sidecar.portable else ())]
    there = [name for name in able if name in here.installed]
    wanted = f"{RUNTIMES[sidecar.runtime]} {sidecar.runtime_version}"
    install = pip_install(sidecar.runtime, sidecar.runtime_version, sidecar.cuda)
    for name in there:
        if _runs(sidecar, here.installed[name].version):
            return name
    if there:
        raise UserError(
            f"{path} was built by {wanted} and here is {here.installed[there[0]].version}; build "
            f"it again: {rebuild(sidecar, path)}, or: {install}"
        )
    others = [name for name in here.installed if name != LEAN]
    if others:
        raise UserError(
            f"{path} was built by {wanted} and here is {RUNTIMES[others[0]]}; build it again: "
            f"{rebuild(sidecar, path, others[0], here.gpu)}, or: {install}"
        )
    raise UserError(f"{path} needs {wanted}, which isn't installed here: {install}")


def _runs(sidecar: Sidecar, version: str) -> bool:
    """A plan belongs to one release, a portable one to that and the newer of its generation."""
    if not sidecar.portable:
        return version == sidecar.runtime_version
    built, there = _numbers(sidecar.runtime_version), _numbers(version)
    return built[:1] == there[:1] and built <= there


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def rebuild(
    sidecar: Sidecar, path: Path, runtime: str | None = None, target: str | None = None
) -> str:
    """The command that builds the like of a plan."""
    runtime = runtime or sidecar.runtime
    targets = target or ",".join(sidecar.targets)
    batches = ",".join(map(str, sidecar.batches))
    return (
        f"python run.py build --onnx FILE.onnx --engine {path} --precision {sidecar.precision} "
        f"--runtime {runtime} --batch {batches}"
        # Classic TensorRT builds for the GPU it finds.
        + (f" --target {targets}" if runtime == "tensorrt-rtx" else "")
        + (" --portable" if sidecar.portable and runtime == "tensorrt" else "")
    )
