"""Builds a TensorRT plan of a network's ONNX file, with a sidecar that says what it is for.

TensorRT 10, TensorRT 11 and TensorRT for RTX share one Python API. They differ in this: classic
TensorRT builds for the GPU in the machine, on which it times kernels; TensorRT for RTX needs no
GPU, builds for those that it is told, and times nothing. Every network is strongly typed: the
precision is that of the graph's tensors, not a builder flag.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from engines.files import explain_errors, replace_file, write_file
from engines.hand_networks import is_palm_plan
from engines.onnx_file import is_quantised, load_network, read_whole
from engines.say import tell
from engines.tensorrt.compile import compile_plan
from engines.tensorrt.gpu import compute_capability
from engines.tensorrt.precision import convert_to_fp16
from engines.tensorrt.runtimes import BUILDERS, RUNTIMES, find_installed, load
from engines.tensorrt.sidecar import PRECISIONS, Sidecar, save, sidecar_path, this_system

if TYPE_CHECKING:
    import onnx

RTX = "tensorrt-rtx"
CARDS = "sm86 RTX 30, sm89 RTX 40, sm120 RTX 50"


@dataclass(frozen=True)
class BuildOptions:
    """What kind of plan to build.

    Attributes:
        runtime: "tensorrt" or "tensorrt-rtx"; None for the one that is installed.
        precision: "fp32", "fp16" or "int8"; for the last the ONNX file must be quantised (Q/DQ).
        batches: numbers of hands, or of pictures for the palm network, to be fast at; the plan
            takes 1 to the largest.
        targets: GPUs, such as "sm89"; empty for the one in this machine.
        portable: see `Sidecar`.
    """

    runtime: str | None = None
    precision: str = "fp16"
    batches: tuple[int, ...] = (1, 2)
    targets: tuple[str, ...] = ()
    portable: bool = False


def build(onnx_path: Path, engine: Path, options: BuildOptions) -> Sidecar:
    """Build a plan, and write it and its sidecar, or neither.

    Args:
        onnx_path: the file of an encoder, or of the palm network.
        engine: where the plan goes.
        options: what kind of plan.

    Returns:
        The sidecar.

    Raises:
        UserError: if such a plan can't be built here, the file is neither network, TensorRT refuses
            its graph, or the plan can't be written.
    """
    options = resolve_options(options)
    runtime, targets, batches = options.runtime or "", options.targets, options.batches
    trt = load(runtime)
    model, spec, mark = load_network(onnx_path)
    if spec is not None and is_palm_plan(engine):
        raise UserError(
            f"{engine} is where the palm network's plan goes: give the encoder's another name."
        )
    _check_quantised(model, onnx_path, options.precision, runtime)
    if options.precision == "fp16":
        model = convert_to_fp16(model)
    tell(
        f"Building {engine} for {', '.join(targets)} with {RUNTIMES[runtime]} {trt.__version__}, "
        f"{options.precision}, 1 to {batches[-1]} {'hands' if spec else 'pictures'}."
    )
    started = time.monotonic()
    plan = compile_plan(
        trt,
        f"{RUNTIMES[runtime]} {trt.__version__}",
        "the encoder" if spec else "the palm network",
        model.SerializeToString(),
        batches,
        targets if runtime == RTX else (),
        options.portable,
        None if runtime == RTX else engine.with_name(engine.name + ".timing"),
    )
    here = find_installed().get(runtime)
    sidecar = Sidecar(
        runtime=runtime,
        runtime_version=trt.__version__,
        cuda=here.cuda if here else None,
        system=this_system(),
        targets=targets,
        precision=options.precision,
        portable=options.portable,
        onnx_sha256=hashlib.sha256(read_whole(onnx_path)).hexdigest(),
        fingerprint=mark,
        spec=spec,
        batches=batches,
        build_s=round(time.monotonic() - started, 3),
        plan_bytes=len(plan),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
    )
    _write(plan, sidecar, engine)
    return sidecar


def _write(plan: bytes, sidecar: Sidecar, engine: Path) -> None:
    """Write both files or neither."""
    beside = sidecar_path(engine)
    before = beside.read_bytes() if beside.is_file() else None
    untouched = f"What was there before is untouched. The plan takes {len(plan) / 1e6:.0f} MB."
    with explain_errors(f"{engine} can't be written", untouched):
        try:
            with replace_file(engine) as file:
                file.write(plan)
                file.flush()  # a full disk shows here, before the sidecar is replaced
                save(sidecar, engine)
        except OSError:
            with contextlib.suppress(OSError):  # Windows can't replace a plan in use
                if before is None:
                    beside.unlink(missing_ok=True)
                elif beside.read_bytes() != before:
                    write_file(beside, before)
            raise


def resolve_options(options: BuildOptions) -> BuildOptions:
    """Fill in the runtime and the targets. Raises UserError where such a plan can't be built."""
    runtime = _choose_runtime(options.runtime)
    _check_precision(options.precision, runtime)
    batches = tuple(sorted(set(options.batches)))
    return BuildOptions(
        runtime, options.precision, batches, _choose_targets(runtime, options), options.portable
    )


