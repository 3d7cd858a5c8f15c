"""The encoder's contract: spec, fingerprint, preprocessing, similarity, and ONNX Runtime."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.encoder import open_encoder
from engines.errors import UserError
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.similarity import similarity
from engines.spec import EncoderInputs, EncoderSpec, preprocess

PICTURE = EncoderSpec(
    "picture-1",
    ("crop", "landmarks"),
    8,
    crop_size=12,
    crop_mean=(0.5, 0.4, 0.3),
    crop_std=(0.2, 0.3, 0.4),
)
DISTANCE = EncoderSpec(
    "distance-1",
    ("world_landmarks",),
    4,
    similarity="weighted_l1",
    similarity_weights=(-3.0, 0.5, -1.25, -40.0),
    similarity_bias=2.0,
)
MATRIX = np.random.default_rng(0).normal(size=(63, 5)).astype(np.float32)


def hands(count: int, size: int = 12) -> EncoderInputs:
    rng = np.random.default_rng(count)
    crops = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    points = rng.normal(size=(2, count, 21, 3)).astype(np.float32)
    angles = rng.uniform(-np.pi, np.pi, count)
    turns = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return EncoderInputs(crops, points[0], points[1], turns)


def model_of(
    nodes: list[onnx.NodeProto], inputs: dict[str, list], dim: int, *, output: str = "embedding"
) -> onnx.ModelProto:
    constants = {
        "matrix": MATRIX,
        "four": MATRIX[:, :4].copy(),
        "across": np.array([2, 3]),
        "row": np.array([1]),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", dim])],
        [numpy_helper.from_array(v, n) for n, v in constants.items() if n in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def picture_model(output: str = "embedding") -> onnx.ModelProto:
    """Mean colour and projected landmarks, side by side, of unit norm."""
    node = helper.make_node
    return model_of(
        [
            node("ReduceMean", ["crop", "across"], ["colour"], keepdims=0),
            node("Flatten", ["landmarks"], ["flat"]),
            node("MatMul", ["flat", "matrix"], ["shape"]),
            node("Concat", ["colour", "shape"], ["both"], axis=1),
            node("ReduceL2", ["both", "row"], ["norm"]),
            node("Div", ["both", "norm"], [output]),
        ],
        {"crop": ["N", 3, 12, 12], "landmarks": ["N", 21, 3]},
        8,
        output=output,
    )


def distance_model() -> onnx.ModelProto:
    """The features of a siamese network: a sigmoid layer on the world landmarks."""
    node = helper.make_node
    return model_of(
        [
            node("Flatten", ["world_landmarks"], ["flat"]),
            node("MatMul", ["flat", "four"], ["logits"]),
            node("Sigmoid", ["logits"], ["embedding"]),
        ],
        {"world_landmarks": ["N", 21, 3]},
        4,
    )


@pytest.mark.parametrize(
    ("model", "spec"), [(picture_model(), PICTURE), (distance_model(), DISTANCE)]
)
def test_the_spec_comes_back_from_the_file(model, spec, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    mark = save_encoder(model, spec, path)
    encoder = open_encoder(str(path))
    assert encoder.spec == spec and encoder.fingerprint == mark
    assert hash(encoder.spec) == hash(spec)  # tuples, not lists
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.onnx"]
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o644


def test_an_encoder_of_pictures_and_landmarks_runs(tmp_path: Path) -> None:
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    crops, landmarks, world, turns = hands(3)
    got = OnnxEncoder(tmp_path / "e.onnx").encode(EncoderInputs(crops, landmarks, world, turns))
    assert got.shape == (3, 8) and got.dtype == np.float32
    for n in range(3):
        colour = [
            np.mean(
                [
                    (v / 255 - PICTURE.crop_mean[c]) / PICTURE.crop_std[c]
                    for v in crops[n, :, :, c].ravel().tolist()
                ]
            )
            for c in range(3)
        ]
        shape = [sum(landmarks[n].ravel() * MATRIX[:, k].astype(float)) for k in range(5)]
        whole = np.array(colour + shape)
        np.testing.assert_allclose(got[n], whole / math.sqrt(sum(whole**2)), atol=1e-5)


def test_an_encoder_with_a_learned_distance_runs(tmp_path: Path) -> None:
    save_encoder(distance_model(), DISTANCE, tmp_path / "e.onnx")
    encoder = OnnxEncoder(tmp_path / "e.onnx")
    a, b = encoder.encode(hands(3)), encoder.encode(hands(2))
    got = similarity(encoder.spec, a, b)
    assert got.shape == (3, 2) and got.dtype == np.float32
    for i in range(3):
        for j in range(2):
            logit = 2.0 - 3.0 * abs(float(a[i, 0] - b[j, 0])) + 0.5 * abs(float(a[i, 1] - b[j, 1]))
            logit += -1.25 * abs(float(a[i, 2] - b[j, 2])) - 40.0 * abs(float(a[i, 3] - b[j, 3]))
            assert got[i, j] == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-4, abs=1e-7)
    assert np.diag(similarity(encoder.spec, a, a)) == pytest.approx(1 / (1 + math.exp(-2)))


def test_cosine_is_the_dot_product_of_unit_vectors() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(3, 6)).astype(np.float32)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    spec = EncoderSpec("x", ("crop",), 6)
    got = similarity(spec, a, b)
    slow = [[sum(float(p) * float(q) for p, q in zip(r, s, strict=True)) for s in b] for r in a]
    np.testing.assert_allclose(got, slow, atol=1e-6)


@pytest.mark.parametrize("spec", [PICTURE, DISTANCE])
def test_nobody_is_like_nobody(spec) -> None:
    none, some = np.zeros((0, spec.dim), np.float32), np.ones((2, spec.dim), np.float32)
    assert similarity(spec, none, some).shape == (0, 2)
    assert similarity(spec, some, none).shape == (2, 0)


def test_a_hopeless_distance_is_zero_without_a_warning() -> None:
    spec = dataclasses.replace(DISTANCE, similarity_weights=(-1e4,) * 4)
    a = np.eye(4, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = similarity(spec, a, a)
    assert np.allclose(got, np.eye(4) / (1 + math.exp(-2)), atol=1e-6)


def test_preprocessing_pixel_by_pixel() -> None:
    crops, landmarks, world, turns = hands(2)
    got = preprocess(PICTURE, EncoderInputs(crops, landmarks.astype(np.float64), world, turns))
    assert set(got) == {"crop", "landmarks"}
    assert got["crop"].shape == (2, 3, 12, 12) and got["crop"].dtype == np.float32
    assert got["landmarks"].dtype == np.float32 and np.array_equal(got["landmarks"], landmarks)
    for n, y, x, c in np.ndindex(2, 12, 12, 3):
        value = (int(crops[n, y, x, c]) / 255 - PICTURE.crop_mean[c]) / PICTURE.crop_std[c]
        assert abs(got["crop"][n, c, y, x] - value) < 1e-5
    nothing = np.zeros(())
    assert list(preprocess(DISTANCE, EncoderInputs(nothing, nothing, world, nothing))) == [
        "world_landmarks"
    ]


CROPS, LANDMARKS, WORLD, TURNS = hands(2)


@pytest.mark.parametrize(
    ("crops", "landmarks", "sentence"),
    [
        (CROPS[:, :11], LANDMARKS, r"uint8 crops of shape \(N, 12, 12, 3\); got uint8 \(2, 11, "),
        (CROPS / np.float32(255), LANDMARKS, "got float32 .*Cut them at the encoder's crop_size"),
        (CROPS[0], LANDMARKS, r"got uint8 \(12, 12, 3\)"),
        (CROPS, LANDMARKS[:, :20], r"takes landmarks of shape \(N, 21, 3\); got \(2, 20, 3\)"),
        (CROPS, LANDMARKS[0], "Pass all 21 joints of each hand"),
    ],
)
def test_wrong_shapes_are_told(crops, landmarks, sentence) -> None:
    with pytest.raises(UserError, match=f"picture-1 takes .*{sentence}|{sentence}"):
        preprocess(PICTURE, EncoderInputs(crops, landmarks, WORLD, TURNS))


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": ()},
        {"inputs": ("crop", "depth")},
        {"similarity": "euclid"},
        {"similarity": "weighted_l1", "similarity_weights": (1.0,) * 7},
    ],
)
def test_an_impossible_spec_is_refused(change) -> None:
    with pytest.raises(UserError):
        dataclasses.replace(PICTURE, **change)
    fields = {**dataclasses.asdict(PICTURE), **change}
    with pytest.raises(UserError):
        EncoderSpec.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "can't be read"),
        ("[1]", "can't be read"),
        ("null", "can't be read"),
        ('{"version": 1}', "can't be read"),
        ('{"version": 2}', "has version 2; .* version 1"),
        ('{"version": 1, "name": "x", "inputs": ["crop"], "dim": 1, "more": 2}', "can't be read"),
        ('{"version": 1, "name": "x", "inputs": 5, "dim": 1}', "can't be read"),
    ],
)
def test_a_spec_that_is_none_is_told(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        EncoderSpec.from_json(text)
