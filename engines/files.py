"""Files that are there whole or not at all, and paths from the command line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engines.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write beside `path`, which takes its name once the block ends without error.

    OSError (no room, no permission, no such folder) passes through; nothing half-written stays.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o644)  # mkstemp gives 0600; what is written is for everyone
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def writable(path: Path | None) -> None:
    """Raises UserError where a file can't be made there."""
    if path is not None and (not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise UserError(f"{path} can't be written: {path.parent} is no folder you may write to.")


def folder(path: Path) -> Path:
    """The path, if it is a folder. Raises UserError."""
    if not path.is_dir():
        raise UserError(f"A folder of pictures is expected; {path} is none.")
    return path
