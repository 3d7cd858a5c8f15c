"""A .zip, or the folder that it unpacks to, read in the same way."""

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

PICTURES = (*SUFFIXES, ".pgm")  # AT&T's faces are .pgm


@dataclass(frozen=True)
class Files:
    """names: the files below `path`, and folders: its folders, both with / and sorted; hidden
    ones and macOS's companions (__MACOSX) are left out."""

    path: Path
    names: list[str]
    folders: list[str]
    bytes_of: Callable[[str], bytes]

    def pictures(self) -> list[str]:
        """The names that are a picture's, by suffix, in any letter case."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in PICTURES]

    def read(self, name: str) -> bytes:
        """Raises UserError for a file that is damaged or can't be read."""
        try:
            return self.bytes_of(name)
        except Exception as error:  # zipfile and zlib raise a dozen types on damage
            raise UserError(
                f"{name} in {self.path} can't be read ({error}): it is damaged or locked. Get it "
                "again."
            ) from None

    def grey(self, name: str) -> np.ndarray:
        """A picture as uint8 (H, W) grey. Raises UserError where it can't be read as one."""
        data = np.frombuffer(self.read(name), np.uint8)
        quiet_opencv()
        try:
            image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
        except cv2.error:  # for instance more pixels than OpenCV is willing to decode
            image = None
        if image is None:
            raise UserError(
                f"{name} in {self.path} can't be read as a picture: it is damaged or something "
                "else. Get it again, or delete it."
            )
        return image


@contextmanager
def opened(path: Path) -> Iterator[Files]:
    """Raises UserError for what is missing, and for a file that is no whole .zip."""
    if path.is_dir():
        entries = sorted(path.rglob("*"))
        names = [entry.relative_to(path).as_posix() for entry in entries if entry.is_file()]
        folders = [entry.relative_to(path).as_posix() for entry in entries if entry.is_dir()]
        yield Files(path, _seen(names), _seen(folders), lambda name: (path / name).read_bytes())
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
        yield Files(path, _seen(names), _seen(folders), archive.read)


def _seen(names: list[str]) -> list[str]:
    """Sorted, without what is hidden."""
    return sorted(n for n in names if not any(_hidden(part) for part in n.split("/")))


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"
