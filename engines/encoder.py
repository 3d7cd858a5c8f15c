"""The Encoder protocol, and which file and which engine a name on the command line stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from engines.errors import UserError
from engines.hand_networks import (
    HAND,
    PALM,
    HandNetwork,
    HandOutputs,
    PalmNetwork,
    find_palm_plan,
)
from engines.say import warn, warn_once
from engines.spec import EncoderInputs, EncoderSpec
from engines.text.addresses import public_address

MODELS = Path(__file__).resolve().parent.parent / "models"

# "default" is the best encoder shipped; "landmarks" is the untrained baseline.
ENCODERS = {"default": MODELS / "default.onnx", "landmarks": MODELS / "landmarks.onnx"}
PALM_FILE, HAND_FILE = (MODELS / f"{spec.role}.onnx" for spec in (PALM, HAND))
ENGINES = "auto, onnx, onnx:cuda and the like, FILE.plan or triton://HOST:PORT/MODEL"


class Encoder(Protocol):
    """Embeds hands. Threads may share one encoder.

    Attributes:
        spec: what the encoder takes and gives.
        fingerprint: SHA-256 (hex) of its spec and weights.
        engine: what runs it, for people: "ONNX Runtime, cpu".
        engine_name: what `--engine` calls that: "onnx:cpu".
    """

    spec: EncoderSpec
    fingerprint: str
    engine: str
    engine_name: str

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        """Embed N hands. Only the arrays that the spec names as inputs are read.

        Returns:
            Embeddings, float32 (N, D).

        Raises:
            UserError: if an input has another shape or type, or the engine fails.
        """
        ...

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        """Find landmarks, presence and side of N hands, and embed them, in one pass.

        Only one-pass encoders can. The arrays are those of `EncoderInputs`. Raises UserError.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds. Closing again does nothing."""
        ...


def encoder_path(name: str) -> Path:
    """The ONNX file that `--encoder NAME` means. Raises UserError where there is none."""
    path = ENCODERS.get(name, Path(name))
    if not path.is_file():
        raise UserError(
            f"No encoder at {path}: --encoder takes {' or '.join(ENCODERS)}, or an ONNX file "
            "made by this project."
        )
    return path


def engine_kind(engine: str) -> tuple[str, str]:
    """What an engine's name stands for.

    Returns:
        Its kind and what it names: ("auto", ""), ("onnx", a provider), ("plan", a file),
        ("triton", an address), ("encoder", an ONNX file), or ("", the name) for anything else.
    """
    first, _, provider = engine.partition(":")
    if engine == "auto":
        return "auto", ""
    if first == "onnx":
        return "onnx", provider or "cpu"
    if engine.startswith("triton://"):
        return "triton", engine
    for suffix, kind in ((".plan", "plan"), (".onnx", "encoder")):
        if engine.endswith(suffix):
            return kind, engine
    return "", engine


def open_encoder(name: str = "default", engine: str = "auto") -> Encoder:
    """Open an encoder in an engine.

    Args:
        name: what `--encoder` takes: a key of ENCODERS or an ONNX file.
        engine: what `--engine` takes, see ENGINES. "auto" is the plan beside the ONNX file where
            there is one that runs here, else ONNX Runtime. Any other name gets that engine or an
            error, never another engine.

    Raises:
        UserError: if there is no such encoder or engine, or it can't be used here.
    """
    path = encoder_path(name)
    kind, value = engine_kind(engine)
    if kind == "auto":
        encoder = _open_onnx(path)
        return _open_plan_beside(path, encoder.fingerprint) or encoder
    if kind == "onnx":
        return _open_onnx(path, value)
    if kind == "plan":
        from engines.tensorrt.encoder import open_plan

        return open_plan(Path(value), _open_onnx(path).fingerprint)
    if kind == "triton":
        from engines.triton.encoder import open_triton

        return open_triton(value, _open_onnx(path).fingerprint)
    hint = " An ONNX file goes with --encoder." if kind == "encoder" else ""
    raise UserError(f"--engine takes {ENGINES}; got {public_address(engine)!r}.{hint}")


def _open_onnx(path: Path, provider: str = "cpu") -> Encoder:
    from engines.onnx_runtime.encoder import OnnxEncoder

    return OnnxEncoder(path, provider)


def _open_plan_beside(path: Path, fingerprint: str) -> Encoder | None:
    """The plan beside an encoder's ONNX file, opened; None where there is none that runs here."""
    plan = path.with_suffix(".plan")
    if not plan.is_file():
        return None
    from engines.tensorrt.encoder import open_plan

    try:
        return open_plan(plan, fingerprint)
    except UserError as error:
        warn(f"{error} The encoder runs on ONNX Runtime instead.")
        return None


def open_hand_networks(encoder: Encoder | None) -> tuple[PalmNetwork, HandNetwork]:
    """Open the networks that find hands for an encoder.

    A one-pass encoder is its own hand network. The palm network runs on the same provider of ONNX
    Runtime, or as the plan beside the encoder's plan; without that plan, and beside a model on
    Triton, on ONNX Runtime's CPU. Other encoders have both networks on ONNX Runtime, on their
    provider or on the CPU.

    Args:
        encoder: what the hands are found for; None for any.

    Returns:
        The palm network, for the caller to close, and the hand network.

    Raises:
        UserError: if a network's file is missing or damaged, or can't run on the provider.
    """
    from engines.onnx_runtime.network import OnnxHandNetwork, OnnxNetwork

    kind, value = engine_kind(encoder.engine_name if encoder else "onnx")
    provider = value if kind == "onnx" else "cpu"
    if encoder is None or not encoder.spec.one_pass:
        return OnnxNetwork(PALM_FILE, PALM, provider), OnnxHandNetwork(HAND_FILE, provider)
    palm = OnnxNetwork(PALM_FILE, PALM, provider)
    plan = _open_palm_plan(find_palm_plan(Path(value))) if kind == "plan" else None
    return plan or palm, encoder


def _open_palm_plan(plan: Path) -> PalmNetwork | None:
    """The palm network's plan, opened; None where it doesn't run here."""
    from engines.tensorrt.encoder import open_palm_plan

    try:
        return open_palm_plan(plan, PALM_FILE)
    except UserError as error:
        warn_once(f"{error} The palm network runs on ONNX Runtime's CPU instead.")
        return None
