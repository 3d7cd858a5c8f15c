"""`run.py build`: a TensorRT plan of an encoder, a model for Triton, or both.

A one-pass encoder also gets the plan of the palm network, which runs beside it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from realtime.commands.options import detector_options, still_detector
from train.commands.options import name_option, training_packages

if TYPE_CHECKING:
    from engines.tensorrt.sidecar import Sidecar

NAME = "build"
HELP = "make a TensorRT plan of an encoder, for an NVIDIA GPU"
MOST_HANDS = 256  # in a batch, whose memory is reserved when a plan is opened


def options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--onnx", type=Path, metavar="FILE", help="an encoder's ONNX file, or models/palm.onnx"
    )
    source.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE.pt",
        help="what `train` left; its ONNX file goes beside the plan",
    )
    add = parser.add_argument
    add(
        "--engine",
        type=Path,
        metavar="FILE.plan",
        help="where the plan goes; that of the palm network goes beside it",
    )
    add(
        "--triton",
        type=Path,
        metavar="DIR",
        help="a repository of Triton Inference Server: add the plan, or the ONNX file",
    )
    add(
        "--precision",
        default="fp16",
        metavar="fp32|fp16|int8",
        help="of the arithmetic (%(default)s)",
    )
    add("--runtime", metavar="tensorrt|tensorrt-rtx", help="what will run it (the one installed)")
    add(
        "--batch",
        type=_counts,
        default="1,2",
        metavar="1,2,8",
        help="numbers of hands to be fast at, the last the most it takes (%(default)s)",
    )
    add(
        "--target",
        type=lambda text: tuple(text.lower().split(",")),
        default=(),
        metavar="sm89,sm120",
        help="GPUs to build for (this machine's)",
    )
    add(
        "--pictures",
        type=Path,
        metavar="DIR|FILE.npz",
        help="with int8: people to quantise with, see `quantize`",
    )
    detector_options(parser)
    add(
        "--portable",
        action="store_true",
        help="a plan that newer releases of TensorRT run, too, and the lean runtime",
    )
    name_option(parser)


def _counts(text: str) -> tuple[int, ...]:
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if not 1 <= min(numbers) <= max(numbers) <= MOST_HANDS:
        raise argparse.ArgumentTypeError(
            f"numbers from 1 to {MOST_HANDS} are expected, as 1,2,8; got {text!r}"
        )
    return tuple(sorted(set(numbers)))


def run(arguments: argparse.Namespace) -> None:
    from engines.files import check_writable
    from engines.say import tell

    plan: Path | None = arguments.engine
    if plan is None and arguments.triton is None:
        raise UserError("build makes --engine FILE.plan, a model in --triton DIR, or both.")
    if plan is None:
        if arguments.pictures:
            raise UserError("--pictures are for a plan: name one with --engine FILE.plan.")
        onnx = _encoder(arguments, arguments.triton.parent / f"{arguments.name}.onnx")
        _serve(arguments, onnx)
        return
    from engines.encoder import PALM_FILE
    from engines.hand_networks import PALM_PLAN
    from engines.tensorrt.build import BuildOptions, build, resolve_options

    if plan.suffix != ".plan":
        raise UserError(f"--engine takes the name of a plan, FILE.plan; got {plan}.")
    check_writable(plan)
    if arguments.pictures and arguments.precision != "int8":
        raise UserError("--pictures are what --precision int8 is calibrated with: name both.")
    wanted = BuildOptions(
        arguments.runtime,
        arguments.precision,
        arguments.batch,
        arguments.target,
        arguments.portable,
    )
    wanted = resolve_options(wanted)  # its faults before an export, which takes a while
    if arguments.triton and wanted.runtime != "tensorrt":
        raise UserError(
            "Triton runs plans of the classic TensorRT only: build with --runtime tensorrt, or "
            "leave --engine out, and it gets the ONNX file."
        )
    if arguments.triton:
        from engines.triton.repository import check_place

        check_place(arguments.triton, plan.stem)
    if arguments.pictures:
        onnx = _quantize(arguments, plan)
    else:
        onnx = _encoder(arguments, plan.with_suffix(".onnx"))
    made = build(onnx, plan, wanted)
    _tell_built(plan, made)
    if made.spec is not None and made.spec.one_pass:
        beside = plan.with_name(PALM_PLAN)
        # The palm network isn't quantised: it runs seldom, and only in float was it checked.
        precision = "fp16" if wanted.precision == "int8" else wanted.precision
        _tell_built(beside, build(PALM_FILE, beside, replace(wanted, precision=precision)))
    if onnx != arguments.onnx:
        tell(
            f"Its ONNX file is {onnx}; use both with: python run.py --encoder {onnx}. Fit its "
            f"threshold with: python run.py calibrate DIR --encoder {onnx}"
        )
    if arguments.triton:
        _serve(arguments, plan)


def _tell_built(plan: Path, made: Sidecar) -> None:
    from engines.say import tell

    what = "the palm network" if made.spec is None else f"encoder {made.fingerprint[:12]}"
    tell(
        f"{plan}: {made.plan_bytes / 1e6:.1f} MB in {made.build_s:.1f} s, {what}, for "
        f"{', '.join(made.targets)}."
    )


def _encoder(arguments: argparse.Namespace, made: Path) -> Path:
    """The ONNX file that is asked for, or that a checkpoint gives: it is left as `made`."""
    from engines.files import check_writable

    if arguments.onnx:
        return arguments.onnx
    check_writable(made)
    return _export(arguments.checkpoint, made, arguments.name)


def _quantize(arguments: argparse.Namespace, plan: Path) -> Path:
    """The encoder in 8 bits, beside the plan: it is another one than the float encoder."""
    from engines.say import tell
    from train.evaluation.quantize import lines, quantize_encoder

    made = plan.with_suffix(".onnx")
    if made.exists():
        raise UserError(
            f"{made} is there, where the encoder in 8 bits goes; give the plan another name, or if "
            f"that is the one, build from it without --pictures: --onnx {made}"
        )
    exact = _encoder(arguments, plan.with_name(f"{plan.stem}-float.onnx"))
    report = quantize_encoder(exact, arguments.pictures, made, still_detector(arguments))
    for line in lines(report):
        tell(line)
    return made


def _serve(arguments: argparse.Namespace, source: Path) -> None:
    from engines.say import tell
    from engines.triton.repository import write_repository

    model = write_repository(arguments.triton, source.stem, source, arguments.batch)
    tell(
        f"{model}: a model for Triton. Start the server on {arguments.triton}, then: python run.py "
        f"--engine triton://localhost:8001/{model.name}"
    )


def _export(checkpoint: Path, onnx: Path, name: str) -> Path:
    """The checkpoint's ONNX file: galleries and calibrations belong to it.

    Raises UserError where another encoder stands there already.
    """
    import os
    import tempfile

    from engines.onnx_file import load_encoder

    with training_packages():
        from train.encoder.export import export

        with tempfile.TemporaryDirectory(prefix=".", dir=onnx.parent) as folder:
            made = Path(folder) / onnx.name
            mark, _ = export(checkpoint, made, name)
            if not onnx.exists():
                os.replace(made, onnx)
            elif load_encoder(onnx)[2] != mark:
                raise UserError(
                    f"{onnx} is another encoder than {checkpoint}; give it another name, or build "
                    f"from that file: --onnx {onnx}"
                )
    return onnx
