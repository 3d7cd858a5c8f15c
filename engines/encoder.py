"""The Encoder protocol, and which file and which engine a name on the command line stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.errors import UserError
from engines.spec import EncoderSpec

MODELS = Path(__file__).resolve().parent.parent / "models"

# "default" names the best encoder shipped; the untrained geometry stays as the baseline.
ENCODERS = {"default": MODELS / "default.onnx", "landmarks": MODELS / "landmarks.onnx"}


class Encoder(Protocol):
    """Crops and landmarks of N hands → embeddings."""

    spec: EncoderSpec
    fingerprint: str

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


def _onnx(path: Path) -> Encoder:
    from engines.onnx_encoder import OnnxEncoder

    return OnnxEncoder(path)


ENGINES: dict[str, Callable[[Path], Encoder]] = {"auto": _onnx, "onnx": _onnx}


def open_encoder(name: str = "default", engine: str = "auto") -> Encoder:
    """Open `--encoder NAME` in `--engine ENGINE`. Raises UserError."""
    if engine not in ENGINES:
        raise UserError(f"--engine takes {', '.join(ENGINES)}; got {engine!r}.")
    return ENGINES[engine](encoder_path(name))
