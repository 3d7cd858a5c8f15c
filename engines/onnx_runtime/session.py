"""Opens graphs in ONNX Runtime. The only file that imports onnxruntime.

ONNX Runtime goes on with its CPU provider where another can't be had, and says so in its log at
best. Whoever names a provider here gets it, or one sentence that says why not.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from pathlib import Path
from typing import Any

from engines.cpu import multiplies_8_bits
from engines.errors import UserError, short_reason
from engines.onnx_runtime.providers import (
    CPU,
    PROVIDERS,
    cache_folder,
    known,
    not_in_this_build,
    unusable,
)
from engines.spec import EncoderSpec

ERRORS, NOTHING = 3, 4  # least severity that ONNX Runtime writes to stderr


def runtime() -> Any:
    """The onnxruntime module. ModuleNotFoundError passes through."""
    # The wheels report usage to Microsoft from their import on, unless told so before.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(ERRORS)
    return onnxruntime


def available() -> tuple[str, ...]:
    """The providers that the installed build has. That they can be used here isn't said."""
    there = runtime().get_available_providers()
    return tuple(name for name, provider in PROVIDERS.items() if provider.name in there)


def cpu_session(graph: Path | bytes) -> Any:
    """A file, or its bytes, on the CPU. ONNX Runtime's own unrelated exceptions pass through."""
    module = runtime()
    options = _options(module)
    if not multiplies_8_bits():
        # On x86 without VNNI two 8-bit products are added in 16 bits, and overflow: encoders in 8
        # bits would be wrong. This is exact, and slower; it changes nothing on Arm.
        options.add_session_config_entry("session.x64quantprecision", "1")
    source = graph if isinstance(graph, bytes) else str(graph)
    return module.InferenceSession(
        source, options, providers=[PROVIDERS[CPU].name], enable_fallback=0
    )


def accelerated_session(path: Path, name: str, spec: EncoderSpec) -> Any:
    """The graph on another provider; nodes that it doesn't know run on the CPU.

    Raises UserError where the installed build hasn't got the provider, or it can't be used here.
    """
    module, provider = runtime(), known(name)
    if name not in available():
        raise not_in_this_build(name, module.__version__, available())
    options = _options(module)
    options.enable_mem_pattern = not provider.single  # DirectML doesn't support it
    chain = [name, *(("cuda",) if name == "tensorrt" else ()), CPU]
    if name in ("cuda", "tensorrt"):
        _load_libraries(module, name)
    module.set_default_logger_severity(NOTHING)  # what goes wrong is told below
    try:
        session = module.InferenceSession(
            str(path),
            options,
            providers=[(PROVIDERS[each].name, PROVIDERS[each].options(spec)) for each in chain],
            enable_fallback=0,  # else it prints to stdout, and goes on without the provider
        )
    except Exception as error:
        raise unusable(name, _missing_library(module, name) or reason(error)) from None
    finally:
        module.set_default_logger_severity(ERRORS)
    if provider.name not in session.get_providers():
        why = _missing_library(module, name) or "ONNX Runtime doesn't say why"
        raise unusable(name, why)
    return session


def reason(error: Exception) -> str:
    """The first line of what was said, without the place in ONNX Runtime's source."""
    return short_reason(error).split(" ; ")[0]  # then come GPU, host name, file and line


def _options(module: Any) -> Any:
    """One thread: MediaPipe runs beside it, and a few hands per frame don't repay more.

    Seen on two virtual cores of an AMD EPYC server, one of them busy with other work: a frame
    (hand found and embedded) takes 30 ms with one thread. With two it takes 57 ms, MediaPipe's
    part of it rising from 26 to 48, because ONNX Runtime's idle thread spins; and 30 ms again
    with spinning off.
    """
    options = module.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _load_libraries(module: Any, name: str) -> None:
    """Load what pip's packages hold of CUDA and TensorRT: ONNX Runtime doesn't look there."""
    if hasattr(module, "preload_dlls"):  # since 1.21
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it didn't find
            module.preload_dlls()
    if name == "tensorrt":
        from engines.tensorrt.runtimes import load

        with contextlib.suppress(UserError):
            load("tensorrt")
        with contextlib.suppress(OSError):
            cache_folder().mkdir(parents=True, exist_ok=True)


def _missing_library(module: Any, name: str) -> str | None:
    """What the system's loader says of the provider's library; None where it finds no fault."""
    prefix, suffix = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    file = f"{prefix}onnxruntime_providers_{name}{suffix}"
    path = Path(module.__file__).parent / "capi" / file
    if not path.is_file():
        return None
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return reason(error).replace(str(path), file)
    return None
