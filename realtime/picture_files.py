"""Read and write picture files. The only place where a picture of others is decoded."""

from __future__ import annotations

import io
import os
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError, short_reason
from engines.files import explain_errors, write_file
from realtime.picture_header import HEAD, claims_too_much, format_of, size_of, turned
from realtime.quiet import silence_native_stderr

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # that pictures are written with
MOST_SIDE = 2048  # px; a hand that is found in a larger picture is still wider than its crop
MOST_PIXELS = 1 << 28  # more are refused: decoding them takes gigabytes
LARGE = 1 << 24  # pixels; larger pictures are decoded one at a time
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A picture as it is looked at.

    Attributes:
        image: uint8 (H, W, 3) BGR, or (H, W) grey; upright, MOST_SIDE wide and high at most.
        scale: Pixels of the file along one pixel of the image, 1 or more.
    """

    image: np.ndarray
    scale: float


def read_picture(path: str | Path) -> np.ndarray:
    """The image of `load_picture`, uint8 (H, W, 3) BGR."""
    return load_picture(path).image


def load_picture(path: str | Path) -> Picture:
    """Read a picture in colour, scaled down if it is large, turned upright as its tags say.

    Raises:
        UserError: The file is missing, unreadable, empty, incomplete, too large or no picture.
    """
    path = Path(path)
    with explain_errors(f"{path} can't be read as a picture"):
        try:
            data = path.read_bytes()  # cv2.imread can't open every Unicode path on Windows
        except FileNotFoundError:
            raise UserError(f"There is no picture {path}: check the path.") from None
        except ValueError as error:  # a null character in the name
            raise UserError(f"{path} can't be read as a picture ({error}).") from None
    return decode(data, str(path))


def decode(data: bytes, name: str, grey: bool = False) -> Picture:
    """Decode a picture file's bytes, as `load_picture` does.

    Args:
        data: The file.
        name: What to call it in errors.
        grey: Whether to decode to grey.

    Raises:
        UserError: They are no whole picture, or too large a one.
    """
    if not data:
        raise UserError(f"{name} is an empty file, not a picture: delete it or save it again.")
    size = size_of(data)
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        raise UserError(
            f"{name} has {size[0]} × {size[1]} pixels, and at most {MOST_PIXELS / 1e6:.0f} million "
            "are read: save it smaller."
        )
    large = size is None or size[0] * size[1] > LARGE
    kind = format_of(data[:HEAD])
    with _one_at_a_time if large else nullcontext():
        image = _decode_heic(data, name, grey) if kind == "HEIC" else _decode(data, size, grey)
        if image is None:
            raise UserError(
                f"{name} can't be read as a picture (expected a whole jpg, png or other picture "
                "file): it is damaged or something else. Save the picture again; videos go to "
                "--camera."
            )
        longest = max(size if kind == "JPEG" and size else image.shape[:2])
        image = shrink(image, MOST_SIDE)
        return Picture(image, longest / max(image.shape[:2]))


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Scale an image down, by area averaging, to at most `side` pixels wide and high."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def write_picture(path: str | Path, image: np.ndarray) -> None:
    """Write a picture atomically, in the format of the suffix.

    Args:
        path: The file; its folder must exist.
        image: uint8 (H, W, 3) BGR or (H, W) grey.

    Raises:
        UserError: The suffix isn't one of SUFFIXES.
        OSError: The file can't be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES[:-1])
        raise UserError(
            f"{path} can't be written: expected a name that ends in {kinds} or {SUFFIXES[-1][1:]}."
        )
    encoded, data = cv2.imencode(path.suffix.lower(), image)
    if not encoded:
        raise OSError(f"{path} could not be encoded")
    write_file(path, data.tobytes())


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr, unless the environment asks for it."""
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg reads it at its first use


def reads_heic() -> bool:
    """Whether the package that reads HEIC is here and works."""
    try:
        import pi_heif  # noqa: F401
    except ImportError:
        return False
    return True


def decode_quietly(data: bytes, flags: int) -> np.ndarray | None:
    """Decode a picture file with OpenCV, which says nothing on stderr of damaged ones.

    Args:
        data: The file.
        flags: OpenCV's, such as cv2.IMREAD_COLOR.

    Returns:
        uint8 (H, W, 3) BGR, or (H, W) where the flags ask for grey; None where it can't be decoded.
    """
    if claims_too_much(data):
        return None
    quiet_opencv()
    try:
        with silence_native_stderr():  # libjpeg and libpng tell stderr of every small fault
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _decode(data: bytes, size: tuple[int, int] | None, grey: bool) -> np.ndarray | None:
    """Decode as `decode_quietly` does, a large JPEG smaller and an AVIF upright."""
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    kind = format_of(data[:HEAD])
    if kind == "JPEG" and size is not None:
        # The decoder skips what a smaller picture doesn't need.
        factor = next((f for f in (8, 4, 2) if max(size) >= f * MOST_SIDE), 1)
        flags |= {1: 0, 2: 16, 4: 32, 8: 64}[factor]  # cv2.IMREAD_REDUCED_…
    if kind == "AVIF":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION  # Exif means nothing there
    image = decode_quietly(data, flags)
    if kind == "AVIF" and image is not None:
        quarters, flip = turned(data)
        image = np.rot90(image, quarters) if quarters else image
        image = np.ascontiguousarray(image if flip is None else cv2.flip(image, flip))
    return image


def _decode_heic(data: bytes, name: str, grey: bool) -> np.ndarray:
    """Decode with libheif, which turns pictures upright itself. Raises UserError."""
    if not reads_heic():
        raise UserError(
            f"{name} is a HEIC picture, which takes one more package: pip install pi-heif. Or save "
            "it as JPEG."
        )
    from pi_heif import open_heif

    try:
        with silence_native_stderr():
            file = open_heif(io.BytesIO(data), bgr_mode=True)
            image = np.array(file)[:, : file.size[0]]  # a copy: a view doesn't keep the memory
    except Exception as error:  # libheif's errors come as several types
        raise UserError(
            f"{name} can't be read as a HEIC picture ({short_reason(error)}): it is damaged. Save "
            "the picture again."
        ) from None
    channels = image.shape[2] if image.ndim > 2 else 1
    codes = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}
    image = cv2.cvtColor(image, codes[channels]) if channels in codes else image
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if grey else image