def _choose_runtime(name: str | None) -> str:
    if name is not None and name not in BUILDERS:
        raise UserError(f"--runtime takes {' or '.join(BUILDERS)}; got {name!r}.")
    there = [runtime for runtime in BUILDERS if runtime in find_installed()]
    if name is None and not there:
        raise UserError(
            "Building a plan needs TensorRT, which isn't installed here; for RTX cards: pip "
            "install -r requirements-gpu.txt, which also says what to install for other cards"
        )
    return name or there[0]


def _check_precision(precision: str, runtime: str) -> None:
    if precision not in PRECISIONS:
        raise UserError(f"--precision takes fp32, fp16 or int8; got {precision!r}.")
    if precision == "int8" and runtime == RTX:
        raise UserError(
            "TensorRT for RTX has no INT8 convolutions: use --precision fp16, which is its "
            "fastest for an encoder of pictures."
        )


def _check_quantised(model: onnx.ModelProto, path: Path, precision: str, runtime: str) -> None:
    if is_quantised(model) and runtime == RTX:
        raise UserError(
            f"{path} is quantised, and TensorRT for RTX has no INT8 convolutions: build from the "
            f"float encoder that it was made of, or run it on the CPU: --encoder {path} --engine "
            "onnx"
        )
    if is_quantised(model) and precision != "int8":
        raise UserError(
            f"{path} is quantised, so its plan is an INT8 one: build with --precision int8, or "
            f"from the float encoder with --precision {precision}."
        )
    if not is_quantised(model) and precision == "int8":
        raise UserError(
            f"{path} isn't quantised, as --precision int8 needs: name hands to quantise it with, "
            "--pictures DIR or FILE.npz, or use --precision fp16."
        )


def _choose_targets(runtime: str, options: BuildOptions) -> tuple[str, ...]:
    trt, gpu = load(runtime), compute_capability()
    if runtime != RTX:
        if gpu is None:
            raise UserError(
                "TensorRT builds on the GPU that will run the plan, and no NVIDIA GPU with its "
                f"driver answers here; build there, or for an RTX card: --runtime {RTX} --target "
                "sm89"
            )
        if set(options.targets) - {gpu}:
            raise UserError(
                f"TensorRT builds for the GPU in this machine, {gpu}, and not for "
                f"{', '.join(options.targets)}; build there, or for an RTX card: --runtime {RTX}"
            )
        return (gpu,)
    if options.portable:
        raise UserError(
            "TensorRT for RTX has no portable plans: leave --portable out, or use --runtime "
            "tensorrt."
        )
    known = [name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    targets = tuple(dict.fromkeys(options.targets)) or ((gpu,) if gpu else ())
    if not targets:
        raise UserError(
            f"No GPU with its driver answers here, so name what to build for with --target: {CARDS}"
            "; several with commas."
        )
    unknown = [target for target in targets if target not in known]
    if unknown:
        raise UserError(
            f"--target takes what TensorRT for RTX builds for, {', '.join(known)} ({CARDS}); got "
            f"{', '.join(unknown) or 'nothing'}. Data centre cards take --runtime tensorrt."
        )
    return targets
