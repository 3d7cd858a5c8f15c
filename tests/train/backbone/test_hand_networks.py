"""The palm detector and the hand network as ONNX files against MediaPipe's own .tflite files."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="training needs requirements-train.txt")
pytest.importorskip("flatbuffers", reason="training needs requirements-train.txt")

import onnx

from engines.encoder import MODELS
from engines.errors import UserError
from engines.hand_networks import HAND, PALM, SOURCE_KEY, NetworkSpec
from engines.onnx_runtime.network import OnnxNetwork
from tests.cli import hand_picture
from train.backbone import hand_networks
from train.backbone.hand_networks import FILES, build_graph, convert
from train.backbone.tflite import read_network

SHOWN = ("Open hand", "Fist", "Victory", "Thumb up")
NAMES = {spec.role: name for name, spec in FILES.items()}


def batch_of(spec: NetworkSpec) -> np.ndarray:
    """float32 (N, 3, S, S): drawn hands, left and right, noise and a wall."""
    pictures = [hand_picture(name, side)[:, 80:560] for name in SHOWN for side in ("left", "right")]
    pictures += [np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)]
    pictures += [np.full((480, 480, 3), 180, np.uint8)]
    small = [
        cv2.resize(picture, (spec.size,) * 2, interpolation=cv2.INTER_AREA) for picture in pictures
    ]
    return cv2.dnn.blobFromImages(small, 1 / 255, swapRB=True)


@pytest.fixture(params=[PALM, HAND], ids=lambda spec: spec.role)
def spec(request: pytest.FixtureRequest) -> NetworkSpec:
    return request.param


def original(bundle: Path, spec: NetworkSpec, batch: np.ndarray) -> list[np.ndarray]:
    """What the .tflite file gives, in the order of its outputs, each (N, …)."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    with zipfile.ZipFile(bundle) as archive:
        network = litert.Interpreter(model_content=archive.read(NAMES[spec.role]), num_threads=1)
    network.allocate_tensors()
    rows = []
    for picture in batch:
        place = network.get_input_details()[0]["index"]
        network.set_tensor(place, picture.transpose(1, 2, 0)[None])
        network.invoke()
        rows.append([network.get_tensor(o["index"])[0] for o in network.get_output_details()])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def test_the_shipped_files_give_what_the_originals_give(hand_model_path: Path, spec) -> None:
    batch = batch_of(spec)
    found = OnnxNetwork(MODELS / f"{spec.role}.onnx", spec).run(batch)
    assert {name: value.shape[1:] for name, value in found.items()} == spec.outputs
    scale = {"boxes": 1 / PALM.size, "landmarks": 1 / HAND.size}  # pixels → widths
    for (name, ours), theirs in zip(
        found.items(), original(hand_model_path, spec, batch), strict=True
    ):
        difference = np.abs(ours - theirs.reshape(ours.shape)) * scale.get(name, 1.0)
        assert difference.max() < 1e-3, name


def test_a_batch_is_its_pictures_one_by_one(spec) -> None:
    network, batch = OnnxNetwork(MODELS / f"{spec.role}.onnx", spec), batch_of(spec)
    together = network.run(batch)
    for i in (0, len(batch) - 1):
        for name, alone in network.run(batch[i : i + 1]).items():
            assert np.allclose(together[name][i], alone[0], rtol=1e-4, atol=1e-3), name


def test_what_cannot_be_run_is_said(spec) -> None:
    network = OnnxNetwork(MODELS / f"{spec.role}.onnx", spec)
    with pytest.raises(UserError, match=f"can't run the {spec.role} network"):
        network.run(np.zeros((1, 3, 8, 8), np.float32))


def test_the_command_makes_the_shipped_files(hand_model_path: Path, tmp_path: Path) -> None:
    for made in convert(hand_model_path, tmp_path):
        shipped = MODELS / made.name
        assert made.stat().st_size < 6_000_000
        ours, theirs = onnx.load(made), onnx.load(shipped)
        assert ours.graph == theirs.graph
        source = {entry.key: entry.value for entry in theirs.metadata_props}[SOURCE_KEY]
        assert "of MediaPipe, Apache-2.0, SHA-256" in source


def test_other_bundles_are_refused(hand_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "hand.task"
    with pytest.raises(UserError, match="is no hand model .*No such file"):
        convert(path, tmp_path)
    path.write_text("<html>")
    with pytest.raises(UserError, match="is no hand model"):
        convert(path, tmp_path)
    with zipfile.ZipFile(hand_model_path) as known, zipfile.ZipFile(path, "w") as archive:
        for name in FILES:
            archive.writestr(name, known.read(name)[:-1] + b"!")
    with pytest.raises(UserError, match="has SHA-256 .*, expected 1b14e9422c6a"):
        convert(path, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["hand.task"]


def test_an_operator_that_is_not_translated_is_an_error(
    hand_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(hand_model_path) as archive:
        network = read_network(archive.read(NAMES["hand"]), hand_model_path)
    monkeypatch.delattr(hand_networks._Builder, "_mean")
    with pytest.raises(ValueError, match="an operator that isn't known"):
        build_graph(network, HAND, "a test")


def test_files_that_are_not_the_network_are_refused(tmp_path: Path, spec) -> None:
    path = tmp_path / "network.onnx"
    remedy = "Make it again with: python -m train.backbone.hand_networks"
    with pytest.raises(UserError, match=f"can't be opened as an ONNX file .*{remedy}"):
        OnnxNetwork(path, spec)
    path.write_bytes((MODELS / f"{spec.role}.onnx").read_bytes()[:100_000])
    with pytest.raises(UserError, match="can't be opened as an ONNX file"):
        OnnxNetwork(path, spec)
    shutil.copy(MODELS / "landmarks.onnx", path)
    with pytest.raises(UserError, match=f"is not the {spec.role} network"):
        OnnxNetwork(path, spec)
    other = HAND if spec is PALM else PALM
    with pytest.raises(UserError, match=f"is not the {spec.role} network"):
        OnnxNetwork(MODELS / f"{other.role}.onnx", spec)
    model = onnx.load(MODELS / f"{spec.role}.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value")
    onnx.save(model, path)
    with pytest.raises(UserError, match="takes .* and gives .*; expected"):
        OnnxNetwork(path, spec)
