"""Files that are there whole or not at all, and sentences for those that can't be had."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engines.errors import UserError, short_reason

TEMPORARY = ".tmp-"  # how the name of a file begins that isn't whole yet
CHECK = "Check its path, its permissions and the free space."


@contextlib.contextmanager
def replace_path(path: Path) -> Iterator[Path]:
    """A free name beside `path`; the file written there replaces `path` when the block ends.

    Whoever looks at `path` meanwhile sees the old file or the whole new one, and the new one is on
    the disk when this returns. The name keeps the suffix. It is for writers that take a name:
    `replace_file` is simpler. After an exception, Ctrl-C's too, the old file is as it was.

    Raises:
        OSError: from the block or from the replacing. Where it is about the temporary file, its
            `filename` is `path`.
    """
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}{path.suffix}"
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)  # else a power cut may leave the new name on an empty file
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` when the block ends. See `replace_path`."""
    with replace_path(path) as temporary, open(temporary, "xb") as file:
        yield file


def write_file(path: Path, data: bytes | str) -> None:
    """Write a file, whole or not at all; text as UTF-8. Raises OSError, see `replace_path`."""
    with replace_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system has a way to."""
    with contextlib.suppress(OSError):  # Windows can't open folders; some file systems can't sync
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def explain_errors(fault: str, remedy: str = CHECK) -> Iterator[None]:
    """Raise an OSError of the block as a UserError: "{fault} ({the system's reason}). {remedy}".

    A BrokenPipeError passes: whoever read the output has left, which is no fault.

    Args:
        fault: what can't be done with which file, such as "a.npz can't be written".
        remedy: a sentence that says what to do.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"{fault} ({short_reason(error)}). {remedy}") from None


def check_writable(path: Path | None) -> None:
    """Raises UserError where a file can't be made there. None is for no file, which is fine."""
    if path is not None and (not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise UserError(f"{path} can't be written: {path.parent} is no folder you may write to.")


def check_folder(path: Path) -> Path:
    """The path, if it is a folder. Raises UserError."""
    if not path.is_dir():
        raise UserError(f"{path} is not a folder of pictures.")
    return path
