"""A one-pass encoder on Triton: all it gives, and configurations that say otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.encoder import open_hand_networks
from engines.errors import UserError
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.spec import output_shapes
from engines.triton.encoder import TritonEncoder, open_triton
from engines.triton.repository import write_repository
from tests.engines.one_pass import SPEC, save_one_pass
from tests.engines.test_engines import hands
from tests.engines.triton.place import Place, sentence, told
from tests.engines.triton.server import model_config_pb2, read_config, serving


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    save_one_pass(tmp_path / "e.onnx")
    write_repository(tmp_path / "fleet", "hands", tmp_path / "e.onnx", (1, 4))
    with serving(tmp_path / "fleet") as (triton, address, server):
        yield Place(tmp_path / "fleet", tmp_path / "e.onnx", triton, address, server)


@pytest.fixture
def encoder(place: Place) -> Iterator[TritonEncoder]:
    opened = open_triton(place.url(), None)
    yield opened
    opened.close()


def test_the_configuration_lists_every_output(place: Place) -> None:
    config = read_config(place.fleet / "hands")
    assert {tensor.name: tuple(tensor.dims) for tensor in config.input} == {
        "crop": (3, 224, 224),
        "turn": (2,),
    }
    assert [output.name for output in config.output] == list(output_shapes(SPEC))
    for output in config.output:
        # A single number for each hand is (N,) inside, and (N, 1) to Triton's clients.
        inside = output.reshape.shape if output.HasField("reshape") else output.dims
        assert tuple(inside) == output_shapes(SPEC)[output.name] and len(output.dims) > 0
        assert output.data_type == model_config_pb2.TYPE_FP32


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_a_pass_gives_what_onnx_runtime_gives(count: int, place: Place, encoder) -> None:
    here, batch = OnnxEncoder(place.onnx), hands(count, SPEC.crop_size)
    given, wanted = encoder.look(batch.crops, batch.turns), here.look(batch.crops, batch.turns)
    for name, values in vars(wanted).items():
        found = vars(given)[name]
        assert found.dtype == np.float32 and found.shape == values.shape, name
        np.testing.assert_allclose(found, values, atol=1e-6)
        found += 1  # the caller's own
    np.testing.assert_allclose(encoder.encode(batch), wanted.embedding, atol=1e-6)
    assert place.triton.batches == 2 * ([4] * (count // 4) + ([count % 4] if count % 4 else []))


def test_embedding_asks_for_nothing_else(place: Place, encoder) -> None:
    asked: list[list[str]] = []
    place.triton.before = lambda request: asked.append([o.name for o in request.outputs])
    batch = hands(1, SPEC.crop_size)
    encoder.encode(batch)
    encoder.look(batch.crops, batch.turns)
    assert asked == [["embedding"], list(output_shapes(SPEC))]


def test_palms_are_found_here(encoder, capsys) -> None:
    palm, network = open_hand_networks(encoder)
    assert isinstance(palm, OnnxNetwork) and network is encoder
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda config: config.output.pop(), "gives {'embedding': (8,), 'landmarks': (21, 3), "),
        (lambda config: config.output[1].dims.append(1), "'landmarks': (21, 3, 1), "),
        (lambda config: config.input.pop(), "takes {'crop': (3, 224, 224)} in batches of 4"),
    ],
)
def test_a_configuration_that_says_otherwise_is_told(change, text: str, place: Place) -> None:
    change(place.triton.models["hands"].config)
    assert text in told(place.url())


def test_an_answer_without_landmarks_is_told(place: Place, encoder, monkeypatch) -> None:
    served = place.triton.models["hands"]
    run = served.run

    def without(request):
        version, outputs = run(request)
        return version, {name: rows for name, rows in outputs.items() if name != "landmarks"}

    monkeypatch.setattr(served, "run", without)
    batch = hands(2, SPEC.crop_size)
    with pytest.raises(UserError) as caught:
        encoder.look(batch.crops, batch.turns)
    assert "answered with no landmarks where its spec says float32 (2, 21, 3)" in sentence(
        caught.value
    )
