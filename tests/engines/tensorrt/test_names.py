"""Every name that we use of TensorRT exists in every release that we build with or run on.

The classic builders need a GPU and gigabytes; their Python bindings' wheels need neither, and
hold the names: TENSORRT_WHEELS is a folder of such wheels. The lean runtimes can be imported
anywhere, but two releases share a name: TENSORRT_LEANS are Python interpreters, with : between,
that have one each. `.ci/run` sets both.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.tensorrt.gpu import compute_capability

ROOT = Path(__file__).resolve().parents[3]
WHEELS = sorted(Path(os.environ.get("TENSORRT_WHEELS", "no such folder")).glob("*.whl"))
LEANS = [path for path in os.environ.get("TENSORRT_LEANS", "").split(os.pathsep) if path]
# What holds TensorRT's objects in the files that speak to it → their class; None: the module.
BUILDING: dict[str, str | None] = {
    "trt": None,
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "tensor": "ITensor",
    "error": "ParserError",
    "cache": "ITimingCache",
}
RUNNING: dict[str, str | None] = {
    "trt": None,
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "config": "IRuntimeConfig",
    "cache": "IRuntimeCache",
}
FILES: dict[str, dict[str, str | None]] = {
    "compile.py": BUILDING,
    "execute.py": RUNNING,
    "runtimes.py": {"trt": None},
}
# What is overridden there.
OVERRIDDEN: dict[str, set[str]] = {
    "compile.py": {"phase_start", "phase_finish", "step_complete", "progress_monitor"},
    "execute.py": set(),
    "runtimes.py": {"log"},
}
RTX_BUILDS = {"ComputeCapability", "num_compute_capabilities", "set_compute_capability"}
RTX_RUNS = {
    "CudaGraphStrategy",
    "WHOLE_GRAPH_CAPTURE",
    "IRuntimeConfig.cuda_graph_strategy",
    "DynamicShapesKernelSpecializationStrategy",
    "EAGER",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
    "IRuntimeConfig.create_runtime_cache",
    "IRuntimeConfig.set_runtime_cache",
    "IRuntimeConfig.get_runtime_cache",
    "IRuntimeCache.serialize",
    "IRuntimeCache.deserialize",
}
REMOVED = ("EXPLICIT_BATCH", "FP16", "INT8", "IInt8EntropyCalibrator2", "max_workspace_size")

rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs TensorRT for RTX: pip install tensorrt-rtx-cu13",
)


def uses(file: str) -> Iterator[tuple[str, list[str]]]:
    """(what holds an object, the names looked up on it) for every chain of names in a file."""
    tree = ast.parse((ROOT / "engines/tensorrt" / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            chain.insert(0, node.id)
            for i, name in enumerate(chain[:-1]):
                if name.removeprefix("_") in FILES[file]:
                    yield name.removeprefix("_"), chain[i + 1 :]
                    break


def used(*files: str) -> set[str]:
    """All names looked up on TensorRT's objects."""
    names = set[str]().union(*(OVERRIDDEN[file] for file in files))
    for file in files:
        for _, chain in uses(file):
            names.update(name for name in chain if not name.startswith("__"))
    return names


def used_to_run() -> set[str]:
    """Names that running a plan looks up: "Class.name", or "name" of the module."""
    names = set()
    for file in ("execute.py", "runtimes.py"):
        for holder, chain in uses(file):
            kind = FILES[file][holder]
            if kind is not None:
                names.add(f"{kind}.{chain[0]}")
            elif chain[0].endswith("Strategy"):
                names.update(chain)
            elif not chain[0].startswith("__"):
                names.add(chain[0])
    return names


def lacking(binary: bytes, names: set[str]) -> set[str]:
    """Names that don't end any string in a compiled module."""
    return {name for name in names if name.encode() + b"\0" not in binary}


