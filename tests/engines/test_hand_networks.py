"""The networks that find hands run where the encoder does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.encoder import HAND_FILE, PALM_FILE, open_encoder, open_hand_networks
from engines.errors import UserError
from engines.hand_networks import HAND, PALM
from engines.onnx_file import save_encoder
from engines.onnx_runtime import graph
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxHandNetwork, OnnxNetwork
from engines.onnx_runtime.providers import MOST_HANDS
from engines.onnx_runtime.session import cpu_session
from engines.spec import input_shapes
from tests.engines.one_pass import SPEC, save_one_pass
from tests.engines.test_engines import PICTURE, hands, picture_model


@pytest.fixture
def one_pass(tmp_path: Path) -> Path:
    save_one_pass(tmp_path / "e.onnx")
    return tmp_path / "e.onnx"


@pytest.fixture
def two_inputs(tmp_path: Path) -> Path:
    save_encoder(picture_model(), PICTURE, tmp_path / "two.onnx")
    return tmp_path / "two.onnx"


class Accelerated:
    """A provider's part, played by the CPU; notes which files with which inputs came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[str, str, dict]] = []
        monkeypatch.setattr(graph, "accelerated_session", self.open)

    def open(self, path: Path, name: str, inputs: dict):
        self.opened.append((path.name, name, dict(inputs)))
        return cpu_session(path)


def test_a_one_pass_encoder_is_its_own_hand_network(one_pass: Path) -> None:
    encoder = open_encoder(str(one_pass), "onnx")
    palm, network = open_hand_networks(encoder)
    assert network is encoder and encoder.engine_name == "onnx:cpu"
    batch = hands(3, SPEC.crop_size)
    found = network.look(batch.crops, batch.turns)
    assert found.landmarks.shape == (3, 21, 3) and found.presence.shape == (3,)
    np.testing.assert_array_equal(found.embedding, encoder.encode(batch))
    pictures = np.zeros((2, *PALM.input_shape), np.float32)
    assert {name: rows.shape for name, rows in palm.run(pictures).items()} == {
        "boxes": (2, 2016, 18),
        "scores": (2, 2016),
    }
    palm.close()


def test_others_get_hand_onnx(two_inputs: Path) -> None:
    for encoder in (None, OnnxEncoder(two_inputs)):
        palm, network = open_hand_networks(encoder)
        assert isinstance(palm, OnnxNetwork) and isinstance(network, OnnxHandNetwork)
        batch = hands(2, HAND.size)
        assert network.look(batch.crops, batch.turns).embedding.shape == (2, 0)


def test_both_networks_run_on_the_encoder_s_provider(
    one_pass: Path, two_inputs: Path, monkeypatch
) -> None:
    cuda = Accelerated(monkeypatch)
    open_hand_networks(open_encoder(str(one_pass), "onnx:cuda"))
    palm = (PALM_FILE.name, "cuda", {"picture": (3, 192, 192)})
    assert cuda.opened == [("e.onnx", "cuda", dict(input_shapes(SPEC))), palm]
    cuda.opened.clear()
    open_hand_networks(open_encoder(str(two_inputs), "onnx:cuda"))
    assert cuda.opened[1:] == [palm, (HAND_FILE.name, "cuda", {"crop": (3, 224, 224)})]


def test_no_more_pictures_at_once_than_a_provider_takes(monkeypatch) -> None:
    Accelerated(monkeypatch)
    network = OnnxNetwork(PALM_FILE, PALM, "tensorrt")
    counts: list[int] = []
    session = network._graph._session

    class Counting:
        def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            counts.append(len(inputs["picture"]))
            return session.run(names, inputs)

    network._graph._session = Counting()
    pictures = np.random.default_rng(0).random((MOST_HANDS + 1, *PALM.input_shape), np.float32)
    given = network.run(pictures)
    assert counts == [MOST_HANDS, 1]
    wanted = OnnxNetwork(PALM_FILE, PALM).run(pictures)
    np.testing.assert_allclose(given["boxes"], wanted["boxes"], atol=1e-3)
    assert network.run(pictures[:0])["boxes"].shape == (0, 2016, 18)


def test_a_provider_that_is_missing_is_told() -> None:
    with pytest.raises(UserError, match="has no directml provider|for this system"):
        OnnxNetwork(PALM_FILE, PALM, "directml")
