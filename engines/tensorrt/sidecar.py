"""What a TensorRT plan was built for, in a JSON file beside it, compared before the plan is used.

TensorRT itself answers a plan of another version, another GPU or another length with None and a
line in its log; this file is how we know before, and can say what to do.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import UserError
from engines.files import explain_errors, write_file
from engines.spec import EncoderSpec
from engines.tensorrt.runtimes import BUILDERS

FORMAT = 1
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Sidecar:
    """Of one plan.

    runtime: "tensorrt" or "tensorrt-rtx"; runtime_version: "10.16.1.11"; cuda: the release it was
        packaged for, "12", "13", or None; system: where it was built, as "Linux x86_64".
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
    system: str
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


def ranges(batches: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Least and most hands of each optimisation profile: (1, 2, 8) → (1, 1), (2, 2), (3, 8)."""
    least = 1
    for most in batches:
        yield least, most
        least = most + 1


def this_system() -> str:
    """Such as "Linux x86_64". Plans of the classic TensorRT don't run on another."""
    return f"{platform.system()} {platform.machine()}"


def sidecar_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".json")


def save(sidecar: Sidecar, plan: Path) -> None:
    """Write it beside the plan, whole or not at all. OSError passes through."""
    fields = dataclasses.asdict(sidecar) | {"spec": json.loads(sidecar.spec.to_json())}
    write_file(sidecar_path(plan), json.dumps(fields, indent=2) + "\n")


def load(plan: Path) -> Sidecar:
    """Read what stands beside a plan. Raises UserError where that is nothing we can read."""
    path = sidecar_path(plan)
    again = f"Build the plan again: python run.py build --onnx FILE.onnx --engine {plan}"
    try:
        with explain_errors(f"{path} can't be read", again):
            if not path.exists():
                raise UserError(
                    f"{plan} has no {path.name} beside it, which says what it was built for. "
                    f"{again}"
                )
            fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["format"] != FORMAT:
            raise UserError(
                f"{path} has format {fields['format']}; this program reads {FORMAT}. {again}"
            )
        return _parsed(fields)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise UserError(f"{path} doesn't say what a plan was built for. {again}") from None


def _parsed(fields: dict[str, Any]) -> Sidecar:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        values["spec"] = EncoderSpec.from_json(json.dumps(fields["spec"]))
    except UserError as error:
        raise ValueError from error
    sidecar = Sidecar(**values)
    texts = (sidecar.runtime_version, sidecar.system, sidecar.onnx_sha256, sidecar.fingerprint,
             sidecar.plan_sha256, *sidecar.targets)  # fmt: skip
    sound = (
        sidecar.runtime in BUILDERS
        and sidecar.precision in PRECISIONS
        and all(isinstance(text, str) for text in texts)
        and (sidecar.cuda is None or isinstance(sidecar.cuda, str))
        and type(sidecar.portable) is bool
        and bool(sidecar.targets and sidecar.batches)
        and all(type(number) is int and number > 0 for number in sidecar.batches)
        and list(sidecar.batches) == sorted(set(sidecar.batches))
        and type(sidecar.plan_bytes) is int
    )
    if not sound:
        raise ValueError
    return sidecar
