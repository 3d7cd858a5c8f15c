"""A one-pass encoder and the palm network beside it as plans, on a simulated GPU."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engines import encoder as encoders
from engines.encoder import HAND_FILE, PALM_FILE, open_encoder, open_hand_networks
from engines.errors import UserError
from engines.hand_networks import PALM
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxHandNetwork, OnnxNetwork
from engines.tensorrt import encoder as tensorrt_encoder
from engines.tensorrt.encoder import TensorRTEncoder, TensorRTPalm, open_palm_plan, open_plan
from engines.tensorrt.sidecar import load, save, sidecar_path
from tests.engines.one_pass import SPEC, one_pass_model, save_one_pass
from tests.engines.tensorrt.played import CLASSIC, RTX, play
from tests.engines.tensorrt.simulated_gpu import Gpu
from tests.engines.test_engines import PICTURE, hands, picture_model


@pytest.fixture
def folder(gpu: Gpu, tmp_path: Path, monkeypatch) -> Path:
    """e.onnx, a one-pass encoder, with e.plan and, as it was built once, palm.plan."""
    save_one_pass(tmp_path / "e.onnx")
    play(tmp_path / "e.onnx", tmp_path / "e.plan", gpu, monkeypatch)
    play(PALM_FILE, tmp_path / "palm.plan", gpu, monkeypatch)
    return tmp_path


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, *PALM.input_shape), np.float32)


@pytest.mark.parametrize("runtime", [CLASSIC, RTX])
def test_a_pass_gives_what_onnx_runtime_gives(
    runtime: str, gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    save_one_pass(tmp_path / "e.onnx")
    encoder = open_plan(play(tmp_path / "e.onnx", tmp_path / "e.plan", gpu, monkeypatch, runtime))
    original = OnnxEncoder(tmp_path / "e.onnx")
    for count in (1, 2, 8, 11, 0):
        batch = hands(count, SPEC.crop_size)
        given = encoder.look(batch.crops, batch.turns)
        wanted = original.look(batch.crops, batch.turns)
        for name, values in vars(wanted).items():
            found = vars(given)[name]
            assert found.dtype == np.float32 and found.shape == values.shape, name
            np.testing.assert_allclose(found, values, atol=1e-6)
        assert np.array_equal(encoder.encode(batch), given.embedding)
        assert encoder.gpu_ms == 1.5 * -(-count // 8)
    encoder.close()
    assert gpu.device == {} and gpu.pinned == 0


def test_the_palm_network_on_the_gpu(folder: Path, gpu: Gpu) -> None:
    palm, original = open_palm_plan(folder / "palm.plan", PALM_FILE), OnnxNetwork(PALM_FILE, PALM)
    for count in (1, 8, 9):
        given, wanted = palm.run(pictures(count)), original.run(pictures(count))
        for name, shape in PALM.outputs.items():
            assert given[name].shape == (count, *shape)
            np.testing.assert_allclose(given[name], wanted[name], atol=1e-3)
    assert palm.gpu_ms == 3.0
    palm.close()
    palm.close()
    assert gpu.device == {} and gpu.pinned == 0
    with pytest.raises(UserError, match="palm.plan has been closed"):
        palm.run(pictures(1))


def test_the_sidecar_says_what_a_plan_does(folder: Path) -> None:
    said = {}
    for name in ("e", "palm"):
        plan = folder / f"{name}.plan"
        said[name] = json.loads(sidecar_path(plan).read_text())["role"]
        assert load(plan).role == said[name]
    assert said == {"e": "hand pass", "palm": "palm"}
    assert list(load(folder / "e.plan").outputs) == [
        "embedding",
        "landmarks",
        "presence",
        "right",
        "world_landmarks",
    ]
    assert load(folder / "palm.plan").spec is None
    assert load(folder / "palm.plan").inputs == {"picture": (3, 192, 192)}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("e", {"role": "palm"}),
        ("e", {"role": "encoder"}),
        ("e", {"role": "hand"}),
        ("e", {"role": None}),
        ("palm", {"role": "hand pass"}),
        ("palm", {"role": "encoder"}),
    ],
)
def test_a_role_that_is_not_the_plan_s_is_told(name: str, change, folder: Path) -> None:
    path = sidecar_path(folder / f"{name}.plan")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match="doesn't say what a plan was built for"):
        load(folder / f"{name}.plan")


def test_plans_in_each_other_s_place_are_told(folder: Path) -> None:
    with pytest.raises(UserError, match="palm.plan holds the palm network; name the encoder's"):
        open_plan(folder / "palm.plan")
    with pytest.raises(
        UserError, match="e.plan holds an encoder and not the palm network; .* --on"
    ):
        open_palm_plan(folder / "e.plan", PALM_FILE)
    with pytest.raises(UserError, match="from another file than models/palm.onnx; build it again"):
        open_palm_plan(folder / "palm.plan", HAND_FILE)
    with pytest.raises(
        UserError, match="no plan at .*; build one: .* --onnx models/palm.onnx --en"
    ):
        open_palm_plan(folder / "none.plan", PALM_FILE)


@pytest.mark.parametrize("engine", ["auto", "e.plan"])
def test_the_palm_network_runs_where_the_encoder_does(
    engine: str, folder: Path, gpu: Gpu, capsys
) -> None:
    name = engine if engine == "auto" else str(folder / engine)
    encoder = open_encoder(str(folder / "e.onnx"), name)
    palm, network = open_hand_networks(encoder)
    assert isinstance(palm, TensorRTPalm) and isinstance(encoder, TensorRTEncoder)
    assert network is encoder and capsys.readouterr().err == ""
    palm.close()
    encoder.close()
    assert gpu.device == {}


def test_the_plan_s_own_palm_plan_goes_first(folder: Path, gpu: Gpu, monkeypatch, capsys) -> None:
    own = play(PALM_FILE, folder / "e.palm.plan", gpu, monkeypatch)
    opened: list[Path] = []

    def note(path: Path, onnx: Path) -> TensorRTPalm:
        opened.append(path)
        return open_palm_plan(path, onnx)

    monkeypatch.setattr(tensorrt_encoder, "open_palm_plan", note)
    encoder = open_encoder(str(folder / "e.onnx"))
    for wanted in (own, folder / "palm.plan"):
        open_hand_networks(encoder)[0].close()
        assert opened.pop() == wanted
        own.unlink(missing_ok=True)
    encoder.close()
    assert gpu.device == {} and capsys.readouterr().err == ""


@pytest.mark.parametrize("data", [None, b"", b"rubbish"])
def test_a_fault_of_the_onnx_file_beside_a_plan_is_told_once(data, folder: Path, capsys) -> None:
    path = folder / "e.onnx"
    path.write_bytes(path.read_bytes()[:-9] if data is None else data)
    with pytest.raises(UserError, match="e.onnx can't be opened as an ONNX file"):
        open_encoder(str(path))
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_palm_network_s_file_is_told_once(folder: Path, monkeypatch, capsys) -> None:
    encoder = open_encoder(str(folder / "e.onnx"))
    monkeypatch.setattr(encoders, "PALM_FILE", folder / "none.onnx")
    with pytest.raises(UserError, match="none.onnx can't be opened as an ONNX file"):
        open_hand_networks(encoder)
    assert capsys.readouterr().err == ""
    encoder.close()


def test_without_its_plan_the_palm_network_runs_on_the_cpu_and_says_so_once(
    folder: Path, capsys
) -> None:
    (folder / "palm.plan").unlink()
    encoder = open_encoder(str(folder / "e.onnx"), str(folder / "e.plan"))
    for _ in range(2):
        palm, network = open_hand_networks(encoder)
        assert isinstance(palm, OnnxNetwork) and network is encoder
        palm.close()
    [said] = capsys.readouterr().err.splitlines()
    command = f"python run.py build --onnx models/palm.onnx --engine {folder / 'e.palm.plan'}"
    assert command in said
    assert said.endswith("The palm network runs on ONNX Runtime's CPU instead.")
    shutil.copy(folder / "e.plan", folder / "palm.plan")  # beside the sidecar of the one before
    assert isinstance(open_hand_networks(encoder)[0], OnnxNetwork)
    assert (
        f"palm.plan has {(folder / 'palm.plan').stat().st_size} bytes where"
        in capsys.readouterr().err
    )
    encoder.close()


def test_an_encoder_with_two_inputs_leaves_both_networks_to_the_cpu(
    folder: Path, gpu: Gpu, monkeypatch, capsys
) -> None:
    save_encoder(picture_model(), PICTURE, folder / "two.onnx")
    play(folder / "two.onnx", folder / "two.plan", gpu, monkeypatch)
    encoder = open_encoder(str(folder / "two.onnx"))
    palm, network = open_hand_networks(encoder)
    assert isinstance(palm, OnnxNetwork) and isinstance(network, OnnxHandNetwork)
    assert encoder.engine_name.endswith("two.plan") and capsys.readouterr().err == ""
    encoder.close()


def test_an_old_plan_without_a_role_is_an_encoder_s(folder: Path, gpu: Gpu, monkeypatch) -> None:
    save_encoder(picture_model(), PICTURE, folder / "two.onnx")
    plan = play(folder / "two.onnx", folder / "two.plan", gpu, monkeypatch)
    fields = json.loads(sidecar_path(plan).read_text())
    assert fields.pop("role") == "encoder"
    sidecar_path(plan).write_text(json.dumps(fields))
    assert load(plan).role == "encoder"
    encoder = open_plan(plan)
    assert encoder.encode(hands(2)).shape == (2, 8)
    encoder.close()


def test_a_plan_of_other_outputs_than_its_sidecar_says(
    gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    """As one that was built before the encoder found landmarks."""
    model = one_pass_model()
    model.graph.output.remove(next(o for o in model.graph.output if o.name == "presence"))
    save_one_pass(tmp_path / "e.onnx")
    plan = play(tmp_path / "e.onnx", tmp_path / "e.plan", gpu, monkeypatch)
    data = model.SerializeToString()
    plan.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    save(dataclasses.replace(load(plan), plan_bytes=len(data), plan_sha256=digest), plan)
    with pytest.raises(UserError, match="has the tensors .* where its sidecar says .*presence"):
        open_plan(plan)
    assert gpu.device == {} and gpu.pinned == 0
