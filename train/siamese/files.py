"""One way to read files from a .zip and from the folder that it unpacks to."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from engines.errors import UserError
from engines.files import explain_errors
from realtime.picture_files import SUFFIXES, quiet_opencv

PICTURE_SUFFIXES = (*SUFFIXES, ".pgm")  # AT&T's faces are .pgm


@dataclass(frozen=True)
class Files:
    """The files of a folder or .zip, without hidden ones and macOS's companions (__MACOSX).

    Attributes:
        path: The folder or .zip.
        names: Its files at any depth, with "/", sorted.
        folders: Its folders at any depth, with "/", sorted.
        bytes_of: Reads a file by its name.
    """

    path: Path
    names: list[str]
    folders: list[str]
    bytes_of: Callable[[str], bytes]

    def pictures(self) -> list[str]:
        """Return the names of pictures, by their suffixes in any case."""
        return [n for n in self.names if PurePosixPath(n).suffix.lower() in PICTURE_SUFFIXES]

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            UserError: The file is damaged or can't be read.
        """
        try:
            return self.bytes_of(name)
        except Exception as error:  # zipfile and zlib raise a dozen types on damage
            raise UserError(
                f"{name} in {self.path} can't be read ({error}): it is damaged or locked. Get it "
                "again."
            ) from None

    def grey(self, name: str) -> np.ndarray:
        """Read a picture as grey, uint8 (H, W).

        Raises:
            UserError: The file can't be read as a picture.
        """
        data = np.frombuffer(self.read(name), np.uint8)
        quiet_opencv()
        try:
            image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
        except cv2.error:  # for instance, more pixels than OpenCV accepts
            image = None
        if image is None:
            raise UserError(
                f"{name} in {self.path} can't be read as a picture: it is damaged or something "
                "else. Get it again, or delete it."
            )
        return image


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open a folder or .zip.

    Raises:
        UserError: The path is missing, or the file is no complete .zip.
    """
    if path.is_dir():
        entries = sorted(path.rglob("*"))
        names = [entry.relative_to(path).as_posix() for entry in entries if entry.is_file()]
        folders = [entry.relative_to(path).as_posix() for entry in entries if entry.is_dir()]

        def read(name: str) -> bytes:
            return (path / name).read_bytes()

        yield Files(path, _drop_hidden(names), _drop_hidden(folders), read)
        return
    with explain_errors(f"{path} can't be read"):
        try:
            archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise UserError(
                f"There is no {path}: expected a folder or .zip. Check the path."
            ) from None
        except OSError:
            raise
        except Exception:  # see above
            raise UserError(
                f"{path} is no whole .zip: it is damaged or something else. Get it again."
            ) from None
    with archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        folders = [name.rstrip("/") for name in archive.namelist() if name.endswith("/")]
        yield Files(path, _drop_hidden(names), _drop_hidden(folders), archive.read)


def _drop_hidden(names: list[str]) -> list[str]:
    """Return the names that aren't hidden, sorted."""
    return sorted(n for n in names if not any(_is_hidden(part) for part in n.split("/")))


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"
