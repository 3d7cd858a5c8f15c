"""The commands of `run.py` that make engines of encoders: they join what no room may join."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from engines.errors import UserError
from realtime.paths import writable


def build(arguments: argparse.Namespace) -> None:
    from engines.tensorrt_build import Wish, build, definite

    plan: Path = arguments.engine
    if plan.suffix != ".plan":
        raise UserError(f"--engine takes the name of a plan, FILE.plan; got {plan}.")
    writable(plan)
    wish = Wish(arguments.runtime, arguments.precision, arguments.batch, arguments.target,
                arguments.portable)  # fmt: skip
    wish = definite(wish)  # faults come before a checkpoint is exported, which takes a while
    onnx = arguments.onnx or _exported(arguments.checkpoint, plan, arguments.name)
    made = build(onnx, plan, wish)
    print(
        f"{plan}: {made.plan_bytes / 1e6:.1f} MB in {made.build_s:.1f} s, encoder "
        f"{made.fingerprint[:12]}, for {', '.join(made.targets)}.",
        file=sys.stderr,
    )


def _exported(checkpoint: Path, plan: Path, name: str) -> Path:
    """The checkpoint's ONNX file, beside the plan: galleries and calibrations belong to it.

    Raises UserError where another encoder stands there already.
    """
    from engines.onnx_file import load_encoder
    from train.commands import training_packages

    with training_packages():
        from train.export import export

        onnx = plan.with_suffix(".onnx")
        with tempfile.TemporaryDirectory(prefix=".", dir=plan.parent) as folder:
            made = Path(folder) / onnx.name
            mark, _ = export(checkpoint, made, name)
            if not onnx.exists():
                os.replace(made, onnx)
            elif load_encoder(onnx)[2] != mark:
                raise UserError(
                    f"{onnx} is another encoder than {checkpoint}; give the plan another name, or "
                    f"build from that file: --onnx {onnx}"
                )
    return onnx
