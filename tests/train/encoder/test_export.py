"""A checkpoint as the ONNX file that the live program runs: the same numbers, little room."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("onnxscript", reason="training needs requirements-train.txt")

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engines.encoder import HAND_FILE, MODELS, open_encoder
from engines.errors import UserError
from engines.hand_networks import HAND
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxHandNetwork
from engines.spec import FINGERPRINT_KEY, NO_POINTS, SPEC_KEY, EncoderInputs, to_floats
from realtime.hands.geometry import cut, turns_of
from realtime.hands.opening import open_detector
from realtime.measuring.drawn_crops import drawn_crops
from realtime.types import Frame
from tests.cli import fault, fine, hand_picture, main_py
from tests.train.encoder.training import MODEL
from train.backbone.backbone import INPUT_SIZE, load_backbone
from train.backbone.landmark_baseline import compute_features
from train.encoder import export as module
from train.encoder.checkpoint import load_checkpoint
from train.encoder.export import (
    MAX_DIFFERENCE,
    MIN_HALVED_SIZE,
    OPSET,
    export,
    store_half_precision,
)
from train.encoder.model import GEOMETRY, GestureEncoder, ModelConfig, Pass, turn_upright
from train.runs.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained encoder of the default size, on MediaPipe's weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("default") / "encoder.pt"
    save_checkpoint(GestureEncoder(ModelConfig(), load_backbone()), {}, path)
    return path


@pytest.fixture(scope="module")
def exported(default: Path) -> tuple[Path, str, float]:
    """File, fingerprint, difference; nothing may be said on the way."""
    path, said = default.with_suffix(".onnx"), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        found = export(default, path, "trial-1")
    assert said.getvalue() == ""
    return path, *found


@pytest.fixture
def small(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    save_checkpoint(GestureEncoder(MODEL), {}, tmp_path / "small.pt")
    return tmp_path / "small.pt"


def noise(count: int, size: int, seed: int = 0) -> EncoderInputs:
    """uint8 crops of one colour each, with noise, and turns."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (count, 1, 1, 3)) + rng.integers(-40, 40, (count, size, size, 3))
    angles = rng.uniform(-np.pi, np.pi, count)
    turns = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return EncoderInputs(np.clip(crops, 0, 255).astype(np.uint8), *NO_POINTS, turns)


