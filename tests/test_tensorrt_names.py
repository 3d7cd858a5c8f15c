"""Every name that we use of TensorRT's builder exists in every release that we build with.

The classic builders need a GPU and gigabytes; their Python bindings' wheels need neither, and
hold the names. TENSORRT_WHEELS is a folder of such wheels (`.ci/run` fills it).
"""

from __future__ import annotations

import ast
import importlib.util
import os
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WHEELS = sorted(Path(os.environ.get("TENSORRT_WHEELS", "no such folder")).glob("*.whl"))
# What holds TensorRT's objects in tensorrt_compile.py; what its subclasses there override.
HOLDERS = {"trt", "builder", "config", "network", "parser", "profile", "tensor", "error", "cache"}
OVERRIDDEN = {"log", "phase_start", "phase_finish", "step_complete", "progress_monitor"}
RTX_ONLY = {"ComputeCapability", "num_compute_capabilities", "set_compute_capability"}
REMOVED = ("EXPLICIT_BATCH", "FP16", "INT8", "IInt8EntropyCalibrator2", "max_workspace_size")


def used() -> set[str]:
    """Names looked up on TensorRT's objects."""
    names = set(OVERRIDDEN)
    tree = ast.parse((ROOT / "engines/tensorrt_compile.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        chain = []
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in HOLDERS:
            names.update(name for name in chain if not name.startswith("__"))
    return names


def lacking(binary: bytes, names: set[str]) -> set[str]:
    """Names that don't end any string in a compiled module."""
    return {name for name in names if name.encode() + b"\0" not in binary}


def test_the_names_are_found_and_none_is_a_removed_one() -> None:
    names = used()
    assert names >= RTX_ONLY | {"STRONGLY_TYPED", "VERSION_COMPATIBLE", "parse", "shape", "desc"}
    assert len(names) > 30 and not names & set(REMOVED)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs TensorRT for RTX: pip install tensorrt-rtx-cu13",
)
def test_tensorrt_for_rtx_has_them_all() -> None:
    spec = importlib.util.find_spec("tensorrt_rtx_bindings")
    assert spec is not None and spec.submodule_search_locations
    (binary,) = Path(spec.submodule_search_locations[0]).glob("tensorrt_rtx*.so")
    assert lacking(binary.read_bytes(), used()) == set()


@pytest.mark.skipif(not WHEELS, reason="needs TENSORRT_WHEELS, a folder with bindings' wheels")
def test_classic_tensorrt_has_all_but_the_targets() -> None:
    assert {path.name.split("-")[1].split(".")[0] for path in WHEELS} == {"10", "11"}
    for path in WHEELS:
        with zipfile.ZipFile(path) as wheel:
            (name,) = [n for n in wheel.namelist() if n.endswith(("/tensorrt.so", "/tensorrt.pyd"))]
            binary = wheel.read(name)
        assert lacking(binary, used()) == RTX_ONLY, path.name
        if "-11." in path.name:
            assert lacking(binary, set(REMOVED)) >= {"EXPLICIT_BATCH", "IInt8EntropyCalibrator2"}
