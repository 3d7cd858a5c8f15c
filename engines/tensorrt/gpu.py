"""Asks the NVIDIA driver for the GPU; needs no CUDA package."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


def driver_cuda() -> str | None:
    """The newest CUDA release that the driver supports, such as "12"; None without a driver."""
    try:
        driver: Any = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    release = ctypes.c_int()
    return None if driver.cuDriverGetVersion(ctypes.byref(release)) else str(release.value // 1000)


def compute_capability(device: int = 0) -> str | None:
    """A GPU's compute capability, such as "sm89"; None without a driver or such a GPU."""
    try:
        driver: Any = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    handle = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(handle), device):
        return None
    numbers = []
    for attribute in (MAJOR, MINOR):
        number = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, handle):
            return None
        numbers.append(number.value)
    return f"sm{numbers[0]}{numbers[1]}"
