"""Small files of the kinds that the Siamese readers read."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest


def picture(seed: int, width: int = 12, height: int = 14, suffix: str = ".png") -> bytes:
    """Some grey noise as a file."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    return encoded(image, suffix)


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def drawing(column: int, size: int = 105) -> bytes:
    """A black vertical stroke on white, as Omniglot's."""
    image = np.full((size, size), 255, np.uint8)
    image[:, column % size] = 0
    return encoded(image)


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def unpacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def real_data(name: str) -> Path:
    """A file of the real data sets; skips where they aren't there."""
    root = os.environ.get("GESTURES_DATA")
    if not root:
        pytest.skip("GESTURES_DATA doesn't name a folder with omniglot/, faces/, sign_mnist/ …")
    path = Path(root) / name
    if not path.exists():
        pytest.skip(f"GESTURES_DATA has no {name}")
    return path
