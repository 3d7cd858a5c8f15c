"""ONNX files that are none of ours or don't hold what they say; fingerprints; the shipped file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import files as atomic
from engines.encoder import ENCODERS, MODELS, encoder_path, engine_kind, open_encoder
from engines.errors import UserError
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderInputs, EncoderSpec, fingerprint
from tests.engines.test_engines import DISTANCE, PICTURE, distance_model, hands, picture_model

SHIPPED = ENCODERS["landmarks"]


def test_a_fingerprint_knows_every_field_and_every_weight() -> None:
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
    nudged = {**weights, "a": weights["a"] + np.eye(2, 3, dtype=np.float32) * 1e-6}
    others = [
        (PICTURE, nudged),
        (PICTURE, {**weights, "a": weights["a"].reshape(3, 2)}),
        (PICTURE, {**weights, "a": weights["a"].view(np.int32)}),
        (PICTURE, {"a": weights["a"], "c": weights["b"]}),
        (PICTURE, {"a": weights["a"]}),
        *(
            (dataclasses.replace(PICTURE, **change), weights)
            for change in (
                {"name": "picture-2"},
                {"inputs": ("landmarks", "crop")},
                {"dim": 9},
                {"crop_size": 13},
                {"crop_mean": (0.5, 0.4, 0.31)},
                {"crop_std": (0.2, 0.3, 0.41)},
                {"similarity_bias": 0.1},
                {"similarity_weights": (1.0,)},
                {"version": 2},
                {"similarity": "weighted_l1", "similarity_weights": (1.0,) * 8},
            )
        ),
    ]
    marks = [fingerprint(spec, w) for spec, w in [(PICTURE, weights), *others]]
    assert len(set(marks)) == len(marks) == 16
    assert fingerprint(PICTURE, dict(reversed(weights.items()))) == marks[0]
    strided = {**weights, "a": np.asfortranarray(weights["a"])}
    assert fingerprint(PICTURE, strided) == marks[0]
    assert len(marks[0]) == 64 and int(marks[0], 16)


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_encoder(str(path))
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_files_that_are_no_onnx(tmp_path: Path) -> None:
    whole = SHIPPED.read_bytes()
    path = tmp_path / "e.onnx"
    for data in (b"", b"hello", bytes(1000), whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(data)
        assert "can't be opened as an ONNX file" in refused(path) and str(path) in refused(path)
    assert "No encoder at" in refused(tmp_path / "missing.onnx")
    assert "No encoder at" in refused(tmp_path)


def test_an_onnx_file_without_a_spec(tmp_path: Path) -> None:
    onnx.save(distance_model(), tmp_path / "e.onnx")
    assert "without an encoder spec" in refused(tmp_path / "e.onnx")
    model = distance_model()
    onnx.helper.set_model_props(model, {SPEC_KEY: DISTANCE.to_json()})
    onnx.save(model, tmp_path / "e.onnx")
    assert "without an encoder spec" in refused(tmp_path / "e.onnx")
    onnx.helper.set_model_props(model, {SPEC_KEY: "{}", FINGERPRINT_KEY: "f"})
    onnx.save(model, tmp_path / "e.onnx")
    assert "has version None" in refused(tmp_path / "e.onnx")


@pytest.mark.parametrize(
    ("model", "spec", "sentence"),
    [
        (distance_model(), dataclasses.replace(DISTANCE, inputs=("landmarks",)), "takes the input"),
        (picture_model(), dataclasses.replace(PICTURE, inputs=("crop",)), "takes the inputs"),
        (distance_model(), EncoderSpec("x", ("world_landmarks",), 5), r"'embedding': \(5,\)"),
        (picture_model("features"), PICTURE, r"'embedding': \(8,\)"),
    ],
)
def test_a_graph_that_is_not_what_the_spec_says(model, spec, sentence, tmp_path: Path) -> None:
    save_encoder(model, spec, tmp_path / "e.onnx")
    with pytest.raises(UserError, match=sentence):
        OnnxEncoder(tmp_path / "e.onnx")


def test_a_graph_that_is_no_graph_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "e.onnx"
    path.write_bytes(b"the old one")
    model = distance_model()
    model.graph.node[1].input[0] = "nowhere"
    with pytest.raises(onnx.checker.ValidationError):
        save_encoder(model, DISTANCE, path)
    assert path.read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1


def test_a_write_cut_short_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "e.onnx"
    path.write_bytes(b"the old one")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_encoder(distance_model(), DISTANCE, path)
    assert path.read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1


def test_the_shipped_encoder_on_onnx_runtime() -> None:
    for name in ("landmarks", "default", str(SHIPPED)):
        assert encoder_path(name) == SHIPPED or name == "default"
        encoder = open_encoder(name)
        assert isinstance(encoder, OnnxEncoder) and len(encoder.fingerprint) == 64
    encoder = open_encoder("landmarks", "onnx")
    world, nothing = hands(5).world_landmarks, np.zeros(0)
    together = encoder.encode(
        EncoderInputs(nothing, nothing, world, nothing)
    )  # crops aren't its business
    assert together.shape == (5, encoder.spec.dim) and together.dtype == np.float32
    for n in range(5):
        alone = encoder.encode(EncoderInputs(nothing, nothing, world[n : n + 1], nothing))
        np.testing.assert_allclose(alone[0], together[n], atol=1e-6)
    for one in (encoder, open_encoder("default")):
        none = one.encode(hands(0, one.spec.crop_size))
        assert none.shape == (0, one.spec.dim) and none.dtype == np.float32
        one.close()


def test_an_engine_that_is_none_is_told() -> None:
    with pytest.raises(UserError, match="--engine takes auto, onnx.*; got 'gpu'"):
        open_encoder("landmarks", "gpu")
    with pytest.raises(UserError, match="--encoder takes default"):
        open_encoder("best")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auto", ("auto", "")),
        ("onnx", ("onnx", "cpu")),
        ("onnx:cuda", ("onnx", "cuda")),
        ("plans/mine.plan", ("plan", "plans/mine.plan")),
        ("mine.onnx", ("encoder", "mine.onnx")),
        ("triton://host:8001/x", ("triton", "triton://host:8001/x")),
        ("gpu", ("", "gpu")),
    ],
)
def test_what_an_engines_name_stands_for(name: str, kind: tuple[str, str]) -> None:
    assert engine_kind(name) == kind


@pytest.mark.parametrize("file", sorted(MODELS.glob("*.onnx")), ids=lambda file: file.name)
def test_shipped_files_name_no_folder_of_the_machine_that_made_them(file: Path) -> None:
    model = onnx.load(file)
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        assert not part.metadata_props and not part.doc_string
