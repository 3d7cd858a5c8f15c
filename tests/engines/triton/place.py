"""A model repository that the stand-in for Triton serves, for the tests of its client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from engines.errors import UserError
from engines.onnx_file import save_encoder
from engines.triton.encoder import TritonEncoder, open_triton
from engines.triton.repository import write_repository
from tests.engines.test_engines import DISTANCE, PICTURE, distance_model, hands, picture_model
from tests.engines.triton.server import Triton, grpc, serving


class Place(NamedTuple):
    """A repository with "hands" (PICTURE, batches to 4) and "far" (DISTANCE), and its server."""

    fleet: Path
    onnx: Path
    triton: Triton
    address: str
    server: grpc.Server

    def url(self, name: str = "hands") -> str:
        return f"triton://{self.address}/{name}"


@pytest.fixture(name="place")
def a_place(tmp_path: Path) -> Iterator[Place]:
    fleet = tmp_path / "fleet"
    save_encoder(picture_model(), PICTURE, tmp_path / "picture.onnx")
    save_encoder(distance_model(), DISTANCE, tmp_path / "distance.onnx")
    write_repository(fleet, "hands", tmp_path / "picture.onnx", (1, 4))
    write_repository(fleet, "far", tmp_path / "distance.onnx")
    with serving(fleet) as (triton, address, server):
        yield Place(fleet, tmp_path / "picture.onnx", triton, address, server)


@pytest.fixture(name="encoder")
def an_encoder(place: Place) -> Iterator[TritonEncoder]:
    encoder = open_triton(place.url(), None)
    yield encoder
    encoder.close()


def told(url: str, fingerprint: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        open_triton(url, fingerprint)
    return sentence(caught.value)


def sentence(error: UserError) -> str:
    assert "\n" not in str(error) and ". " not in str(error)
    return str(error)


def failure(encoder: TritonEncoder, count: int = 2) -> str:
    with pytest.raises(UserError) as caught:
        encoder.encode(*hands(count))
    return sentence(caught.value)
