"""Reader for a folder of pictures per class, such as AT&T's faces (orl_faces/s5/1.pgm)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from engines.errors import UserError
from engines.say import warn
from realtime.names import enumerate_names, join_spellings
from train.siamese.files import Files, open_files
from train.siamese.pictures import Pictures

EXPECTED = "expected a folder of pictures for each class, as faces/anna/1.jpg"


def load_class_folders(path: Path, size: int, crop: float | None = None) -> Pictures:
    """Load a folder or .zip that holds a folder of pictures per class.

    Args:
        path: The folder or .zip.
        size: Width of the pictures, px; they are scaled by area averaging.
        crop: Side of a centred square to cut out, as a share of the shorter side (0 < crop ≤ 1);
            None squeezes the whole picture to a square.

    Returns:
        Grey pictures. Labels are the folders' names, groups and subjects are "", order is the
        position from 0 in the natural order of the file names (2 before 10). What doesn't fit is
        left out with a warning: pictures elsewhere than in the classes' folders, or that can't be
        read, and classes with fewer than two.

    Raises:
        UserError: The path is missing or no .zip, or nothing is left.
    """
    if crop is not None and not 0 < crop <= 1:
        raise UserError(f"The crop is {crop}: expected a share of the shorter side, such as 0.8.")
    with open_files(path) as files:
        classes = _list_classes(files)
        read = {name: _read(files, names, size, crop) for name, names in classes.items()}
    few = [name for name, pictures in read.items() if len(pictures) < 2]
    if few:
        warn(
            f"{len(few)} of {len(read)} classes in {path} have fewer than two pictures, which a "
            f"pair takes, and are left out: {enumerate_names(few)}."
        )
    kept = {name: pictures for name, pictures in read.items() if len(pictures) > 1}
    if not kept:
        raise UserError(f"{path} holds no class with two pictures: {EXPECTED}.")
    labels = np.repeat(np.array(list(kept)), [len(pictures) for pictures in kept.values()])
    nothing = np.full(len(labels), "")
    order = np.array([place for pictures in kept.values() for place in pictures])
    images = np.stack([image for pictures in kept.values() for image in pictures.values()])
    return Pictures(images, labels, nothing, nothing, order)


def _read(files: Files, names: list[str], size: int, crop: float | None) -> dict[int, np.ndarray]:
    """Read a class's pictures: position → uint8 (size, size). Warns of what can't be read."""
    read = {}
    for position, name in enumerate(names):
        try:
            read[position] = crop_square(files.grey(name), size, crop)
        except UserError as error:
            warn(f"{error} It is left out.")
    return read


def crop_square(grey: np.ndarray, size: int, crop: float | None = None) -> np.ndarray:
    """Cut and scale uint8 (H, W) to uint8 (size, size); `crop` as in `load_class_folders`."""
    if crop is not None:
        height, width = grey.shape
        side = max(1, round(crop * min(height, width)))
        top, left = (height - side) // 2, (width - side) // 2
        grey = grey[top : top + side, left : left + side]
    return cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names by the value of the numbers in them."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in pieces]


def _list_classes(files: Files) -> dict[str, list[str]]:
    """Return each class's pictures, classes and pictures in natural order."""
    pictures = sorted(files.pictures(), key=natural_key)
    if not pictures:
        raise UserError(f"{files.path} holds no pictures: {EXPECTED}.")
    found: dict[PurePosixPath, list[str]] = {}
    for name in pictures:
        found.setdefault(PurePosixPath(name).parent, []).append(name)
    sizes: Counter[PurePosixPath] = Counter()
    for folder, names in found.items():
        if folder.name:  # the pictures of the path itself are of no class
            sizes[folder.parent] += len(names)
    if not sizes:
        raise UserError(
            f"{files.path} has its pictures beside folders (for instance {pictures[0]}): "
            f"{EXPECTED}. Name the folder that holds the classes."
        )
    home = sizes.most_common(1)[0][0]
    folders = [folder for folder in found if folder.name and folder.parent == home]
    strays = [name for folder, names in found.items() if folder not in folders for name in names]
    if strays:
        warn(
            f"{len(strays)} of {len(pictures)} pictures in {files.path} lie elsewhere than in the "
            f"folders of {files.path / home} and are left out: {enumerate_names(strays)}."
        )
    there = [PurePosixPath(name) for name in files.folders]
    empty = [each.name for each in there if each.parent == home and each not in found]
    if empty:
        count = len(folders) + len(empty)
        warn(
            f"{len(empty)} of {count} classes in {files.path} hold no pictures and are left out: "
            f"{enumerate_names(empty)}."
        )
    labels = join_spellings([folder.name for folder in folders], "class")
    classes: dict[str, list[str]] = {}
    for label, folder in zip(labels, folders, strict=True):
        classes.setdefault(label, []).extend(found[folder])
    return classes
