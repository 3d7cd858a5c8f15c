"""MediaPipe's hand network in PyTorch against the original, and what isn't that network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch
from onnx import numpy_helper

from engines.encoder import MODELS
from engines.errors import UserError
from realtime.drawn.hand import draw_hand
from realtime.drawn.pose import GESTURES, joints, view_rotation
from realtime.drawn.random_look import random_look
from realtime.hands.geometry import crop_landmarks, upright_square
from realtime.hands.mediapipe_detector import HandDetector
from realtime.types import Frame, Hand
from train.backbone.backbone import FEATURES, INPUT_SIZE, Backbone, load_backbone
from train.synthetic.pictures import to_upright

NETWORK_FILE = "hand_landmarks_detector.tflite"
DEPTH = 2.5  # MediaPipe stretches what its network says of depth: normalize_z is 0.4 in its graph
SHOWN = ("Open hand", "Fist", "Victory", "Thumb up", "OK", "Call me")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone()


@pytest.fixture(scope="module")
def hands(hand_model_path: Path) -> list[Hand]:
    """Right hands as the live loop sees and cuts them: gestures, views and looks."""
    rng = np.random.default_rng(0)
    found = []
    with HandDetector(hand_model_path, video=False, crop_size=INPUT_SIZE) as detector:
        for i, gesture in enumerate(SHOWN):
            turned = joints(GESTURES[gesture]) @ view_rotation(0.2 * (i - 2), 0.1, 0.3).T
            picture = draw_hand(turned, random_look(rng, palm_seen=True))
            found += detector.detect(Frame(picture, i, 0.0))
    assert len(found) == len(SHOWN) and all(hand.side == "right" for hand in found)
    return found


@pytest.fixture(scope="module")
def crops(hands: list[Hand]) -> np.ndarray:
    """float32 (2 N + 1, 3, S, S): the hands, the hands mirrored, and no hand."""
    seen = np.stack([hand.crop for hand in hands]).astype(np.float32) / 255
    wall = np.full_like(seen[:1], 0.7)
    return np.concatenate([seen, seen[:, :, ::-1], wall]).transpose(0, 3, 1, 2).copy()


@pytest.fixture(scope="module")
def ours(backbone: Backbone, crops: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        found = backbone.predict_landmarks(backbone.pool(torch.from_numpy(crops)))
    return {name: value.numpy() for name, value in found._asdict().items()}


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_all_four_outputs_are_the_originals(hand_model_path, crops, ours):
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="no ai-edge-litert")
    with zipfile.ZipFile(hand_model_path) as bundle:
        network = litert.Interpreter(model_content=bundle.read(NETWORK_FILE), num_threads=1)
    network.allocate_tensors()
    places = [output["index"] for output in network.get_output_details()]
    rows = []
    for crop in crops:
        network.set_tensor(network.get_input_details()[0]["index"], crop.transpose(1, 2, 0)[None])
        network.invoke()
        rows.append([network.get_tensor(place)[0] for place in places])
    # As MediaPipe's own graph takes them: landmarks, hand flag, handedness, world landmarks.
    landmarks, presence, right, world = (np.stack(column) for column in zip(*rows, strict=True))
    assert np.allclose(ours["landmarks"].reshape(-1, 63), landmarks, rtol=0, atol=1e-3)  # pixels
    assert np.allclose(sigmoid(ours["presence"]), presence[:, 0], rtol=0, atol=1e-3)
    assert np.allclose(sigmoid(ours["right"]), right[:, 0], rtol=0, atol=1e-3)
    assert np.allclose(ours["world"].reshape(-1, 63), world, rtol=0, atol=1e-5)  # metres


def test_each_output_means_what_its_name_says(hands, ours):
    count = len(hands)
    presence, right = sigmoid(ours["presence"]), sigmoid(ours["right"])
    assert presence[: 2 * count].min() > 0.9 and presence[-1] < 0.1
    assert right[:count].min() > 0.9 and right[count:-1].max() < 0.1  # mirrored: left hands
    for i, hand in enumerate(hands):
        square = upright_square(hand.landmarks)
        points = ours["landmarks"][i] / INPUT_SIZE * (1, 1, DEPTH)
        live = crop_landmarks(hand.landmarks, square, mirror=False)
        assert np.abs(points - live)[:, :2].max() < 0.03
        assert np.abs(points - live).mean() < 0.015
        turned = ours["world"][i] @ to_upright(np.array([square.angle]))[0]
        assert np.linalg.norm(turned - hand.world_landmarks, axis=1).max() < 0.01


def test_smaller_crops_give_smaller_maps_of_the_same_hand(backbone, crops):
    large = torch.from_numpy(crops[: len(SHOWN)])
    small = torch.nn.functional.interpolate(large, size=160, mode="area")
    with torch.inference_mode():
        assert backbone(large[:1]).shape == (1, FEATURES, 7, 7)
        assert backbone(small[:1]).shape == (1, FEATURES, 5, 5)
        one, other = backbone.pool(large), backbone.pool(small)
    alike = torch.cosine_similarity(one[:, None], other[None], dim=2)
    assert alike.argmax(1).tolist() == list(range(len(SHOWN)))
    assert alike.diag().min() > 0.88


@pytest.fixture(scope="module")
def shipped() -> bytes:
    return (MODELS / "hand.onnx").read_bytes()


def refused(path: Path) -> str:
    with pytest.raises(UserError) as raised:
        load_backbone(path)
    message = str(raised.value)
    assert str(path) in message and "\n" not in message
    assert message.endswith("Make it again with: python -m train.backbone.hand_networks")
    return message


def test_what_is_no_onnx_file_is_refused(tmp_path: Path, shipped: bytes):
    path = tmp_path / "hand.onnx"
    assert "No such file" in refused(path)
    for data in (b"<html>Please log in</html>", bytes(1000), np.random.default_rng(0).bytes(5000)):
        path.write_bytes(data)
        assert "can't be read as the hand network" in refused(path)
    path.write_bytes(shipped)
    load_backbone(path)


@pytest.mark.parametrize("size", [0, 7, 8, 12, 1000, 100_000, -10_000])
def test_a_truncated_file_is_refused(tmp_path: Path, shipped: bytes, size: int):
    path = tmp_path / "hand.onnx"
    path.write_bytes(shipped[:size])
    refused(path)


@pytest.mark.parametrize("name", ["palm", "landmarks"])
def test_another_network_is_refused(tmp_path: Path, name: str):
    path = tmp_path / "hand.onnx"
    path.write_bytes((MODELS / f"{name}.onnx").read_bytes())
    assert "holds another network than hand_landmark_full" in refused(path)


@pytest.mark.parametrize("which", ["_weight", "_bias"])
def test_a_network_of_as_many_layers_but_other_sizes_is_refused(
    tmp_path: Path, shipped: bytes, which: str
):
    model = onnx.load_from_string(shipped)
    name = next(n.input[1 + (which == "_bias")] for n in model.graph.node if n.op_type == "Conv")
    stored = next(w for w in model.graph.initializer if w.name.removesuffix("_half") == name)
    few = numpy_helper.to_array(stored)[:1]  # would broadcast
    stored.CopyFrom(numpy_helper.from_array(few, stored.name))
    onnx.save(model, tmp_path / "hand.onnx")
    assert "holds another network" in refused(tmp_path / "hand.onnx")
