"""Silences C and C++ libraries that write to file descriptor 2 and have no switch for it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0  # blocks that are silenced at the moment
_saved = -1  # the descriptor of the real stderr meanwhile; -1 where there is none


def part_stderr() -> None:
    """Give Python's stderr a descriptor of its own, for good.

    Then what Python says is heard while libraries are silenced. Where stderr isn't descriptor 2,
    as in tests and notebooks, nothing changes.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, closed, or no file
        old = sys.stderr
        if old.fileno() == 2:
            old.flush()
            sys.stderr = open(  # noqa: SIM115  (open until the process ends)
                os.dup(2), "w", encoding=old.encoding, errors=old.errors, buffering=1
            )


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Discard what any thread writes to descriptor 2 until the block ends. Keep it short.

    Blocks may nest and overlap.
    """
    global _inside, _saved
    with _lock:
        if _inside == 0:
            _saved = _divert()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved >= 0:
                os.dup2(_saved, 2)
                os.close(_saved)


def _divert() -> int:
    """Lead descriptor 2 nowhere. Returns a copy of it, or -1 where it isn't stderr."""
    if sys.__stderr__ is None:  # closed when Python started: by now it may be any file's
        return -1
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:  # too many files are open
        return -1
    try:
        saved = os.dup(2)
        os.dup2(nowhere, 2)
    except OSError:
        return -1
    finally:
        os.close(nowhere)
    return saved
