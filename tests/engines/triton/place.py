"""A model repository that the stand-in for Triton serves, for the tests of its client."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from engines.errors import UserError
from engines.triton.encoder import TritonEncoder, open_triton
from tests.engines.test_engines import hands
from tests.engines.triton.server import Triton, grpc


class Place(NamedTuple):
    """A repository with "hands" (PICTURE, batches to 4) and "far" (DISTANCE), and its server."""

    fleet: Path
    onnx: Path
    triton: Triton
    address: str
    server: grpc.Server

    def url(self, name: str = "hands") -> str:
        return f"triton://{self.address}/{name}"


def told(url: str, fingerprint: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        open_triton(url, fingerprint)
    return sentence(caught.value)


def sentence(error: UserError) -> str:
    assert "\n" not in str(error) and ". " not in str(error)
    return str(error)


def failure(encoder: TritonEncoder, count: int = 2) -> str:
    with pytest.raises(UserError) as caught:
        encoder.encode(hands(count))
    return sentence(caught.value)
