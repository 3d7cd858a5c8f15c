"""A repository that the stand-in for Triton serves, and an encoder on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engines.onnx_file import save_encoder
from engines.triton.encoder import TritonEncoder, open_triton
from engines.triton.repository import write_repository
from tests.engines.test_engines import DISTANCE, PICTURE, distance_model, picture_model

if TYPE_CHECKING:  # what this imports skips the module that does it where there is no gRPC
    from tests.engines.triton.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    from tests.engines.triton.place import Place
    from tests.engines.triton.server import serving

    fleet = tmp_path / "fleet"
    save_encoder(picture_model(), PICTURE, tmp_path / "picture.onnx")
    save_encoder(distance_model(), DISTANCE, tmp_path / "distance.onnx")
    write_repository(fleet, "hands", tmp_path / "picture.onnx", (1, 4))
    write_repository(fleet, "far", tmp_path / "distance.onnx")
    with serving(fleet) as (triton, address, server):
        yield Place(fleet, tmp_path / "picture.onnx", triton, address, server)


@pytest.fixture
def encoder(place: Place) -> Iterator[TritonEncoder]:
    with closing(open_triton(place.url(), None)) as opened:
        yield opened
