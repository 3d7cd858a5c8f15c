"""The TensorRT runtimes, which share one Python API under different package names.

The only file that imports tensorrt, tensorrt_lean and tensorrt_rtx, each on demand.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from engines.errors import UserError, first_line, short_reason
from engines.tensorrt.gpu import driver_cuda

# Name on the command line → name for people. A package is called as on the command line, with the
# CUDA release that it was made for at the end: tensorrt-cu13.
RUNTIMES = {
    "tensorrt": "TensorRT",
    "tensorrt-lean": "TensorRT's lean runtime",
    "tensorrt-rtx": "TensorRT for RTX",
}
BUILDERS = ("tensorrt", "tensorrt-rtx")  # the lean runtime can't build
CUDAS = ("13", "12")  # newest first


@dataclass(frozen=True)
class InstalledRuntime:
    """An installed runtime.

    Attributes:
        version: such as "10.16.1.11".
        cuda: the CUDA release that it was made for, "12" or "13"; None where its package doesn't
            say.
    """

    version: str
    cuda: str | None


def find_installed() -> dict[str, InstalledRuntime]:
    """The runtimes that are installed, by name; none of them is imported."""
    found = {}
    for name in RUNTIMES:
        for package, cuda in [*((f"{name}-cu{cuda}", cuda) for cuda in CUDAS), (name, None)]:
            try:
                found[name] = InstalledRuntime(importlib.metadata.version(package), cuda)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def pip_install(name: str, version: str | None = None, cuda: str | None = None) -> str:
    """The command that installs a runtime; without `cuda`, the one for the driver's release."""
    known = driver_cuda() or CUDAS[0]
    newest = next((each for each in CUDAS if int(each) <= int(known)), CUDAS[-1])
    return f"pip install {name}-cu{cuda or newest}" + (f"=={version}" if version else "")


def load(name: str) -> Any:
    """Import a runtime's module. Raises UserError where it isn't installed or can't be loaded."""
    try:
        if name == "tensorrt":
            import tensorrt

            return tensorrt
        if name == "tensorrt-lean":
            import tensorrt_lean

            return tensorrt_lean
        if name == "tensorrt-rtx":
            import tensorrt_rtx

            return tensorrt_rtx
    except ModuleNotFoundError:
        raise UserError(
            f"{RUNTIMES[name]} isn't installed here; install it with: {pip_install(name)}"
        ) from None
    except Exception as error:  # a missing library: ImportError, OSError, FileNotFoundError
        raise UserError(
            f"{RUNTIMES[name]} is installed but can't be loaded ({short_reason(error)}); "
            f"reinstall it with: {pip_install(name)} --force-reinstall"
        ) from None
    raise UserError(f"A TensorRT runtime is one of {', '.join(RUNTIMES)}; got {name!r}.")


def start(kind: Any, log: Any, what: str) -> Any:
    """Make a Builder or Runtime.

    The log is checked as well: with a driver that is too old, some releases give an object that
    crashes the program when it is used.

    Args:
        kind: a module's Builder or Runtime.
        log: of `error_log`.
        what: the runtime's name, for people.

    Raises:
        UserError: if it can't be made.
    """
    log.errors.clear()
    try:
        made = kind(log)
    except Exception as error:  # TypeError, where the factory gave nothing
        log.errors.append(str(error))
        made = None
    if made is None or log.errors:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))  # freeing it can crash the program, too
        raise UserError(
            f"{what} can't start here ({first_error(log)}); it needs an NVIDIA driver for its CUDA "
            "release, or install it for the driver's. For the CPU: --engine onnx"
        )
    return made


def first_error(log: Any) -> str:
    """The first error since the log was cleared, on one line; it is the cause of the others."""
    return first_line("\n".join(log.errors))


def error_log(trt: Any) -> Any:
    """A logger for a module's objects, which keeps errors in the list `errors`."""

    class Errors(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            serious = severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)
            if serious and len(self.errors) < 50:  # some errors repeat without end
                self.errors.append(message)

    return Errors()
