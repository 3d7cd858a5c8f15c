"""Reader for a folder of pictures per class, such as AT&T's faces (orl_faces/s5/1.pgm)."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from engines.errors import UserError
from train.siamese.files import Files, open_files
from train.siamese.pictures import Pictures


def load_class_folders(path: Path, size: int, crop: float | None = None) -> Pictures:
    """Load a folder or .zip that holds a folder of pictures per class.

    Args:
        path: The folder or .zip.
        size: Width of the pictures, px; they are scaled by area averaging.
        crop: Side of a centred square to cut out, as a share of the shorter side (0 < crop ≤ 1);
            None squeezes the whole picture to a square.

    Returns:
        Grey pictures. Labels are the folders' names, groups and subjects are "", order is the
        position from 0 in the natural order of the file names (2 before 10).

    Raises:
        UserError: The path is missing or no .zip, holds no pictures, or has pictures at several
            depths; a class has fewer than two pictures; or a picture can't be read.
    """
    if crop is not None and not 0 < crop <= 1:
        raise UserError(f"The crop is {crop}: expected a share of the shorter side, such as 0.8.")
    with open_files(path) as files:
        classes = _list_classes(files)
        names = [name for pictures in classes.values() for name in pictures]
        images = [crop_square(files.grey(name), size, crop) for name in names]
    counts = [len(pictures) for pictures in classes.values()]
    labels = np.repeat(np.array(list(classes)), counts)
    nothing = np.full(len(labels), "")
    order = np.concatenate([np.arange(count) for count in counts])
    return Pictures(np.stack(images), labels, nothing, nothing, order)


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
    expected = "expected a folder of pictures for each class, as faces/anna/1.jpg"
    if not pictures:
        raise UserError(f"{files.path} holds no pictures: {expected}.")
    found: dict[PurePosixPath, list[str]] = {}
    for name in pictures:
        found.setdefault(PurePosixPath(name).parent, []).append(name)
    homes = sorted({str(folder.parent) for folder in found})
    if len(homes) > 1 or PurePosixPath(".") in found:
        raise UserError(
            f"{files.path} has its pictures at several depths or beside the folders (for instance "
            f"{pictures[0]}): {expected}. Name the folder that holds the classes."
        )
    for folder in map(PurePosixPath, files.folders):
        if str(folder.parent) == homes[0] and folder not in found:
            raise UserError(
                f"The class {folder.name} in {files.path} holds no pictures: add two or more, or "
                "delete its folder."
            )
    for folder, names in found.items():
        if len(names) < 2:
            raise UserError(
                f"The class {folder.name} in {files.path} has one picture, {names[0]}: at least "
                "two are needed to form a pair. Add one, or delete its folder."
            )
    return {folder.name: names for folder, names in found.items()}
