"""One way to read files from a .zip and from the folder that it unpacks to."""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.files import explain_errors
from realtime.folders import Listing, choose_pictures, list_folder, list_zip, warn_skipped
from realtime.picture_files import decode
from realtime.picture_header import HEAD

LARGEST = 1 << 30  # bytes of a file, unpacked


@dataclass(frozen=True)
class Files:
    """The files of a folder or .zip, without those that other programs keep there.

    Attributes:
        path: The folder or .zip.
        found: Its files and folders at any depth.
        bytes_of: Reads a file by its name, or so many of its first bytes (-1: all).
    """

    path: Path
    found: Listing
    bytes_of: Callable[[str, int], bytes]

    @property
    def names(self) -> list[str]:
        """All files."""
        return self.found.files

    @property
    def folders(self) -> list[str]:
        """All folders."""
        return self.found.folders

    def pictures(self) -> list[str]:
        """Return the names of pictures, and say once what is left out."""
        found = copy.deepcopy(self.found)
        pictures = choose_pictures(found, lambda name: self.read(name, HEAD))
        warn_skipped(self.path, found)
        return pictures

    def read(self, name: str, most: int = -1) -> bytes:
        """Read a file, or so many of its first bytes.

        Raises:
            UserError: The file is damaged or can't be read.
        """
        try:
            return self.bytes_of(name, most)
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
        return decode(self.read(name), f"{name} in {self.path}", grey=True).image


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open a folder or .zip.

    Raises:
        UserError: The path is missing, or the file is no complete .zip.
    """
    if path.is_dir():

        def read(name: str, most: int) -> bytes:
            with (path / name).open("rb") as file:
                return file.read(most)

        with explain_errors(f"The folder {path} can't be listed"):
            found = list_folder(path)
        yield Files(path, found, read)
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

        def read_entry(name: str, most: int) -> bytes:
            if archive.getinfo(name).file_size > LARGEST:
                raise ValueError("it is too large")
            with archive.open(name) as file:
                return file.read(most)

        yield Files(path, list_zip(archive), read_entry)
