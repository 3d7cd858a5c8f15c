"""The Encoder protocol, and which file and which engine a name on the command line stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from engines.errors import UserError
from engines.say import warn
from engines.spec import EncoderSpec

MODELS = Path(__file__).resolve().parent.parent / "models"

# "default" names the best encoder shipped; the untrained geometry stays as the baseline.
ENCODERS = {"default": MODELS / "default.onnx", "landmarks": MODELS / "landmarks.onnx"}


ENGINES = "auto, onnx, onnx:cuda and the like, FILE.plan or triton://HOST:PORT/MODEL"


class Encoder(Protocol):
    """Crops and landmarks of N hands → embeddings. engine: what runs it, as people call it."""

    spec: EncoderSpec
    fingerprint: str
    engine: str

    def encode(
        self, crops: np.ndarray, landmarks: np.ndarray, world_landmarks: np.ndarray
    ) -> np.ndarray:
        """uint8 (N, S, S, 3) RGB, float32 (N, 21, 3) twice → float32 (N, D); see `preprocess`."""
        ...

    def close(self) -> None: ...


def encoder_path(name: str) -> Path:
    """The ONNX file that `--encoder NAME` means. Raises UserError where there is none."""
    path = ENCODERS.get(name, Path(name))
    if not path.is_file():
        raise UserError(
            f"No encoder at {path}: --encoder takes {' or '.join(ENCODERS)}, or an ONNX file "
            "made by this project."
        )
    return path


def open_encoder(name: str = "default", engine: str = "auto") -> Encoder:
    """Open `--encoder NAME` in `--engine ENGINE`. Raises UserError.

    Only "auto", a plan beside the encoder's ONNX file where it runs, else ONNX Runtime, takes
    another engine than the one it names.
    """
    path = encoder_path(name)
    if engine == "auto":
        return _plan_beside(path) or _onnx(path)
    if engine == "onnx" or engine.startswith("onnx:"):
        return _onnx(path, engine.partition(":")[2] or "cpu")
    if engine.endswith(".plan"):
        from engines.tensorrt.encoder import open_plan

        return open_plan(Path(engine), _onnx(path).fingerprint)
    if engine.startswith("triton://"):
        from engines.triton.encoder import open_triton

        return open_triton(engine, _onnx(path).fingerprint)
    hint = " An ONNX file goes with --encoder." if engine.endswith(".onnx") else ""
    raise UserError(f"--engine takes {ENGINES}; got {engine!r}.{hint}")


def _onnx(path: Path, provider: str = "cpu") -> Encoder:
    from engines.onnx_runtime.encoder import OnnxEncoder

    return OnnxEncoder(path, provider)


def _plan_beside(path: Path) -> Encoder | None:
    """The encoder on the plan that lies beside its file; None where there is none that runs."""
    plan = path.with_suffix(".plan")
    if not plan.is_file():
        return None
    from engines.tensorrt.encoder import open_plan

    try:
        return open_plan(plan, _onnx(path).fingerprint)
    except UserError as error:
        warn(f"{error} The encoder runs on ONNX Runtime instead.")
        return None
