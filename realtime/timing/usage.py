"""What this process holds of the system: memory, handles, threads."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SETTLE_S = 10.0  # at most, for what is about to end
LOOK_AGAIN_S = 0.05


@dataclass(frozen=True)
class Usage:
    """What a process holds.

    Attributes:
        memory_mb: resident, MiB; None where the system has no /proc.
        allocated_mb: what malloc has given out and not got back, MiB; None without glibc 2.33 or
            later. Resident memory has what malloc keeps for later, too, which is up to chance.
        handles: open files, sockets and the like; None where they can't be listed.
        threads: of the whole process on Linux, elsewhere those that Python knows.
    """

    memory_mb: float | None
    allocated_mb: float | None
    handles: int | None
    threads: int


def read_usage() -> Usage:
    """What this process holds now."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Usage(None, None, _count_handles(), threading.active_count())
    figures = {name: int(value) for name, value in re.findall(r"(\w+):\s+(\d+)", status)}
    return Usage(figures["VmRSS"] / 1024, _read_allocated(), _count_handles(), figures["Threads"])


def settled_usage(before: Usage | None) -> Usage:
    """What this process holds once what was closed has ended.

    A reader that waits for its camera ends a little after it was closed.

    Args:
        before: wait, at most SETTLE_S, until there are no more handles and threads than these.
    """
    gc.collect()
    _give_back()
    until_s = time.monotonic() + SETTLE_S
    usage = read_usage()
    while before is not None and time.monotonic() < until_s and _more(usage, before):
        time.sleep(LOOK_AGAIN_S)
        usage = read_usage()
    return usage


class _Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2; see mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _read_allocated() -> float | None:
    """In chunks and in mappings of their own, of all arenas, MiB."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library, an older one
            mallinfo2 = ctypes.CDLL("libc.so.6").mallinfo2
            mallinfo2.restype = _Mallinfo2
            found = mallinfo2()
            return float(found.uordblks + found.hblkhd) / (1 << 20)
    return None


def _give_back() -> None:
    """Have glibc return freed memory to the system, as far as it can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _more(usage: Usage, before: Usage) -> bool:
    return usage.threads > before.threads or (usage.handles or 0) > (before.handles or 0)


def _count_handles() -> int | None:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # one is the listing's own
        except OSError:
            continue
    return None
