"""Reader for grey pictures of hands from files of `run.py prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from engines.errors import UserError
from engines.say import console
from train.pictures.prepared import MARGIN, STORED_SIZE, Prepared, load_prepared
from train.siamese.class_index import rank_within_class
from train.siamese.pictures import Pictures

CROP_SIZE = round(STORED_SIZE / MARGIN)  # px: the live loop's crop, without the margin
PROGRESS_FROM = 2000  # pictures: fewer are loaded too quickly for a progress bar


def load_hand_pictures(
    paths: Sequence[Path],
    size: int,
    only: Sequence[str] | None = None,
    without: Sequence[str] = (),
) -> Pictures:
    """Load the crops of prepared hands as the live loop cuts them.

    Args:
        paths: Files of `run.py prepare`.
        size: Width of the pictures, px; they are scaled by area averaging.
        only: Names of sets to use; None uses all.
        without: Names of sets to leave out.

    Returns:
        Grey pictures. Labels are "set/label", groups the sets, subjects "set/subject", order is
        the position within the class.

    Raises:
        UserError: A file can't be used (see `load_prepared`), a set doesn't exist, or none is left.
    """
    data = load_prepared(paths)
    names = np.unique(data.sets).tolist()
    unknown = [name for name in (*(only or ()), *without) if name not in names]
    if unknown:
        raise UserError(f"There is no set {unknown[0]} in the data: it has {', '.join(names)}.")
    kept = [name for name in only or names if name not in without]
    if not kept:
        raise UserError(f"No set is left: all of {', '.join(names)} are left out. Keep one.")
    data = data.where(np.isin(data.sets, kept))
    labels = np.char.add(np.char.add(data.sets, "/"), data.labels)
    order = rank_within_class(labels)
    return Pictures(_decode_grey(data, size), labels, data.sets, data.subjects, order)


def _decode_grey(data: Prepared, size: int) -> np.ndarray:
    """Decode all crops without their margin: uint8 (N, size, size) grey."""
    edge = (STORED_SIZE - CROP_SIZE) // 2

    def decode(i: int) -> np.ndarray:
        inner = data.crop(i)[edge : edge + CROP_SIZE, edge : edge + CROP_SIZE]
        grey = cv2.cvtColor(np.ascontiguousarray(inner), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)

    images = np.empty((len(data), size, size), np.uint8)
    quiet = len(data) <= PROGRESS_FROM or not console.is_terminal
    with ThreadPoolExecutor(4) as pool:
        decoded = pool.map(decode, range(len(data)))
        bar = track(decoded, "hands", total=len(data), console=console, disable=quiet)
        for i, image in enumerate(bar):
            images[i] = image
    return images
