"""The name of the machine that figures were measured on."""

from __future__ import annotations

import torch

from engines.cpu import processor_name
from engines.say import how_many


def machine() -> str:
    """Name the GPU, or else the processor and the number of threads that PyTorch uses."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return f"{processor_name()}, {how_many(torch.get_num_threads(), 'thread')}"
