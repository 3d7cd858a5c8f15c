"""Files of features, and the hashes in their names that bind them to pictures and network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from engines.errors import UserError
from engines.files import explain_errors, replace_file
from train.backbone.backbone import Backbone
from train.pictures.prepared import Prepared

CHUNK = 4096  # rows read at once
VERSION = 2  # increase it when TAPS or the drawing change


def load_or_compute(
    path: Path, shape: tuple[int, int], compute: Callable[[], Iterator[np.ndarray]]
) -> np.ndarray:
    """Load the array of a file; compute and store it first if the file doesn't exist.

    Args:
        path: The .npy file.
        shape: What the array has to have.
        compute: Yields its rows, part by part.

    Returns:
        float16 of that shape, mapped from the file.

    Raises:
        UserError: The file is damaged or can't be written.
    """
    if not path.is_file():
        save_whole(path, lambda file: np.save(file, np.concatenate(list(compute()))))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise damage_error(path) from None
    whole = array.shape == shape and all(
        np.isfinite(array[start : start + CHUNK]).all() for start in range(0, len(array), CHUNK)
    )
    if not whole:
        raise damage_error(path)
    return array


def damage_error(path: Path) -> UserError:
    return UserError(f"{path} is damaged: delete it, and the same command makes it again.")


def save_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file of features, whole or not at all. Raises UserError."""
    remedy = (
        "Features take about 12 kB per picture, view and side: make room, or name another folder "
        "with --features."
    )
    with explain_errors(f"{path} can't be written", remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            write(file)


def digest(data: Prepared, backbone: Backbone) -> str:
    """Hash the data and the backbone that an encoder depends on, 16 hex digits."""
    names = (data.sets, data.subjects, data.labels)
    pictures = (data.webp, data.angles)
    return hash_of(*pictures, *names, hash_weights(backbone))


def hash_weights(network: torch.nn.Module) -> str:
    """Hash a network's weights and buffers, 16 hex digits."""
    state = network.state_dict()
    return hash_of(*(state[name].cpu().numpy() for name in sorted(state)))


def hash_of(*parts: object) -> str:
    """Hash arrays by their bytes, other values by their text, and VERSION: 16 hex digits."""
    total = hashlib.sha256(str(VERSION).encode())
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        total.update(np.ascontiguousarray(part).tobytes() if is_array else str(part).encode())
    return total.hexdigest()[:16]
