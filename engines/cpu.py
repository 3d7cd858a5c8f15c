"""What this machine's processor is called, how much of it is ours, and what it can do."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from pathlib import Path

INFO = Path("/proc/cpuinfo")
OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


def processor_name() -> str:
    """Its maker's name for it, or its architecture where the system doesn't tell."""
    with contextlib.suppress(OSError):  # not Linux
        for line in INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def multiplies_8_bits() -> bool | None:
    """Whether the processor adds up products of 8-bit numbers in 32 bits in one step.

    Returns:
        True with AVX-VNNI, AVX512-VNNI or Arm's dot product; None where the system doesn't say,
        as on other systems than Linux.
    """
    try:
        flags = INFO.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return None
    return bool({"avx_vnni", "avx512_vnni", "asimddp"} & set(flags))


def cores() -> int:
    """How many cores this process may keep busy, at least 1.

    A container or a batch system gives a process fewer than the machine has: by its affinity, or by
    a share of processor time (Linux control groups, either version).
    """
    try:
        count = len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except (AttributeError, OSError):  # not Linux
        count = os.cpu_count() or 1
    return max(math.ceil(min(count, _time_share())), 1)


def _time_share() -> float:
    """Cores' worth of processor time that control groups allow; infinite where they don't say."""
    share = math.inf
    try:
        groups = OWN_GROUPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return share
    for line in groups:
        controllers, _, own = line.partition(":")[2].partition(":")
        if controllers not in ("", "cpu", "cpu,cpuacct", "cpuacct,cpu"):
            continue
        root = GROUPS / controllers
        # Within a container, its own group may be mounted as the root: what isn't there is passed.
        group = root / own.strip("/")
        for folder in [group, *group.parents][: len(group.parts) - len(root.parts) + 1]:
            share = min(share, _quota(folder))
    return share


def _quota(group: Path) -> float:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()  # "max 100000" is no number
        return int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota = (group / "cpu.cfs_quota_us").read_text()
        period = (group / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    return math.inf
