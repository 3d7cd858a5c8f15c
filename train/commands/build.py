"""The commands of `run.py` that make engines of encoders: they join what no room may join."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from engines.errors import UserError
from engines.files import check_writable


def build(arguments: argparse.Namespace) -> None:
    plan: Path | None = arguments.engine
    if plan is None and arguments.triton is None:
        raise UserError("build makes --engine FILE.plan, a model in --triton DIR, or both.")
    if plan is None:
        if arguments.pictures:
            raise UserError("--pictures are for a plan: name one with --engine FILE.plan.")
        onnx = _encoder(arguments, arguments.triton.parent / f"{arguments.name}.onnx")
        _serve(arguments, onnx)
        return
    from engines.tensorrt.build import BuildOptions, build, resolve_options

    if plan.suffix != ".plan":
        raise UserError(f"--engine takes the name of a plan, FILE.plan; got {plan}.")
    check_writable(plan)
    if arguments.pictures and arguments.precision != "int8":
        raise UserError("--pictures are what --precision int8 is calibrated with: name both.")
    wish = BuildOptions(arguments.runtime, arguments.precision, arguments.batch, arguments.target,
                arguments.portable)  # fmt: skip
    wish = resolve_options(wish)  # faults come before a checkpoint is exported, which takes a while
    if arguments.triton and wish.runtime != "tensorrt":
        raise UserError(
            "Triton runs plans of the classic TensorRT only: build with --runtime tensorrt, or "
            "leave --engine out, and it gets the ONNX file."
        )
    if arguments.triton:
        from engines.triton.repository import check_place

        check_place(arguments.triton, plan.stem)
    if arguments.pictures:
        onnx = _quantised(arguments, plan)
    else:
        onnx = _encoder(arguments, plan.with_suffix(".onnx"))
    made = build(onnx, plan, wish)
    print(
        f"{plan}: {made.plan_bytes / 1e6:.1f} MB in {made.build_s:.1f} s, encoder "
        f"{made.fingerprint[:12]}, for {', '.join(made.targets)}.",
        file=sys.stderr,
    )
    if onnx != arguments.onnx:
        print(
            f"Its ONNX file is {onnx}; use both with: python run.py --encoder {onnx}. Fit its "
            f"threshold with: python run.py calibrate DIR --encoder {onnx}",
            file=sys.stderr,
        )
    if arguments.triton:
        _serve(arguments, plan)


def _encoder(arguments: argparse.Namespace, made: Path) -> Path:
    """The ONNX file that is asked for, or that a checkpoint gives: it is left as `made`."""
    if arguments.onnx:
        return arguments.onnx
    check_writable(made)
    return _exported(arguments.checkpoint, made, arguments.name)


def _quantised(arguments: argparse.Namespace, plan: Path) -> Path:
    """The encoder in 8 bits, beside the plan: it is another one than the float encoder."""
    from realtime.hands.model import hand_model
    from train.commands.quantize import lines, quantized

    made = plan.with_suffix(".onnx")
    if made.exists():
        raise UserError(
            f"{made} is there, where the encoder in 8 bits goes; give the plan another name, or if "
            f"that is the one, build from it without --pictures: --onnx {made}"
        )
    exact = _encoder(arguments, plan.with_name(f"{plan.stem}-float.onnx"))
    report = quantized(exact, arguments.pictures, made, lambda: hand_model(arguments.hand_model))
    print("\n".join(lines(report)), file=sys.stderr)
    return made


def _serve(arguments: argparse.Namespace, source: Path) -> None:
    from engines.triton.repository import write_repository

    model = write_repository(arguments.triton, source.stem, source, arguments.batch)
    print(
        f"{model}: a model for Triton. Start the server on {arguments.triton}, then: python run.py "
        f"--engine triton://localhost:8001/{model.name}",
        file=sys.stderr,
    )


def _exported(checkpoint: Path, onnx: Path, name: str) -> Path:
    """The checkpoint's ONNX file: galleries and calibrations belong to it.

    Raises UserError where another encoder stands there already.
    """
    from engines.onnx_file import load_encoder
    from train.commands.training import training_packages

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
