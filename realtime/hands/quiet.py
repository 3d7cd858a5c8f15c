"""Silences C++ libraries that write to file descriptor 2 and have no switch for it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0  # blocks that are silenced at the moment
_saved = -1  # the descriptor of the real stderr meanwhile


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Discard what any thread writes to stderr until the block ends. Keep it short; may nest."""
    global _inside, _saved
    with _lock:
        if _inside == 0 and (_saved := _copy_stderr()) >= 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved >= 0:
                os.dup2(_saved, 2)
                os.close(_saved)


def _copy_stderr() -> int:
    """A second descriptor of stderr, with nothing left unwritten; -1 where there is no stderr."""
    try:
        if sys.stderr is not None:  # None: the program was started without one
            sys.stderr.flush()
        return os.dup(2)
    except OSError:
        return -1
