"""What ONNX Runtime can run an encoder on: names behind `--engine onnx:`, and what each needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import UserError
from engines.spec import EncoderSpec, input_shapes

CPU = "cpu"
ENOUGH = 8  # hands that the TensorRT provider is prepared for
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")  # of the one module

Options = Callable[[EncoderSpec], dict[str, str]]


@dataclass(frozen=True)
class Provider:
    """One way of ONNX Runtime to run a graph.

    name: ONNX Runtime's own; package: the one whose build has it; systems: where there is such a
    build, as sys.platform begins; needs: what else has to be there.
    options: the provider's own; at_once: most hands in one run, None for any number; single:
    takes one run at a time.
    """

    name: str
    package: str
    systems: tuple[str, ...]
    needs: str
    options: Options = lambda spec: {}
    at_once: int | None = None
    single: bool = False


def cache_folder() -> Path:
    """Where the TensorRT provider keeps what it has built, which takes minutes."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("one-shot-gestures", appauthor=False)) / "tensorrt"


def _tensorrt(spec: EncoderSpec) -> dict[str, str]:
    """One engine for 1 to ENOUGH hands, fastest at 2, kept between starts."""
    profile = {
        f"trt_profile_{which}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, (hands, *shape)))}"
            for name, shape in input_shapes(spec).items()
        )
        for which, hands in (("min", 1), ("opt", 2), ("max", ENOUGH))
    }
    cache = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache_folder())}
    return profile | cache


PROVIDERS = {
    CPU: Provider("CPUExecutionProvider", "onnxruntime", ("linux", "darwin", "win32"), "a CPU"),
    "cuda": Provider(
        "CUDAExecutionProvider",
        "onnxruntime-gpu[cuda,cudnn]",
        ("linux", "win32"),
        "an NVIDIA GPU with its driver, CUDA and cuDNN",
        # By default it times all algorithms anew for every number of hands.
        lambda spec: {"cudnn_conv_algo_search": "HEURISTIC"},
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        "onnxruntime-gpu[cuda,cudnn]",
        ("linux", "win32"),
        "an NVIDIA GPU with its driver, CUDA, cuDNN and TensorRT 10",
        _tensorrt,
        at_once=ENOUGH,
    ),
    "coreml": Provider(
        "CoreMLExecutionProvider",
        "onnxruntime",
        ("darwin",),
        "macOS 12 or later",
        lambda spec: {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"},
    ),
    "directml": Provider(
        "DmlExecutionProvider",
        "onnxruntime-directml",
        ("win32",),
        "a GPU for DirectX 12 with its driver",
        single=True,
    ),
}


def known(name: str) -> Provider:
    """The provider of that name. Raises UserError where there is none."""
    if name not in PROVIDERS:
        raise UserError(
            f"ONNX Runtime's provider is one of {', '.join(PROVIDERS)}, as in --engine onnx:cuda; "
            f"got {name!r}."
        )
    return PROVIDERS[name]


def install(name: str) -> str:
    """The command that brings a provider. The packages share one module, so the others go."""
    return f'pip uninstall -y {" ".join(PACKAGES)} && pip install "{known(name).package}"'


def not_in_this_build(name: str, version: str, there: Sequence[str]) -> UserError:
    """version: of the ONNX Runtime here; there: the providers it has."""
    provider = known(name)
    if not sys.platform.startswith(provider.systems):
        return UserError(
            f"ONNX Runtime has no {name} provider for this system; here it has: "
            f"{', '.join(f'--engine onnx:{other}' for other in there)}"
        )
    return UserError(
        f"The ONNX Runtime {version} installed here has no {name} provider; it comes with "
        f"{provider.package.split('[')[0]}: {install(name)}"
    )


def unusable(name: str, why: str) -> UserError:
    return UserError(
        f"ONNX Runtime's {name} provider can't be used here ({why}); it needs "
        f"{known(name).needs}. For the CPU: --engine onnx"
    )
