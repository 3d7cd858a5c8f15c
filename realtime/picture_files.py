"""Pictures on disk: read, written whole or not at all, listed in a steady order."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.files import explain_errors, write_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def read_picture(path: str | Path) -> np.ndarray:
    """A picture file → uint8 (H, W, 3) BGR, turned upright as its EXIF tag says.

    Raises UserError for a missing, unreadable or empty file, and for one that is no picture or
    breaks off before its end.
    """
    path = Path(path)
    with explain_errors(f"{path} can't be read as a picture"):
        try:
            # Bytes first: cv2.imread can't open every Unicode path on Windows.
            data = np.fromfile(path, np.uint8)
        except FileNotFoundError:
            raise UserError(f"There is no picture {path}: check the path.") from None
    quiet_opencv()
    if data.size == 0:
        raise UserError(f"{path} is an empty file, not a picture: delete it or save it again.")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:  # for instance more pixels than OpenCV is willing to decode
        image = None
    if image is None:
        raise UserError(
            f"{path} can't be read as a picture (expected a whole {_kinds()} file): "
            "it is damaged or something else. Delete it or save it again."
        )
    return image


def write_picture(path: str | Path, image: np.ndarray) -> None:
    """Write image, uint8 (H, W, 3) BGR or (H, W) grey, in the format that the suffix names.

    Whoever looks at `path` meanwhile sees the old file or the whole new one. The folder must
    exist. Raises UserError for a suffix that names no picture format; OSError (disk full, no
    permission) passes through and leaves no half-written file behind.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} can't be written: expected a name that ends in {_kinds()}.")
    encoded, data = cv2.imencode(path.suffix.lower(), image)
    if not encoded:
        raise OSError(f"{path} could not be encoded")
    write_file(path, data.tobytes())


def list_pictures(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The pictures in a folder (and below it, if recursive) by suffix, sorted by path.

    Hidden files are left out: macOS puts "._name.jpg" companions beside pictures on foreign
    disks. Raises UserError when `folder` is not a folder that can be listed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: expected a folder with {_kinds()} pictures.")
    with explain_errors(f"The folder {folder} can't be listed"):
        entries = list(folder.rglob("*") if recursive else folder.iterdir())
    return sorted(path for path in entries if is_picture(path) and path.is_file())


def is_picture(path: Path) -> bool:
    """Whether the name is a picture's, in any letter case. The file is not looked at."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg off stderr: the program says itself what went wrong.

    Variables that are already set are left alone.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read at FFmpeg's first use


def _kinds() -> str:
    return ", ".join(suffix[1:] for suffix in SUFFIXES[:-1]) + f" or {SUFFIXES[-1][1:]}"
