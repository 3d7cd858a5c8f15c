"""The TensorRT packages there are, behind one seam: their Python API is one, their names differ.

The only file that imports tensorrt, tensorrt_lean and tensorrt_rtx, each when it is asked for.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from engines.errors import UserError, first_line, short_reason
from engines.tensorrt.gpu import driver_cuda

# Name on the command line → what people call it. The names are also what their packages begin
# with; a package ends with the CUDA release it was made for.
RUNTIMES = {
    "tensorrt": "TensorRT",
    "tensorrt-lean": "TensorRT's lean runtime",
    "tensorrt-rtx": "TensorRT for RTX",
}
BUILDERS = ("tensorrt", "tensorrt-rtx")  # the lean runtime only runs what the others build
CUDAS = ("13", "12")  # newest first


@dataclass(frozen=True)
class Installed:
    """A runtime as it is installed. cuda: "12" or "13"; None where its package doesn't say."""

    version: str
    cuda: str | None


def installed() -> dict[str, Installed]:
    """The runtimes installed in this environment, by name. Imports none of them."""
    found = {}
    for name in RUNTIMES:
        for package, cuda in [*((f"{name}-cu{cuda}", cuda) for cuda in CUDAS), (name, None)]:
            try:
                found[name] = Installed(importlib.metadata.version(package), cuda)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def pip_install(name: str, version: str | None = None, cuda: str | None = None) -> str:
    """The command that installs a runtime, for the driver's CUDA where none is named."""
    known = driver_cuda() or CUDAS[0]
    newest = next((each for each in CUDAS if int(each) <= int(known)), CUDAS[-1])
    return f"pip install {name}-cu{cuda or newest}" + (f"=={version}" if version else "")


def load(name: str) -> Any:
    """The runtime's module. Raises UserError where it isn't installed or can't be loaded."""
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
    except Exception as error:  # a library that is missing: ImportError, OSError, FileNotFoundError
        raise UserError(
            f"{RUNTIMES[name]} is installed but can't be loaded ({short_reason(error)}); install "
            f"it anew with: {pip_install(name)} --force-reinstall"
        ) from None
    raise UserError(f"A TensorRT runtime is one of {', '.join(RUNTIMES)}; got {name!r}.")


def started(kind: Any, log: Any, what: str) -> Any:
    """A module's Builder or Runtime, with an `error_log`; what: the runtime, as people call it.

    Raises UserError where it can't start. It is asked of the log, too: with a driver that is too
    old, some releases give an object that ends the program when it is touched.
    """
    log.errors.clear()
    try:
        made = kind(log)
    except Exception as error:  # TypeError, of a factory that gave nothing
        log.errors.append(str(error))
        made = None
    if made is None or log.errors:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))  # freeing it can end the program, too
        raise UserError(
            f"{what} can't start here ({first_error(log)}); it needs an NVIDIA driver for its CUDA "
            "release, or install it for the driver's. For the CPU: --engine onnx"
        )
    return made


def first_error(log: Any) -> str:
    """What went wrong since the log was cleared, in one short line; the first is the cause."""
    return first_line("\n".join(log.errors))


def error_log(trt: Any) -> Any:
    """A logger for any of a module's objects. errors: list of str, see `first_error`."""

    class Errors(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            worth = severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)
            if worth and len(self.errors) < 50:  # what is said over and over need not pile up
                self.errors.append(message)

    return Errors()
