"""A checkpoint as the ONNX file that the live program runs: the same numbers, little room."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("onnxscript", reason="training needs requirements-train.txt")

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engines.encoder import MODELS, open_encoder
from engines.errors import UserError
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import FINGERPRINT_KEY, INPUTS, SPEC_KEY
from tests.cli import fault, fine, main_py
from tests.train.encoder.training import MODEL
from train.backbone.backbone import load_backbone
from train.encoder import export as module
from train.encoder.checkpoint import load_checkpoint
from train.encoder.export import (
    MAX_DIFFERENCE,
    MIN_HALVED_SIZE,
    OPSET,
    export,
    store_half_precision,
)
from train.encoder.model import GestureEncoder, ModelConfig
from train.runs.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def default(hand_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained encoder of the default size, on MediaPipe's weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("default") / "encoder.pt"
    save_checkpoint(GestureEncoder(ModelConfig(), load_backbone(hand_model_path)), {}, path)
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


def hands(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 crops, and landmarks of which some lie outside the crop."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (count, 1, 1, 3)) + rng.integers(-40, 40, (count, size, size, 3))
    landmarks = rng.uniform(-0.2, 1.2, (count, 21, 3)).astype(np.float32)
    world = rng.normal(0.0, 0.05, (count, 21, 3)).astype(np.float32)
    return np.clip(crops, 0, 255).astype(np.uint8), landmarks, world


def in_pytorch(
    checkpoint: Path, crops: np.ndarray, landmarks: np.ndarray, world: np.ndarray
) -> np.ndarray:
    model, _ = load_checkpoint(checkpoint)
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return model(pictures, torch.from_numpy(landmarks), torch.from_numpy(world)).numpy()


@pytest.mark.parametrize("count", [1, 3])
def test_onnx_runtime_gives_what_pytorch_gives(default: Path, exported, count: int) -> None:
    path, _, difference = exported
    assert 0 <= difference <= MAX_DIFFERENCE == 1e-4
    encoder, inputs = OnnxEncoder(path), hands(count, 160)
    found = encoder.encode(*inputs)
    assert found.shape == (count, 256) and found.dtype == np.float32
    np.testing.assert_allclose(found, in_pytorch(default, *inputs), atol=MAX_DIFFERENCE, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    one_by_one = [encoder.encode(*(part[i : i + 1] for part in inputs))[0] for i in range(count)]
    np.testing.assert_allclose(found, one_by_one, atol=1e-5)


def test_the_file_says_what_it_takes_and_gives(exported) -> None:
    path, mark, _ = exported
    encoder = open_encoder(str(path))
    spec = encoder.spec
    assert (spec.name, spec.inputs, spec.dim, spec.crop_size) == ("trial-1", INPUTS, 256, 160)
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
        "crop": [batch, 3, 160, 160],
        "landmarks": [batch, 21, 3],
        "world_landmarks": [batch, 21, 3],
        "embedding": [batch, 256],
    }


def test_the_file_takes_little_room(exported) -> None:
    path, _, _ = exported
    assert path.stat().st_size <= 8e6
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
    mark, _ = export(MODELS / "default.pt", tmp_path / "again.onnx", "default-1")
    assert mark == open_encoder("default").fingerprint


@pytest.mark.slow
def test_export_from_the_command_line(small: Path, tmp_path: Path) -> None:
    run = fine(main_py("export", small, "--out", "x.onnx", "--name", "mine", cwd=tmp_path))
    encoder = open_encoder(str(tmp_path / "x.onnx"))
    assert run.stdout == "" and run.stderr.count("\n") == 1
    assert run.stderr.startswith(f"x.onnx: fingerprint {encoder.fingerprint[:12]}, largest")
    assert encoder.spec.name == "mine" and encoder.encode(*hands(2, 64)).shape == (2, 16)


def test_slips_of_the_export_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text(json.dumps({"format": 1}))
    said = fault(main_py("export", "text.pt", "--out", "x.onnx", cwd=tmp_path))
    assert "text.pt is no checkpoint of this project" in said and "run.py train" in said
    (tmp_path / "junk.pt").write_text("junk\n")
    said = fault(main_py("export", "junk.pt", "--out", "x.onnx", cwd=tmp_path))
    assert "junk.pt is no checkpoint of this project (it is no PyTorch file)" in said
    said = fault(main_py("export", "text.pt", "--out", "no/x.onnx", cwd=tmp_path))
    assert "no is not a folder that you can write to" in said
