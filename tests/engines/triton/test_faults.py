"""What can go wrong with a model on Triton, each told in one sentence."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from engines.onnx_runtime.encoder import OnnxEncoder
from engines.triton import encoder as triton_encoder
from engines.triton.encoder import open_triton
from tests.cli import PATIENCE_S
from tests.engines.test_engines import hands
from tests.engines.triton.place import Place, failure, told
from tests.engines.triton.server import Refused, grpc


@pytest.mark.parametrize(
    "url",
    [
        "triton://",
        "triton://host",
        "triton://host:8001",
        "triton://host:8001/",
        "triton://host/m",
        "triton://:8001/m",
        "triton://host:0/m",
        "triton://host:65536/m",
        "triton://host:port/m",
        "triton://host:8001/m/1",
        "triton://me:secret@host:8001/m",
        "triton://host:8001/../m",
        "http://host:8001/m",
        "triton://host:8001/m\n",
    ],
)
def test_an_address_that_is_none_is_told(url: str) -> None:
    assert "is triton://HOST:PORT/MODEL with its gRPC port" in told(url)


def test_an_address_of_ipv6() -> None:
    assert triton_encoder._parse_url("triton://[::1]:8001/m") == ("[::1]:8001", "m")
    assert triton_encoder._parse_url("triton://fleet.example:80/m-1.b") == (
        "fleet.example:80",
        "m-1.b",
    )


def test_nobody_there_is_told() -> None:
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        text = told(f"triton://127.0.0.1:{port}/hands")
    assert f"No Triton answers at triton://127.0.0.1:{port}/hands (" in text
    assert text.endswith("which takes Triton's gRPC port, 8001 unless it was changed.")


def test_a_server_that_says_nothing_is_told(monkeypatch) -> None:
    monkeypatch.setattr(triton_encoder, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "No Triton answers at" in told(f"triton://127.0.0.1:{port}/hands")


def test_a_missing_model_is_told(place: Place) -> None:
    text = told(place.url("feet"))
    assert f"doesn't serve {place.url('feet')} (Request for unknown model: 'feet' is not" in text


def test_a_model_that_is_not_ready_is_told(place: Place) -> None:
    place.triton.ready = False
    assert "/hands isn't ready; Triton's log says whether" in told(place.url())
    place.triton.unloaded = {"hands"}
    text = told(place.url())
    assert "'hands' has no available versions); if the model is in Triton's repository" in text


def test_a_model_that_is_unloaded_midway_is_told(place: Place, encoder) -> None:
    encoder.encode(hands(2))
    place.triton.unloaded = {"hands"}
    assert "'hands' has no available versions)" in failure(encoder)
    place.triton.unloaded = set()
    assert encoder.encode(hands(2)).shape == (2, 8)


def test_another_encoder_is_told(place: Place) -> None:
    mark = OnnxEncoder(place.onnx).fingerprint
    open_triton(place.url(), mark).close()
    text = told(place.url("far"), mark)
    assert "/far serves the encoder " in text and f"the one asked for, {mark[:12]};" in text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda config: config.parameters.clear(), "doesn't say which encoder it is"),
        (lambda config: config.ClearField("max_batch_size"), "in batches of 0 where its spec"),
        (lambda config: config.input[0].dims.append(1), "takes {'crop': (3, 12, 12, 1), "),
        (lambda config: config.input.pop(), "takes {'crop': (3, 12, 12)} in batches of 4"),
    ],
)
def test_a_model_that_is_not_ours_is_told(change, text: str, place: Place) -> None:
    change(place.triton.models["hands"].config)
    assert text in told(place.url())


def test_a_server_that_goes_away_is_told(place: Place, encoder) -> None:
    encoder.encode(hands(2))
    place.server.stop(None).wait()
    assert "No Triton answers at" in failure(encoder)
    assert encoder.encode(hands(0)).shape == (0, 8)


def test_a_request_that_fails_is_told_and_the_next_one_is_not(place: Place, encoder) -> None:
    def out_of_memory(request) -> None:
        raise Refused(grpc.StatusCode.INTERNAL, "CUDA out of memory.\nat 0x1")

    place.triton.before = out_of_memory
    text = failure(encoder)
    assert "/hands didn't embed the hands (CUDA out of memory); look at Triton's log" in text
    place.triton.before = lambda request: None
    assert encoder.encode(hands(2)).shape == (2, 8)


def test_a_request_that_takes_too_long_is_told(place: Place, encoder, monkeypatch) -> None:
    done = threading.Event()
    place.triton.before = lambda request: done.wait(PATIENCE_S)
    monkeypatch.setattr(triton_encoder, "ENCODE_S", 0.3)
    try:
        assert "didn't embed the hands (Deadline Exceeded)" in failure(encoder)
    finally:
        done.set()


def test_an_answer_of_another_shape_is_told(place: Place, encoder, monkeypatch) -> None:
    session = place.triton.models["hands"]
    other = {"embedding": np.zeros((2, 5), np.float32)}
    monkeypatch.setattr(session, "run", lambda request: ("1", other))
    assert "answered with float32 (2, 5) where its spec says float32 (2, 8)" in failure(encoder)


@pytest.mark.parametrize("count", [0, 8])
def test_an_answer_without_its_bytes_is_told(count: int, place: Place, encoder) -> None:
    place.triton.bytes = count
    assert "answered with no embedding where its spec says float32 (2, 8)" in failure(encoder)


def test_a_batch_beyond_the_server_s_is_told(place: Place, encoder) -> None:
    place.triton.models["hands"].config.max_batch_size = 2  # restarted with another config
    assert "(inference request batch-size must be <= 2 for 'hands')" in failure(encoder, 4)
