"""What this machine has to run encoders with: driver, GPU, TensorRT, pycuda, ONNX Runtime."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from engines.cpu import processor_name
from engines.errors import RIVALS, UserError
from engines.finding import Finding, run_check
from engines.onnx_runtime.providers import PACKAGES
from engines.tensorrt.gpu import DRIVER, compute_capability
from engines.tensorrt.runtimes import BUILDERS, RUNTIMES, find_installed, load, pip_install

MANAGEMENT = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
VERSIONS = ("numpy", "onnx", *PACKAGES, "pycuda", "mediapipe", *RIVALS["cv2"])


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU and its driver.

    Attributes:
        name: the model.
        capability: compute capability, such as "sm89".
        memory_mb: memory, MiB.
        cuda: the newest CUDA release that the driver supports, such as "13.0".
        driver: the driver's release; None where it doesn't say.
    """

    name: str
    capability: str
    memory_mb: int
    cuda: str
    driver: str | None


def find_gpu(device: int = 0) -> Gpu | None:
    """Ask the driver for a GPU; None where there is no driver, or no GPU that answers."""
    capability = compute_capability(device)
    if capability is None:
        return None
    driver: Any = ctypes.CDLL(DRIVER)
    handle, release, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(128)
    driver.cuDeviceGet(ctypes.byref(handle), device)
    driver.cuDeviceGetName(name, len(name), handle)
    driver.cuDeviceTotalMem_v2(ctypes.byref(size), handle)
    driver.cuDriverGetVersion(ctypes.byref(release))
    return Gpu(
        name=name.value.decode(errors="replace"),
        capability=capability,
        memory_mb=size.value // 2**20,
        cuda=f"{release.value // 1000}.{release.value % 1000 // 10}",
        driver=_driver_release(),
    )


def _driver_release() -> str | None:
    try:
        management: Any = ctypes.CDLL(MANAGEMENT)
    except OSError:
        return None
    text = ctypes.create_string_buffer(96)
    if management.nvmlInit_v2():
        return None
    try:
        failed = management.nvmlSystemGetDriverVersion(text, len(text))
        return None if failed else text.value.decode(errors="replace")
    finally:
        management.nvmlShutdown()


def facts() -> dict[str, Any]:
    """System, processor and package versions for a report, without names of people or hosts."""
    versions = {}
    for name in (*VERSIONS, *(f"{runtime}-cu{c}" for runtime in RUNTIMES for c in (12, 13))):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "system": platform.platform(terse=True),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": versions,
    }


def examine_machine(gpu: Gpu | None) -> Iterator[Finding]:
    """Check what is installed. That something is missing is no fault; that it fails is one."""
    if gpu is None:
        advice = "for an NVIDIA GPU: install its driver"
        yield Finding("GPU", None, "no NVIDIA driver with a GPU answers", advice)
    else:
        found = f"{gpu.name}, {gpu.capability}, {gpu.memory_mb} MB"
        yield Finding("GPU", True, found, "", vars(gpu))
        text = f"{gpu.driver or 'of unknown release'}, for CUDA up to {gpu.cuda}"
        yield Finding("driver", True, text)
    there = find_installed()
    for runtime in RUNTIMES:
        if runtime in there:
            yield run_check(RUNTIMES[runtime], partial(_runtime, runtime))
    if gpu is not None and not set(BUILDERS) & set(there):
        advice = f"{pip_install('tensorrt')}, or for RTX cards: {pip_install('tensorrt-rtx')}"
        yield Finding("TensorRT", None, "not installed", advice)
    pycuda = run_check("pycuda", _pycuda)
    if gpu is None and not pycuda.ok:
        pycuda = Finding("pycuda", None, "not usable here, nor needed without a GPU")
    yield pycuda
    yield run_check("ONNX Runtime", _onnx_runtime)


def _runtime(name: str) -> Finding:
    here, module = find_installed()[name], load(name)
    cuda = f", for CUDA {here.cuda}" if here.cuda else ""
    if module.__version__ != here.version:
        text = f"the package is {here.version}, and what loads is {module.__version__}"
        raise UserError(f"{text}; reinstall it: {pip_install(name)} --force-reinstall")
    return Finding(RUNTIMES[name], True, f"{module.__version__}{cuda}")


def _pycuda() -> Finding:
    from engines.tensorrt.cuda_buffers import pycuda_version

    return Finding("pycuda", True, pycuda_version())


def _onnx_runtime() -> Finding:
    """Any of the packages that bring it will do, but only one of them."""
    from engines.onnx_runtime.session import list_providers, load_onnxruntime

    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    if not versions:  # a build of another name, or of the system
        versions["not from pip"] = load_onnxruntime().__version__
    found = ", ".join(f"{version} ({name})" for name, version in versions.items())
    if len(versions) > 1:
        last = list(versions)[-1]
        advice = f"pip uninstall -y {' '.join(versions)} && pip install {last}"
        return Finding("ONNX Runtime", None, f"{found}: they overwrite each other's files", advice)
    found = f"{found}, with {', '.join(list_providers())}"
    return Finding("ONNX Runtime", True, found, "", {"providers": list(list_providers())})
