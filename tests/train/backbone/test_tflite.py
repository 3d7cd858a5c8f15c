"""MediaPipe's .tflite files: what is none, or is damaged, is refused in a sentence."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flatbuffers", reason="training needs requirements-train.txt")

from engines.errors import UserError
from train.backbone.tflite import Network, read_network

FILE = Path("hand.task")


@pytest.fixture(scope="module")
def original(hand_model_path: Path) -> bytes:
    with zipfile.ZipFile(hand_model_path) as archive:
        return archive.read("hand_landmarks_detector.tflite")


def refused(data: bytes) -> str:
    with pytest.raises(UserError) as raised:
        read_network(data, FILE)
    message = str(raised.value)
    assert message.startswith("hand.task ")
    assert message.endswith("Delete it, and the next run fetches it anew.")
    return message


def layers(network: Network) -> list[tuple[str, list[tuple[int, ...]]]]:
    """The kinds of the layers that have weights, and the shapes of weight and bias, once read."""
    return [
        (operator.kind, [network.constant(tensor).shape for tensor in operator.inputs[1:]])
        for operator in network.operators
        if operator.kind in ("conv", "depthwise", "dense")
    ]


@pytest.mark.parametrize("size", [0, 7, 8, 12, 1000, 100_000, -10_000])
def test_a_truncated_network_is_refused(original: bytes, size: int) -> None:
    reason = "holds no .tflite network" if 0 <= size < 8 else "is damaged"
    assert reason in refused(original[:size])


def test_garbage_is_refused(original: bytes) -> None:
    rng = np.random.default_rng(0)
    assert "holds no .tflite" in refused(rng.bytes(5000))
    for _ in range(10):
        assert "is damaged" in refused(original[:8] + rng.bytes(60_000))


def test_damaged_places_are_refused_or_lead_to_no_more_layers(original: bytes) -> None:
    """The tables stand at the file's end; some of their bytes are names that nobody reads.

    Opening reads the operators; what their constants' tables say is read with the constants.
    """
    rng = np.random.default_rng(1)
    known = layers(read_network(original, FILE))
    refusals = 0
    for _ in range(12):
        data = bytearray(original)
        for at in rng.integers(len(data) - 40_000, len(data), 3):
            data[at] = rng.integers(256)
        try:
            found = layers(read_network(bytes(data), FILE))
        except (UserError, struct.error, TypeError, ValueError, LookupError):
            refusals += 1
        else:
            assert len(found) <= len(known)
    assert refusals > 3
