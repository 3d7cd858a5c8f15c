"""One-pass encoders: what their spec may say, what they take, and all that they give."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.encoder import open_encoder
from engines.errors import UserError
from engines.hand_networks import HAND, HandOutputs
from engines.onnx_file import load_encoder, save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import (
    NO_POINTS,
    EncoderInputs,
    EncoderSpec,
    input_shapes,
    output_shapes,
    preprocess,
)
from tests.engines.one_pass import SPEC, one_pass_model, save_one_pass
from tests.engines.test_engines import PICTURE, hands

CROPS, _, _, TURNS = hands(2, HAND.size)


@pytest.fixture
def encoder(tmp_path: Path) -> OnnxEncoder:
    save_one_pass(tmp_path / "e.onnx")
    return OnnxEncoder(tmp_path / "e.onnx")


@pytest.mark.parametrize(
    "inputs",
    [("turn",), ("crop", "turn", "landmarks"), ("crop", "world_landmarks", "turn")],
)
def test_a_turn_goes_with_the_crop_and_nothing_else(inputs: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="A one-pass encoder takes crop and turn; got .*turn"):
        dataclasses.replace(SPEC, inputs=inputs)


def test_the_spec_says_all_that_goes_in_and_out() -> None:
    for spec in (SPEC, dataclasses.replace(SPEC, inputs=("turn", "crop"))):
        assert spec.one_pass and EncoderSpec.from_json(spec.to_json()) == spec
        assert input_shapes(spec) == {"crop": (3, 224, 224), "turn": (2,)}
        assert list(input_shapes(spec)) == list(spec.inputs)
        assert output_shapes(spec) == {"embedding": (8,), **HAND.outputs}
    assert not PICTURE.one_pass and output_shapes(PICTURE) == {"embedding": (8,)}


def test_turns_are_what_the_encoder_is_given() -> None:
    given = preprocess(SPEC, EncoderInputs(CROPS, *NO_POINTS, TURNS.astype(np.float64)))
    assert list(given) == ["crop", "turn"]
    assert given["turn"].dtype == np.float32 and np.array_equal(given["turn"], TURNS)
    assert given["crop"].shape == (2, 3, 224, 224)


@pytest.mark.parametrize(
    "turns", [np.zeros(2), np.zeros((2, 3)), np.zeros((2, 1)), np.zeros((2, 2, 1)), np.zeros(())]
)
def test_turns_of_another_shape_are_told(encoder: OnnxEncoder, turns: np.ndarray) -> None:
    for run in (
        lambda: preprocess(SPEC, EncoderInputs(CROPS, *NO_POINTS, turns)),
        lambda: encoder.encode(EncoderInputs(CROPS, *NO_POINTS, turns)),
        lambda: encoder.look(CROPS, turns),
    ):
        with pytest.raises(UserError) as caught:
            run()
        assert str(caught.value) == (
            f"one-pass-1 takes turns of shape (N, 2); got {turns.shape}. Pass the cosine and the "
            "sine of each crop's angle."
        )


def test_a_look_is_everything_of_the_pass(encoder: OnnxEncoder) -> None:
    found = encoder.look(CROPS, TURNS)
    assert {f.name for f in dataclasses.fields(HandOutputs)} == {*output_shapes(SPEC)}
    for name, shape in output_shapes(SPEC).items():
        values = getattr(found, name)
        assert values.shape == (2, *shape) and values.dtype == np.float32
    assert np.array_equal(found.embedding, encoder.encode(EncoderInputs(CROPS, *NO_POINTS, TURNS)))
    np.testing.assert_allclose(np.linalg.norm(found.embedding, axis=1), 1, atol=1e-5)
    other = encoder.look(CROPS, -TURNS)
    assert not np.allclose(other.embedding, found.embedding)  # it does read the turn


def test_nothing_is_seen_of_no_hands(encoder: OnnxEncoder) -> None:
    found = encoder.look(CROPS[:0], TURNS[:0])
    for name, shape in output_shapes(SPEC).items():
        values = getattr(found, name)
        assert values.shape == (0, *shape) and values.dtype == np.float32


def test_hands_one_by_one_are_seen_as_together(encoder: OnnxEncoder) -> None:
    crops, _, _, turns = hands(5, HAND.size)
    together = encoder.look(crops, turns)
    for i in range(5):
        alone = encoder.look(crops[i : i + 1], turns[i : i + 1])
        for name in output_shapes(SPEC):
            one, same = getattr(alone, name)[0], getattr(together, name)[i]
            np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-5)


def without(name: str) -> onnx.ModelProto:
    model = one_pass_model()
    kept = [value for value in model.graph.output if value.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


@pytest.mark.parametrize("name", output_shapes(SPEC))
def test_a_file_that_lacks_an_output_is_refused(name: str, tmp_path: Path) -> None:
    save_encoder(without(name), SPEC, tmp_path / "e.onnx")
    for read in (lambda path: open_encoder(str(path)), load_encoder):
        with pytest.raises(UserError, match="Export it again"):
            read(tmp_path / "e.onnx")


def test_the_whole_file_is_read_again(tmp_path: Path) -> None:
    mark = save_one_pass(tmp_path / "e.onnx")
    _, spec, found = load_encoder(tmp_path / "e.onnx")
    assert (spec, found) == (SPEC, mark)
    other = EncoderSpec("one-pass-1", ("crop", "turn"), 8, crop_size=192)
    assert save_one_pass(tmp_path / "small.onnx", other) != mark
