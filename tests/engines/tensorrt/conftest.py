"""A simulated GPU, with both TensorRT runtimes as if they were installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engines.tensorrt import cuda_buffers
from engines.tensorrt import plan as tensorrt_plan
from engines.tensorrt.runtimes import InstalledRuntime
from tests.engines.tensorrt import simulated_gpu
from tests.engines.tensorrt.simulated_gpu import Gpu


@pytest.fixture
def gpu(monkeypatch: Any) -> Iterator[Gpu]:
    there = simulated_gpu.plug_in(monkeypatch)
    versions = {
        "tensorrt-rtx": InstalledRuntime("1.7.1.116", "13"),
        "tensorrt": InstalledRuntime("10.16.1.11", "13"),
    }
    monkeypatch.setattr(tensorrt_plan, "compute_capability", lambda: "sm89")
    monkeypatch.setattr(tensorrt_plan, "find_installed", lambda: versions)
    yield there
    cuda_buffers._primary_context.cache_clear()
