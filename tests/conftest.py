"""What several test files share, and how the whole suite runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines.errors import UserError
from realtime.hands.model import hand_model

MOST_WORKERS = 4  # each loads PyTorch, MediaPipe and TensorRT, which take 2 GB


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs on several cores; what is named on the command line in one process."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each worker has one core, not all of them
    return min(MOST_WORKERS, os.cpu_count() or 1)


@pytest.fixture(scope="session")
def hand_model_path() -> Path:
    """MediaPipe's hand models: given, cached, or fetched now."""
    try:
        return hand_model()
    except UserError as error:
        pytest.skip(f"MediaPipe's hand models aren't cached and can't be had: {error}")