def in_pytorch(checkpoint: Path, crops: np.ndarray, turns: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs by name, landmarks in crop widths."""
    model, _ = load_checkpoint(checkpoint)
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return in_widths(model(pictures, torch.from_numpy(turns)))


def in_widths(outputs: Any) -> dict[str, np.ndarray]:
    found = {name: np.asarray(getattr(outputs, name)) for name in Pass._fields}
    return {**found, "landmarks": found["landmarks"] / INPUT_SIZE}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", [noise, drawn_crops])
def test_onnx_runtime_gives_what_pytorch_gives(default: Path, exported, kind, count: int) -> None:
    path, _, difference = exported
    assert 0 <= difference <= MAX_DIFFERENCE == 1e-4
    encoder, inputs = OnnxEncoder(path), kind(count, INPUT_SIZE)
    expected = in_pytorch(default, inputs.crops, inputs.turns)
    found = in_widths(encoder.look(inputs.crops, inputs.turns))
    for name, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[name], atol=MAX_DIFFERENCE, rtol=0)
    assert found["embedding"].shape == (count, 256)
    assert np.array_equal(encoder.encode(inputs), found["embedding"])
    np.testing.assert_allclose(np.linalg.norm(found["embedding"], axis=1), 1.0, atol=1e-5)
    alone = [encoder.encode(inputs.rows(slice(i, i + 1)))[0] for i in range(count)]
    np.testing.assert_allclose(found["embedding"], alone, atol=1e-5)


def test_it_finds_hands_as_the_hand_network_does(exported) -> None:
    """Within 1e-4 of a crop's width, and so for what else hand.onnx gives."""
    inputs = drawn_crops(6, HAND.size)
    flipped = np.ascontiguousarray(inputs.crops[:, :, ::-1])
    crops, turns = np.concatenate([inputs.crops, flipped]), np.tile(inputs.turns, (2, 1))
    alone = OnnxHandNetwork(HAND_FILE).look(crops, turns)
    found = OnnxEncoder(exported[0]).look(crops, turns)
    unit = {"landmarks": HAND.size}
    for name in HAND.outputs:
        difference = np.abs(getattr(found, name) - getattr(alone, name)) / unit.get(name, 1)
        assert difference.max() < 1e-4, name
    assert alone.embedding.shape == (12, 0) and (found.presence > 0.5).sum() > 8
    assert found.right[:6].mean() > 0.8 > 0.2 > found.right[6:].mean()


def test_the_live_loop_sees_what_pytorch_and_the_file_give(default: Path, exported) -> None:
    """One frame three ways: the backbone and head in PyTorch, the ONNX file, and the detector."""
    encoder = OnnxEncoder(exported[0])
    for side in ("right", "left"):
        picture = hand_picture("Victory", side)
        with open_detector("engine", encoder, video=False) as detector:
            (seen,) = detector.detections(picture)
            (hand,) = detector.detect(Frame(picture, 0, 0.0))
        assert seen.look is not None and hand.embedding is not None and hand.side == side
        turns = turns_of([seen.look.square.angle])
        crops = cut(picture, seen.look.square, INPUT_SIZE, mirror=False)[None]
        assert np.array_equal(crops[0], hand.crop) and not hand.mirrored
        ways = [in_pytorch(default, crops, turns), in_widths(encoder.look(crops, turns))]
        for way in ways:
            points = (way["landmarks"][0, :, :2] - 0.5) * hand.square.width
            turned = points[:, 0] + 1j * points[:, 1]
            turned = turned * np.exp(1j * hand.square.angle) + hand.square.x + 1j * hand.square.y
            away = np.abs(turned - (hand.landmarks[:, 0] + 1j * hand.landmarks[:, 1]))
            assert away.max() < 1e-4 * hand.square.width
            upright = turn_upright(
                torch.from_numpy(way["world_landmarks"]), torch.from_numpy(turns)
            )
            np.testing.assert_allclose(hand.world_landmarks, upright[0].numpy(), atol=1e-5)
            np.testing.assert_allclose(hand.embedding, way["embedding"][0], atol=MAX_DIFFERENCE)
            right = float(way["right"][0])
            assert hand.score == pytest.approx(max(right, 1 - right), abs=1e-4)


@pytest.mark.parametrize("angle", [0.5, -1.2, np.pi])
def test_a_turned_crop_shows_the_same_hand_in_another_geometry(default: Path, angle: float) -> None:
    """Turns are read by the geometry alone; in the camera's frame the hand turns with the crop."""
    model, _ = load_checkpoint(default)
    assert isinstance(model, GestureEncoder)
    crops = torch.from_numpy(to_floats(drawn_crops(2, INPUT_SIZE).crops))
    plain, turned = (
        torch.tensor([[1.0, 0.0]] * 2),
        torch.tensor([[np.cos(angle), np.sin(angle)]] * 2),
    )
    with torch.inference_mode():
        (found, before), (again, after) = (
            model.features(crops, t.float()) for t in (plain, turned)
        )
    assert all(map(torch.equal, found, again))
    assert torch.equal(before[:, :-GEOMETRY], after[:, :-GEOMETRY])
    expected = compute_features((found.world @ rotation(angle).T).numpy())
    np.testing.assert_allclose(after[:, -GEOMETRY:].numpy(), expected, atol=1e-4)
    assert (before - after).abs().max() > 0.3


def rotation(angle: float) -> torch.Tensor:
    """(3, 3), clockwise, as seen in a picture whose y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float32)


def test_the_file_says_what_it_takes_and_gives(exported) -> None:
    path, mark, _ = exported
    encoder = open_encoder(str(path))
    spec = encoder.spec
    assert (spec.name, spec.dim, spec.crop_size) == ("trial-1", 256, 224)
    assert spec.inputs == ("crop", "turn") and spec.one_pass
    assert (spec.similarity, spec.crop_mean, spec.crop_std) == ("cosine", (0, 0, 0), (1, 1, 1))
    assert encoder.fingerprint == mark
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key for entry in model.metadata_props} >= {SPEC_KEY, FINGERPRINT_KEY}
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    batch = shapes["crop"][0]
    assert isinstance(batch, str)
    assert shapes == {
        "crop": [batch, 3, 224, 224],
        "turn": [batch, 2],
        "landmarks": [batch, 21, 3],
        "presence": [batch],
        "right": [batch],
        "world_landmarks": [batch, 21, 3],
        "embedding": [batch, 256],
    }


def test_the_file_takes_little_room(exported) -> None:
    path, _, _ = exported
    assert path.stat().st_size <= 9e6
    weights = onnx.load(path).graph.initializer
    large = [w for w in weights if np.prod(w.dims) >= MIN_HALVED_SIZE]
    assert TensorProto.FLOAT not in {w.data_type for w in large}
    assert sum(int(np.prod(w.dims)) for w in large) > 2.5e6
    assert [file.name for file in path.parent.iterdir() if file.suffix == ".data"] == []


@pytest.mark.slow
def test_the_same_checkpoint_has_the_same_fingerprint(default: Path, exported, tmp_path: Path):
    path, mark, difference = exported
    assert export(default, tmp_path / "x.onnx", "trial-1") == (mark, difference)
    assert (tmp_path / "x.onnx").read_bytes() == path.read_bytes()
    assert export(default, tmp_path / "x.onnx", "trial-2")[0] != mark


def test_only_large_constants_are_halved() -> None:
    rng = np.random.default_rng(0)
    large, small = rng.normal(0, 1, (MIN_HALVED_SIZE, 4)), rng.normal(0, 1, (MIN_HALVED_SIZE - 1,))
    constants: dict[str, np.ndarray] = {
        "large": large.astype(np.float32),
        "small": small.astype(np.float32),
        "places": np.arange(MIN_HALVED_SIZE, dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["large", "places"], ["rows"], axis=0),
        helper.make_node("MatMul", ["x", "rows"], ["product"]),
        helper.make_node("ReduceSum", ["small"], ["sum"], keepdims=0),
        helper.make_node("Add", ["product", "sum"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "trial",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", MIN_HALVED_SIZE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    halved = store_half_precision(model)
    onnx.checker.check_model(halved, full_check=True)
    stored = {w.name: numpy_helper.to_array(w) for w in halved.graph.initializer}
    kinds = {name: value.dtype for name, value in stored.items()}
    assert kinds == {"large_half": np.float16, "small": np.float32, "places": np.int64}
    x = rng.normal(0, 1, (3, MIN_HALVED_SIZE)).astype(np.float32)
    (found,) = ReferenceEvaluator(halved).run(None, {"x": x})
    assert isinstance(found, np.ndarray)
    exact = x @ stored["large_half"].astype(np.float32) + stored["small"].sum()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-4)
    assert np.abs(exact - (x @ large + small.sum())).max() > 1e-4  # halving does cost something


def test_a_broken_checkpoint_is_told_and_nothing_written(small: Path, tmp_path: Path) -> None:
    small.write_bytes(small.read_bytes()[:5000])
    with pytest.raises(UserError, match="small.pt is no checkpoint of this project"):
        export(small, tmp_path / "x.onnx", "small-1")
    assert [path.name for path in tmp_path.iterdir()] == ["small.pt"]


@pytest.fixture
def at_once(exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter gives what it gave before."""
    program = SimpleNamespace(model_proto=onnx.load(exported[0]))
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: program)


