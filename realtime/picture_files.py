"""Read, write and list picture files."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.files import explain_errors, write_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def read_picture(path: str | Path) -> np.ndarray:
    """Read a picture as uint8 (H, W, 3) BGR, turned upright as its EXIF tag says.

    Raises:
        UserError: The file is missing, unreadable, empty, incomplete or no picture.
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
    except cv2.error:  # for instance, more pixels than OpenCV accepts
        image = None
    if image is None:
        raise UserError(
            f"{path} can't be read as a picture (expected a whole {_kinds()} file): "
            "it is damaged or something else. Save the picture again; videos go to --camera."
        )
    return image


def write_picture(path: str | Path, image: np.ndarray) -> None:
    """Write a picture atomically, in the format of the suffix.

    Args:
        path: The file; its folder must exist.
        image: uint8 (H, W, 3) BGR or (H, W) grey.

    Raises:
        UserError: The suffix is that of no picture format.
        OSError: The file can't be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} can't be written: expected a name that ends in {_kinds()}.")
    encoded, data = cv2.imencode(path.suffix.lower(), image)
    if not encoded:
        raise OSError(f"{path} could not be encoded")
    write_file(path, data.tobytes())


def list_pictures(folder: str | Path, recursive: bool = False) -> list[Path]:
    """List the pictures in a folder, and below it if `recursive`, sorted by path.

    Pictures are known by their suffixes. Hidden files are left out: macOS puts "._name.jpg"
    companions beside pictures on foreign disks.

    Raises:
        UserError: `folder` is no folder or can't be listed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: expected a folder with {_kinds()} pictures.")
    with explain_errors(f"The folder {folder} can't be listed"):
        entries = list(folder.rglob("*") if recursive else folder.iterdir())
    return sorted(path for path in entries if is_picture(path) and path.is_file())


def is_picture(path: Path) -> bool:
    """Whether the name is a picture's, in any case; the file isn't read."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr, unless the environment asks for it."""
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg reads it at its first use


def _kinds() -> str:
    return ", ".join(suffix[1:] for suffix in SUFFIXES[:-1]) + f" or {SUFFIXES[-1][1:]}"
