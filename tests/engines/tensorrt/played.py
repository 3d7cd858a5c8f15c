"""Plans for the simulated GPU: a network's ONNX file with a sidecar."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from engines.onnx_file import load_network
from engines.tensorrt import plan as tensorrt_plan
from engines.tensorrt.sidecar import Sidecar, ranges, save, this_system
from tests.engines.tensorrt import simulated_gpu
from tests.engines.tensorrt.simulated_gpu import Gpu

CLASSIC, RTX = "tensorrt", "tensorrt-rtx"


def play(
    onnx: Path,
    plan: Path,
    gpu: Gpu,
    monkeypatch: Any,
    runtime: str = RTX,
    portable: bool = False,
    batches: tuple[int, ...] = (1, 2, 8),
) -> Path:
    """Write the plan and its sidecar, and let a runtime open it; → the plan."""
    _, spec, mark = load_network(onnx)
    data = onnx.read_bytes()
    plan.write_bytes(data)
    version = "1.7.1.116" if runtime == RTX else "10.16.1.11"
    save(
        Sidecar(
            runtime=runtime,
            runtime_version=version,
            cuda="13",
            system=this_system(),
            targets=("sm89",),
            precision="fp16",
            portable=portable,
            onnx_sha256="0" * 64,
            fingerprint=mark,
            spec=spec,
            batches=batches,
            build_s=1.0,
            plan_bytes=len(data),
            plan_sha256=hashlib.sha256(data).hexdigest(),
        ),
        plan,
    )
    module = simulated_gpu.tensorrt(gpu, graphs=runtime == RTX)
    module.Engine.profiles = list(ranges(batches))
    monkeypatch.setattr(tensorrt_plan, "load", lambda name: module)
    return plan
