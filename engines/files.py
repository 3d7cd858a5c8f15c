"""Writes files whole or not at all, and explains errors of the file system."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engines.errors import UserError, short_reason

TEMPORARY = ".tmp-"  # prefix of the name of a file that isn't whole yet
# What systems say of a rename that they can't do: to another layer, mount or folder, or at all.
CANT_RENAME = {
    *(errno.EXDEV, errno.EPERM, errno.EACCES, errno.EBUSY),
    *(errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP),
}
FAR_AWAY = 1 << 30  # bytes
CHECK = "Check its path, its permissions and the free space."


@contextlib.contextmanager
def replace_path(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; the file written there replaces `path` at the end.

    At any moment `path` is the old file or the whole new one, also after Ctrl-C. The new one has
    been synced to the disk when the block is left, and has the mode that the umask asks for. This
    is for writers that take a name; `replace_file` is simpler.

    Args:
        path: the file to write, in a folder that exists. The temporary name keeps its suffix.

    Raises:
        OSError: from the block, or if `path` can't be replaced. Its `filename` is `path` where it
            is about the temporary file.
    """
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}{path.suffix}"
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)  # otherwise a power cut may leave an empty file
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
    """Open a binary file that replaces `path` when the block ends, see `replace_path`."""
    with replace_path(path) as temporary, open(temporary, "xb") as file:
        yield file


def write_file(path: Path, data: bytes | str) -> None:
    """Write a file, whole or not at all; text as UTF-8. Raises OSError, see `replace_path`."""
    if isinstance(data, str):  # a file's name in it may hold bytes that no text has
        data = data.encode("utf-8", "backslashreplace")
    with replace_file(path) as file:
        file.write(data)


def move_file(source: Path, target: Path) -> None:
    """Move a file to another folder, also where the file system can't rename from one to the other.

    The source is removed last: the file is in one of the two places at any time. Raises OSError.
    """
    try:
        os.replace(source, target)
        return
    except OSError as error:
        if error.errno not in CANT_RENAME:
            raise
    write_file(target, source.read_bytes())
    try:
        source.unlink()
    except OSError:  # it stays where it was
        target.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to the disk, where the system can do that."""
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
    """Turn an OSError of the block into a UserError: "{fault} ({the system's reason}). {remedy}".

    A BrokenPipeError passes through: the reader of our output has left, which is no fault.

    Args:
        fault: what can't be done with which file: "a.npz can't be written".
        remedy: what to do, a sentence.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"{fault} ({short_reason(error)}). {remedy}") from None


def check_writable(path: Path | None) -> None:
    """Raises UserError where a file can't be made at `path`; None stands for no file."""
    if path is not None and (not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise UserError(
            f"{path} can't be written: {path.parent} is not a folder that you can write to."
        )


def check_encodable(path: Path) -> Path:
    """The path itself. Raises UserError where its whole name isn't UTF-8.

    Libraries that take text crash on it: OpenCV does.
    """
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{path} has a name, or lies in a folder, that isn't UTF-8, which OpenCV can't open: "
            "rename it."
        ) from None
    return path


def check_folder(path: Path) -> Path:
    """The path itself. Raises UserError where it isn't a folder."""
    if not path.is_dir():
        raise UserError(f"{path} is not a folder of pictures.")
    return path


def lock_file(handle: int) -> bool:
    """Keep other programs from locking an open file, until it is closed.

    Returns:
        False where another one, or this one, has it locked already. True too where the file
        system knows no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, FAR_AWAY, os.SEEK_SET)  # where it keeps nobody from reading
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


@contextlib.contextmanager
def temporary_folder(prefix: str = "tmp") -> Iterator[Path]:
    """A folder that is removed at the end. Raises UserError where none can be made."""
    remedy = "Set TMPDIR to a folder that you can write to."
    with contextlib.ExitStack() as stack:
        with explain_errors("No folder for temporary files can be made", remedy):
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
            )
        yield Path(folder)


def cache_folder() -> Path:
    """Where files are kept that can be made anew. Raises UserError where the system names none."""
    import platformdirs

    folder = Path()
    with contextlib.suppress(RuntimeError):  # what newer releases say of a user without a home
        folder = Path(platformdirs.user_cache_dir("one-shot-gestures", appauthor=False))
    if not folder.is_absolute():  # older ones say "~/.cache"
        raise UserError(
            "There is no folder to keep files in, since this user has no home: set XDG_CACHE_HOME "
            "(or HOME) to a folder that you can write to."
        )
    return folder
