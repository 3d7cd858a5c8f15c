"""Read any checkpoint of `run.py train`: this project's encoder or a Siamese network."""

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
    """Load a network.

    Returns:
        The network in single precision and evaluation mode, and `about` of `save_checkpoint`.

    Raises:
        UserError: The file is missing or no checkpoint of this project.
    """
    return read_checkpoint(path, KINDS)
