"""The sidecar: a JSON file beside a TensorRT plan that says what the plan was built for.

Of a plan for another version or GPU, or of a damaged one, TensorRT gives None and a line in its
log. The sidecar is checked before the plan is opened, so that we can say what to do.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import UserError
from engines.files import explain_errors, write_file
from engines.hand_networks import PALM, Shapes
from engines.spec import EncoderSpec, input_shapes, output_shapes
from engines.tensorrt.runtimes import BUILDERS, CUDAS

FORMAT = 1
PRECISIONS = ("fp32", "fp16", "int8")
MOST_ROWS = 65536  # in a batch; more is damage
VERSION = r"\d[\w.+-]{0,40}"
SYSTEM = r"[\w .-]{0,80}"
TARGET = r"sm\d{2,3}[a-z]?"
HASH = r"[\w-]{1,128}"


@dataclass(frozen=True)
class Sidecar:
    """What a plan was built for.

    Attributes:
        runtime: what built it, "tensorrt" or "tensorrt-rtx".
        runtime_version: such as "10.16.1.11".
        cuda: CUDA release of the runtime's package, "12" or "13"; None where it doesn't say.
        system: where it was built, see `this_system`.
        targets: GPUs that it runs on, such as "sm89".
        precision: "fp32", "fp16" or "int8".
        portable: whether newer releases of the runtime, and the lean one, run it as well.
        onnx_sha256: of the ONNX file that it was built from (hex), see `read_whole`.
        fingerprint: the encoder's; of the palm network, the SHA-256 of its ONNX file (hex).
        spec: the encoder's; None for the palm network.
        batches: ascending numbers of hands, or of pictures for the palm network, each with an
            optimisation profile, see `ranges`.
        build_s: how long the build took, seconds.
        plan_bytes: the plan's size.
        plan_sha256: the plan's SHA-256 (hex).
        format: of the sidecar.
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
    spec: EncoderSpec | None
    batches: tuple[int, ...]
    build_s: float
    plan_bytes: int
    plan_sha256: str
    format: int = FORMAT

    @property
    def role(self) -> str:
        """What the plan does: "palm", "hand pass" (a one-pass encoder) or "encoder"."""
        if self.spec is None:
            return PALM.role
        return "hand pass" if self.spec.one_pass else "encoder"

    @property
    def inputs(self) -> Shapes:
        """What it takes."""
        return PALM.inputs if self.spec is None else input_shapes(self.spec)

    @property
    def outputs(self) -> Shapes:
        """What it gives."""
        return PALM.outputs if self.spec is None else output_shapes(self.spec)


def ranges(batches: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Least and most hands of each optimisation profile: (1, 2, 8) → (1, 1), (2, 2), (3, 8)."""
    least = 1
    for most in batches:
        yield least, most
        least = most + 1


def this_system() -> str:
    """Such as "Linux x86_64". Plans of classic TensorRT don't run on another system."""
    return f"{platform.system()} {platform.machine()}"


def sidecar_path(plan: Path) -> Path:
    """default.plan → default.plan.json."""
    return plan.with_name(plan.name + ".json")


def save(sidecar: Sidecar, plan: Path) -> None:
    """Write a plan's sidecar, whole or not at all. Raises OSError."""
    spec = sidecar.spec and json.loads(sidecar.spec.to_json())
    fields = {"role": sidecar.role, **dataclasses.asdict(sidecar), "spec": spec}
    write_file(sidecar_path(plan), json.dumps(fields, indent=2) + "\n")


def load(plan: Path) -> Sidecar:
    """Read a plan's sidecar. Raises UserError where it is missing or damaged."""
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
                f"{path} has format {repr(fields['format'])[:80]}; this program reads {FORMAT}. "
                f"{again}"
            )
        return _parse(fields)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        raise UserError(f"{path} doesn't say what a plan was built for. {again}") from None


def _parse(fields: dict[str, Any]) -> Sidecar:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    role = values.pop("role", "encoder")  # plans that were built before there were others
    try:
        spec = fields["spec"]
        values["spec"] = None if spec is None else EncoderSpec.from_json(json.dumps(spec))
    except UserError as error:
        raise ValueError from error
    sidecar = Sidecar(**values)
    # These are printed, some of them within commands to be copied into a shell.
    hashes = (sidecar.onnx_sha256, sidecar.fingerprint, sidecar.plan_sha256)
    texts = (
        (VERSION, (sidecar.runtime_version,)),
        (SYSTEM, (sidecar.system,)),
        (TARGET, sidecar.targets),
        (HASH, hashes),
    )
    sound = (
        sidecar.role == role
        and sidecar.runtime in BUILDERS
        and sidecar.precision in PRECISIONS
        and all(re.fullmatch(pattern, text) for pattern, group in texts for text in group)
        and sidecar.cuda in (None, *CUDAS)
        and type(sidecar.portable) is bool
        and bool(sidecar.targets and sidecar.batches)
        and all(type(number) is int and number > 0 for number in sidecar.batches)
        and list(sidecar.batches) == sorted(set(sidecar.batches))
        and sidecar.batches[-1] <= MOST_ROWS
        and type(sidecar.plan_bytes) is int
    )
    if not sound:
        raise ValueError
    return sidecar
