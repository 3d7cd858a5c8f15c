"""What this machine's processor can do with 8-bit numbers."""

from __future__ import annotations

from pathlib import Path

INFO = Path("/proc/cpuinfo")


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
