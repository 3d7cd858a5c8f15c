"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import UserError
from realtime.hands.model import hand_model


@pytest.fixture(scope="session")
def hand_model_path() -> Path:
    """MediaPipe's hand models: given, cached, or fetched now."""
    try:
        return hand_model()
    except UserError as error:
        pytest.skip(f"MediaPipe's hand models aren't cached and can't be had: {error}")
