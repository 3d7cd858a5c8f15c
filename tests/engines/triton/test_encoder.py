"""The client against its own protocol: a real gRPC server that runs what we wrote for Triton."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engines.encoder import ENCODERS
from engines.errors import UserError
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import EncoderInputs
from engines.triton.encoder import PACKAGE, open_triton
from engines.triton.repository import write_repository
from realtime.measuring.drawn_crops import drawn_crops
from tests.cli import PATIENCE_S
from tests.engines.test_engines import DISTANCE, hands
from tests.engines.triton.place import Place, failure
from tests.engines.triton.server import serving

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_embeddings_are_onnx_runtime_s(count: int, place: Place, encoder) -> None:
    here = OnnxEncoder(place.onnx)
    assert encoder.spec == here.spec and encoder.fingerprint == here.fingerprint
    batch = hands(count)
    got = encoder.encode(batch)
    assert got.shape == (count, 8) and got.dtype == np.float32
    # Not the whole at once: other batch sizes may round otherwise.
    parts = [here.encode(batch.rows(slice(i, i + 4))) for i in range(0, count, 4)]
    assert np.array_equal(got, np.concatenate([np.zeros((0, 8), np.float32), *parts]))
    assert place.triton.batches == [4] * (count // 4) + ([count % 4] if count % 4 else [])
    got += 1  # the caller's own


def test_the_shipped_encoder(tmp_path: Path) -> None:
    here = OnnxEncoder(ENCODERS["default"])
    write_repository(tmp_path / "fleet", "default", ENCODERS["default"], (1, 2))
    crops = drawn_crops(3, here.spec.crop_size)
    with serving(tmp_path / "fleet") as (_, address, _):
        encoder = open_triton(f"triton://{address}/default", here.fingerprint)
        got = encoder.encode(crops)
        encoder.close()
    wanted = [here.encode(crops.rows(slice(i, i + 2))) for i in (0, 2)]
    assert np.array_equal(got, np.concatenate(wanted))


def test_an_encoder_of_world_landmarks(place: Place) -> None:
    here = OnnxEncoder(place.fleet / "far/1/model.onnx")
    encoder = open_triton(place.url("far"), here.fingerprint)
    assert encoder.spec == DISTANCE
    assert np.array_equal(encoder.encode(hands(2)), here.encode(hands(2)))
    encoder.close()


def test_two_threads_at_once(place: Place, encoder) -> None:
    """Each request is answered only once the other's is there, too."""
    here = OnnxEncoder(place.onnx)
    both = threading.Barrier(2, timeout=PATIENCE_S)
    place.triton.before = lambda request: both.wait()
    with ThreadPoolExecutor(2) as pool:
        batches = [hands(1), hands(2)]
        for _ in range(3):
            got = list(pool.map(lambda batch: encoder.encode(batch), batches))
            for batch, embeddings in zip(batches, got, strict=True):
                assert np.array_equal(embeddings, here.encode(batch))


def test_closing_twice(place: Place) -> None:
    encoder = open_triton(place.url(), None)
    encoder.close()
    encoder.close()


def test_wrong_shapes_are_told_before_anything_is_sent(place: Place, encoder) -> None:
    crops, landmarks, world, turns = hands(2)
    with pytest.raises(UserError, match="picture-1 takes uint8 crops"):
        encoder.encode(EncoderInputs(crops[:, :11], landmarks, world, turns))
    assert place.triton.batches == []


@pytest.mark.parametrize("most", [8, 2])
def test_the_same_encoder_in_a_new_version_goes_on(most: int, place: Place, encoder) -> None:
    wanted = encoder.encode(hands(7))
    write_repository(place.fleet, "hands", place.onnx, (1, most))
    place.triton.load()
    place.triton.batches.clear()
    assert list(place.triton.models["hands"].sessions) == ["2"]
    for _ in range(2):
        np.testing.assert_allclose(encoder.encode(hands(7)), wanted, atol=1e-6)
    # The first was asked of the version that is gone.
    assert place.triton.batches == {8: [4, 7, 7], 2: [4, 2, 2, 2, 1, 2, 2, 2, 1]}[most]


def test_another_encoder_in_the_model_s_place_is_told(place: Place, encoder) -> None:
    """Never its embeddings: they mean nothing beside those of the encoder that was opened."""
    encoder.encode(hands(2))
    mark = OnnxEncoder(place.fleet / "far/1/model.onnx").fingerprint
    write_repository(place.fleet, "hands", place.fleet / "far/1/model.onnx")
    place.triton.load()
    text = failure(encoder)
    assert f"serves another encoder now, {mark[:12]} instead of {encoder.fingerprint[:12]};" in (
        text
    )


@pytest.mark.parametrize("package", ["tritonclient", "grpc"])
def test_a_missing_package_is_named(package: str) -> None:
    """In a process of its own: what is imported stays imported."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from engines.errors import UserError\n"
        "from engines.triton.encoder import open_triton\n"
        "try:\n    open_triton('triton://localhost:8001/m', None)\n"
        "except UserError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.strip().endswith(f'pip install "{PACKAGE}"'), ran.stderr


def test_the_package_loads_on_first_use_and_no_proxy_is_asked(place: Place) -> None:
    code = (
        "import sys\n"
        "from engines.triton.encoder import open_triton\n"
        "assert not {'tritonclient', 'grpc', 'google'} & set(sys.modules)\n"
        f"open_triton({place.url()!r}, None).close()\n"
        "assert 'tritonclient' in sys.modules\n"
    )
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | nowhere | {"no_proxy": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ran.stderr == ""