def absent(python: str, module: str, names: set[str]) -> tuple[str, set[str]]:
    """(release, the names that its classes haven't got), asked of a real runtime."""
    code = (
        f"import json, sys, {module} as m\n"
        "def there(n):\n"
        "    kind, _, name = n.rpartition('.')\n"
        "    return hasattr(getattr(m, kind, None) if kind else m, name)\n"
        "kinds = ('CudaGraphStrategy', 'DynamicShapesKernelSpecializationStrategy')\n"
        "strategies = [getattr(m, kind, None) for kind in kinds]\n"
        "names = json.loads(sys.argv[1])\n"
        "gone = [n for n in names if not there(n) and not any(hasattr(s, n) for s in strategies)]\n"
        "print(json.dumps([m.__version__, gone]))"
    )
    ran = subprocess.run(
        [python, "-c", code, json.dumps(sorted(names))], capture_output=True, text=True, check=True
    )
    version, gone = json.loads(ran.stdout)
    return version, set(gone)


def test_the_names_are_found_and_none_is_a_removed_one() -> None:
    names = used(*FILES)
    assert names >= RTX_BUILDS | {"STRONGLY_TYPED", "VERSION_COMPATIBLE", "parse", "shape", "desc"}
    assert len(names) > 45 and not names & set(REMOVED)
    assert used_to_run() >= RTX_RUNS | {
        "Runtime.deserialize_cuda_engine",
        "Runtime.engine_host_code_allowed",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_optimization_profile_async",
        "ICudaEngine.num_io_tensors",
        "ICudaEngine.create_runtime_config",
        "ILogger",
        "Runtime",
    }


@rtx
def test_tensorrt_for_rtx_has_them_all() -> None:
    spec = importlib.util.find_spec("tensorrt_rtx_bindings")
    assert spec is not None and spec.submodule_search_locations
    (binary,) = Path(spec.submodule_search_locations[0]).glob("tensorrt_rtx*.so")
    assert lacking(binary.read_bytes(), used(*FILES)) == set()
    version, gone = absent(sys.executable, "tensorrt_rtx", used_to_run())
    assert version.startswith("1.") and gone == set()


@pytest.mark.skipif(not WHEELS, reason="needs TENSORRT_WHEELS, a folder with bindings' wheels")
def test_classic_tensorrt_has_all_but_the_targets() -> None:
    assert {path.name.split("-")[1].split(".")[0] for path in WHEELS} == {"10", "11"}
    for path in WHEELS:
        with zipfile.ZipFile(path) as wheel:
            (name,) = [n for n in wheel.namelist() if n.endswith(("/tensorrt.so", "/tensorrt.pyd"))]
            binary = wheel.read(name)
        names = used("compile.py", "runtimes.py")
        assert lacking(binary, names) == RTX_BUILDS, path.name
        if "-11." in path.name:
            assert lacking(binary, set(REMOVED)) >= {"EXPLICIT_BATCH", "IInt8EntropyCalibrator2"}


@pytest.mark.skipif(not LEANS, reason="needs TENSORRT_LEANS, interpreters with tensorrt-lean")
@pytest.mark.skipif(compute_capability() is not None, reason="there is a GPU with its driver")
def test_a_runtime_without_a_driver_ends_in_a_sentence() -> None:
    """The real runtimes, which give an object then that ends the program when it is touched."""
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from engines.errors import UserError\n"
        "from engines.tensorrt.execute import Execution\n"
        "from engines.tensorrt.runtimes import load\n"
        "try:\n"
        "    Execution(load('tensorrt-lean'), 'It', b'plan', (1,), {}, {}, 0, True)\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    for python in LEANS:
        ran = subprocess.run([python, "-c", code], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("It can't start here (") and "driver" in ran.stdout


@pytest.mark.skipif(not LEANS, reason="needs TENSORRT_LEANS, interpreters with tensorrt-lean")
def test_the_lean_runtimes_have_all_but_what_is_asked_for_first() -> None:
    """Graphs and the kept kernels are only used where the module has CudaGraphStrategy."""
    generations = set()
    for python in LEANS:
        version, gone = absent(python, "tensorrt_lean", used_to_run())
        generations.add(version.split(".")[0])
        assert gone == RTX_RUNS, version
    assert generations == {"10", "11"}
