"""Grey pictures of hands out of files of `run.py prepare`."""

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
from train.siamese.class_index import places
from train.siamese.pictures import Pictures

INNER = round(STORED_SIZE / MARGIN)  # px of the crop that the live program would cut
MANY = 2000  # pictures; with more, the wait is worth a bar


def load_hand_pictures(
    paths: Sequence[Path],
    size: int,
    only: Sequence[str] | None = None,
    without: Sequence[str] = (),
) -> Pictures:
    """The crops of prepared hands as the live program cuts them, grey, size × size by area.

    only, without: names of sets. labels "set/label", groups the set, subjects "set/subject", order
    the place in the class. Raises UserError as load_prepared does, and for a set that isn't there
    or where none is left.
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
    return Pictures(_grey(data, size), labels, data.sets, data.subjects, places(labels))


def _grey(data: Prepared, size: int) -> np.ndarray:
    edge = (STORED_SIZE - INNER) // 2

    def one(i: int) -> np.ndarray:
        inner = data.crop(i)[edge : edge + INNER, edge : edge + INNER]
        grey = cv2.cvtColor(np.ascontiguousarray(inner), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)

    images = np.empty((len(data), size, size), np.uint8)
    quiet = len(data) <= MANY or not console.is_terminal
    with ThreadPoolExecutor(4) as pool:
        decoded = pool.map(one, range(len(data)))
        bar = track(decoded, "hands", total=len(data), console=console, disable=quiet)
        for i, image in enumerate(bar):
            images[i] = image
    return images
