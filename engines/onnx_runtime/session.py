"""Opens graphs in ONNX Runtime. The only file that imports onnxruntime.

Where a provider fails, ONNX Runtime silently falls back to the CPU. The functions here don't: they
open the provider that was named, or raise an error that says why not.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

from engines.cpu import multiplies_8_bits
from engines.errors import UserError, short_reason
from engines.hand_networks import Shapes
from engines.onnx_runtime.providers import (
    CPU,
    PROVIDERS,
    cache_folder,
    get_provider,
    missing_error,
    unusable_error,
)

CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")  # what its messages begin with
FATAL = 4  # least severity that ONNX Runtime logs to stderr; its exceptions tell of the others


def load_onnxruntime() -> Any:
    """Import onnxruntime, with usage reports switched off. Raises ModuleNotFoundError."""
    # It has to be set before the import: the wheels report usage to Microsoft from then on.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(FATAL)
    return onnxruntime


def list_providers() -> tuple[str, ...]:
    """The providers that the installed build has; whether they work here is another question."""
    there = load_onnxruntime().get_available_providers()
    return tuple(name for name, provider in PROVIDERS.items() if provider.name in there)


def cpu_session(graph: Path | bytes) -> Any:
    """Open an ONNX file, or its bytes, on the CPU. ONNX Runtime's own exceptions pass through."""
    module = load_onnxruntime()
    options = _options(module)
    source = graph if isinstance(graph, bytes) else str(graph)
    return module.InferenceSession(
        source, options, providers=[PROVIDERS[CPU].name], enable_fallback=0
    )


def open_on_cpu(path: Path, remedy: str) -> Any:
    """As `cpu_session`, with one sentence for a file that can't be opened.

    Args:
        path: the ONNX file.
        remedy: a sentence that says what to do then.

    Raises:
        UserError: if the file is missing or damaged.
        ModuleNotFoundError: if onnxruntime isn't installed.
    """
    try:
        return cpu_session(path)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # onnxruntime raises its own unrelated types
        raise UserError(
            f"{path} can't be opened as an ONNX file ({reason(error)}). {remedy}"
        ) from None


def accelerated_session(path: Path, name: str, inputs: Shapes) -> Any:
    """Open an ONNX file on a provider; nodes that it doesn't support run on the CPU.

    Args:
        path: the ONNX file.
        name: a key of PROVIDERS.
        inputs: the network's, for the provider's options.

    Raises:
        UserError: if the installed build lacks the provider, or it can't be used here.
    """
    module, provider = load_onnxruntime(), get_provider(name)
    if name not in list_providers():
        raise missing_error(name, module.__version__, list_providers())
    options = _options(module)
    options.enable_mem_pattern = not provider.single  # DirectML doesn't support it
    chain = [name, *(("cuda",) if name == "tensorrt" else ()), CPU]
    if name in ("cuda", "tensorrt"):
        _load_libraries(module, name)
    try:
        session = module.InferenceSession(
            str(path),
            options,
            providers=[(PROVIDERS[each].name, PROVIDERS[each].options(inputs)) for each in chain],
            enable_fallback=0,  # else it prints to stdout and falls back to the CPU
        )
    except Exception as error:
        raise unusable_error(name, _missing_library(module, name) or reason(error)) from None
    if provider.name not in session.get_providers():
        why = _missing_library(module, name) or "ONNX Runtime doesn't say why"
        raise unusable_error(name, why)
    return session


def reason(error: Exception) -> str:
    """`short_reason` without what ONNX Runtime adds: a code; GPU, host name, source file, line."""
    return CODE.sub("", short_reason(error)).split(" ; ")[0]


def _options(module: Any) -> Any:
    """Session options: one thread, no spinning, exact sums of 8-bit products.

    MediaPipe runs beside it, and a few hands per frame gain nothing from more threads. Measured on
    two virtual cores of an AMD EPYC, one of them busy: a frame (hand found and embedded) takes
    30 ms with one thread and 57 ms with two, because ONNX Runtime's idle thread spins and slows
    MediaPipe down from 26 to 48 ms; with spinning off, two threads take 30 ms again.
    """
    options = module.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not multiplies_8_bits():
        # x86 without VNNI adds two 8-bit products in 16 bits, which overflows: quantised encoders
        # would give wrong embeddings. This is exact, but slower. It has no effect on Arm. Other
        # providers leave layers that they can't run to the CPU.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _load_libraries(module: Any, name: str) -> None:
    """Load the CUDA and TensorRT libraries of pip's packages, where ONNX Runtime doesn't look."""
    if hasattr(module, "preload_dlls"):  # since 1.21
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it doesn't find
            module.preload_dlls()
    if name == "tensorrt":
        # Unlike the CUDA provider, it has no option against rounding to TF32.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        from engines.tensorrt.runtimes import load

        with contextlib.suppress(UserError):
            load("tensorrt")
        with contextlib.suppress(OSError):
            cache_folder().mkdir(parents=True, exist_ok=True)


def _missing_library(module: Any, name: str) -> str | None:
    """Why the system can't load a provider's library; None where it can, or there is none."""
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