def test_an_encoder_that_runs_otherwise_is_not_kept(
    default: Path, at_once, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "measure_difference", lambda *_: 2e-4)
    with pytest.raises(UserError, match=r"differ by 2.0e-04 on .*encoder.pt, more than 1e-04"):
        export(default, tmp_path / "x.onnx", "trial-1")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.onnx").write_bytes(b"before")
    with pytest.raises(UserError, match="nothing was written"):
        export(default, tmp_path / "x.onnx", "trial-1")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_a_place_that_cannot_be_written_is_told(default: Path, at_once, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(UserError, match=r"x.onnx can't be written \(Is a directory\)"):
        export(default, tmp_path / "x.onnx", "trial-1")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


def test_parity_sees_a_difference(default: Path, exported) -> None:
    path, _, difference = exported
    model, _ = load_checkpoint(default)
    assert isinstance(model, GestureEncoder)
    spec = OnnxEncoder(path).spec
    assert module.measure_difference(model, spec, path) == difference
    with torch.no_grad():
        model.head.linear.weight[0] += 0.01
    assert module.measure_difference(model, spec, path) > MAX_DIFFERENCE


@pytest.mark.slow
def test_the_shipped_pair_is_one_encoder(tmp_path: Path) -> None:
    shipped = open_encoder("default")
    mark, _ = export(MODELS / "default.pt", tmp_path / "again.onnx", shipped.spec.name)
    assert mark == shipped.fingerprint


@pytest.mark.slow
def test_export_from_the_command_line(small: Path, tmp_path: Path) -> None:
    run = fine(main_py("export", small, "--out", "x.onnx", "--name", "mine", cwd=tmp_path))
    encoder = open_encoder(str(tmp_path / "x.onnx"))
    assert run.stdout == "" and run.stderr.count("\n") == 1
    assert run.stderr.startswith(f"x.onnx: fingerprint {encoder.fingerprint[:12]}, largest")
    assert encoder.spec.name == "mine" and encoder.encode(noise(2, 64)).shape == (2, 16)


def test_slips_of_the_export_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text(json.dumps({"format": 1}))
    said = fault(main_py("export", "text.pt", "--out", "x.onnx", cwd=tmp_path))
    assert "text.pt is no checkpoint of this project" in said and "run.py train" in said
    (tmp_path / "junk.pt").write_text("junk\n")
    said = fault(main_py("export", "junk.pt", "--out", "x.onnx", cwd=tmp_path))
    assert "junk.pt is no checkpoint of this project (it is no PyTorch file)" in said
    said = fault(main_py("export", "text.pt", "--out", "no/x.onnx", cwd=tmp_path))
    assert "no is not a folder that you can write to" in said
