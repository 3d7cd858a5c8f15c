"""Paths from the command line, looked at before the long work rather than after it."""

from __future__ import annotations

import os
from pathlib import Path

from engines.errors import UserError


def writable(path: Path | None) -> None:
    """Raises UserError where a file can't be made there."""
    if path is not None and (not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise UserError(f"{path} can't be written: {path.parent} is no folder you may write to.")


def folder(path: Path) -> Path:
    """The path, if it is a folder. Raises UserError."""
    if not path.is_dir():
        raise UserError(f"A folder of pictures is expected; {path} is none.")
    return path
