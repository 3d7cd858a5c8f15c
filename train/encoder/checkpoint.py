"""Read any checkpoint that `train` leaves: this project's own encoder or a Siamese network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.encoder.model import GestureEncoder, ModelConfig
from train.runs.checkpoint import Kinds, read_checkpoint
from train.siamese.networks import KINDS as SIAMESE_KINDS
from train.siamese.networks import SiameseNetwork

KINDS: Kinds = {
    GestureEncoder.kind: lambda config: GestureEncoder(ModelConfig.from_dict(config)),
    **SIAMESE_KINDS,
}


def load_checkpoint(path: Path) -> tuple[GestureEncoder | SiameseNetwork, dict[str, Any]]:
    """→ the model in single precision, ready to encode, and what was said about it.

    Raises UserError where the file is no checkpoint of this project.
    """
    return read_checkpoint(path, KINDS)
