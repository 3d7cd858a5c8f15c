"""ONNX Runtime's providers: the names behind `--engine onnx:`, and what each needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import files
from engines.errors import UserError
from engines.hand_networks import Shapes

CPU = "cpu"
MOST_HANDS = 8  # in one run of the TensorRT provider, whose engine is built for a range
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")  # all bring onnxruntime

Options = Callable[[Shapes], dict[str, str]]


@dataclass(frozen=True)
class Provider:
    """One of ONNX Runtime's execution providers.

    Attributes:
        name: ONNX Runtime's name for it.
        package: the package whose build has it.
        systems: the systems with such a build, as `sys.platform` begins.
        needs: what else has to be on the machine, for people.
        options: the options to pass for a network with these inputs.
        most_hands: the largest batch of one run; None for any number.
        single: whether only one run at a time is allowed.
    """

    name: str
    package: str
    systems: tuple[str, ...]
    needs: str
    options: Options = lambda inputs: {}
    most_hands: int | None = None
    single: bool = False


def cache_folder() -> Path:
    """Where the TensorRT provider keeps its engines, which take minutes to build."""
    return files.cache_folder() / "tensorrt"


def _tensorrt_options(inputs: Shapes) -> dict[str, str]:
    """One engine for 1 to MOST_HANDS hands, fastest at 2, cached between starts."""
    profile = {
        f"trt_profile_{which}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, (hands, *shape)))}" for name, shape in inputs.items()
        )
        for which, hands in (("min", 1), ("opt", 2), ("max", MOST_HANDS))
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
        # By default it times all algorithms again for each number of hands, and rounds products to
        # TF32, which moves landmarks by up to 0.16 % of the crop's width (seen on an H100).
        lambda inputs: {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        "onnxruntime-gpu[cuda,cudnn]",
        ("linux", "win32"),
        "an NVIDIA GPU with its driver, CUDA, cuDNN and TensorRT 10",
        _tensorrt_options,
        most_hands=MOST_HANDS,
    ),
    "coreml": Provider(
        "CoreMLExecutionProvider",
        "onnxruntime",
        ("darwin",),
        "macOS 12 or later",
        lambda inputs: {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"},
    ),
    "directml": Provider(
        "DmlExecutionProvider",
        "onnxruntime-directml",
        ("win32",),
        "a GPU for DirectX 12 with its driver",
        single=True,
    ),
}


def get_provider(name: str) -> Provider:
    """The provider of a name, such as "cuda". Raises UserError where there is none."""
    if name not in PROVIDERS:
        raise UserError(
            f"ONNX Runtime's provider is one of {', '.join(PROVIDERS)}, as in --engine onnx:cuda; "
            f"got {name!r}."
        )
    return PROVIDERS[name]


def install_command(name: str) -> str:
    """The command that installs a provider; it removes the other packages of the same module."""
    return f'pip uninstall -y {" ".join(PACKAGES)} && pip install "{get_provider(name).package}"'


def missing_error(name: str, version: str, there: Sequence[str]) -> UserError:
    """The error for a provider that the installed build lacks.

    Args:
        name: the provider's.
        version: of the installed ONNX Runtime.
        there: names of the providers that it has.
    """
    provider = get_provider(name)
    if not sys.platform.startswith(provider.systems):
        return UserError(
            f"ONNX Runtime has no {name} provider for this system; here it has: "
            f"{', '.join(f'--engine onnx:{other}' for other in there)}"
        )
    return UserError(
        f"The ONNX Runtime {version} installed here has no {name} provider; it comes with "
        f"{provider.package.split('[')[0]}: {install_command(name)}"
    )


def unusable_error(name: str, why: str) -> UserError:
    """The error for a provider that the build has but that doesn't work on this machine."""
    return UserError(
        f"ONNX Runtime's {name} provider can't be used here ({why}); it needs "
        f"{get_provider(name).needs}. For the CPU: --engine onnx"
    )
