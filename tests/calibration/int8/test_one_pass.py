"""8 bits of an encoder that finds landmarks, too: both decide which layers stay in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.int8 import quantize
from calibration.int8 import report as int8_report
from calibration.int8.crops import mirror_every_second
from calibration.int8.graph import FloatGraph
from calibration.int8.quantize import DRIFTS, choose, outputs
from calibration.int8.report import compare_passes
from engines.errors import UserError
from engines.hand_networks import HAND
from engines.onnx_file import load_encoder, save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import EncoderSpec
from realtime.hands.detector import Detector
from tests.calibration.int8.int8_files import CONVOLUTIONS, drawn, small_model, write_prepared
from train.evaluation.quantize import lines, quantize_encoder

SPEC = EncoderSpec("small-pass-1", ("crop", "turn"), 12, crop_size=32)
HEADS = ("landmarks", "presence", "right", "world_landmarks")


def one_pass_model() -> onnx.ModelProto:
    """The small encoder, with a dense layer for each other output; the embedding reads the turn."""
    model, rng = small_model(), np.random.default_rng(5)
    graph, node = model.graph, helper.make_node
    scales = {"landmarks": 3.0, "world_landmarks": 0.002}
    made, last = [], {"presence": "Sigmoid", "right": "Sigmoid"}
    for name in HEADS:
        shape = HAND.outputs[name]
        weights = rng.normal(0, scales.get(name, 0.3), (int(np.prod(shape)), 24))
        graph.initializer.extend(
            [
                numpy_helper.from_array(weights.astype(np.float32), f"{name}.weight"),
                numpy_helper.from_array(np.array([-1, *shape]), f"{name}.shape"),
            ]
        )
        ends = f"{name}.logit" if name in last else name
        made += [
            node("Gemm", ["flat", f"{name}.weight"], [f"{name}.flat"], name=name, transB=1),
            node("Reshape", [f"{name}.flat", f"{name}.shape"], [ends]),
        ]
        made += [node("Sigmoid", [ends], [name])] if name in last else []
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        graph.output.append(info)
    mix = rng.normal(0, 2.0, (2, 12)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(mix, "mix"))
    graph.input.append(helper.make_tensor_value_info("turn", TensorProto.FLOAT, ["N", 2]))
    for each in graph.node:  # the sum of both branches takes the turn in
        each.input[:] = ["turned" if name == "both" else name for name in each.input]
    at = next(i for i, each in enumerate(graph.node) if each.op_type == "ReduceL2")
    for each in (
        node("Add", ["both", "turning"], ["turned"]),
        node("MatMul", ["turn", "mix"], ["turning"], name="mix"),
    ):
        graph.node.insert(at, each)
    graph.node.extend(made)
    return model


HANDS = drawn(48)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return one_pass_model()


@pytest.fixture(autouse=True)
def quickly(monkeypatch) -> None:
    monkeypatch.setattr(quantize, "BINS", 128)
    monkeypatch.setattr(quantize, "LEVELS", 32)
    monkeypatch.setattr(int8_report, "ROUNDS", 2)


def test_both_drifts_are_measured(model) -> None:
    graph = FloatGraph(model, "small")
    assert {*CONVOLUTIONS, *HEADS, "mix"} <= set(graph.layers)
    choice, _ = choose(model, graph, SPEC, HANDS, drawn(16, seed=5), drift=0.05)
    report = choice.report
    alone = report["drifts_of_each_layer_alone"]
    assert set(alone) == set(graph.layers) == set(report["drift_of_each_layer_alone"])
    for name in HEADS:  # a head moves nothing but its own output
        assert alone[name][name] > 0
        assert all(abs(alone[name][other]) < 1e-6 for other in {*HEADS, "embedding"} - {name})
    assert alone["mix"]["embedding"] > 0 and alone["mix"]["landmarks"] == 0
    together = report["drifts_of_the_others"]
    assert together["embedding"] == report["drift_of_the_others"] <= 0.05
    assert all(together[name] <= most for name, most in DRIFTS.items())
    assert set(report["drifts_by_method"]) == set(report["drift_by_method"])


def test_a_layer_that_moves_only_landmarks_stays_in_float(model) -> None:
    """One of its weights is far larger than the others, which int8 can't hold beside it."""
    coarse = onnx.ModelProto()
    coarse.CopyFrom(model)
    for constant in coarse.graph.initializer:
        if constant.name == "landmarks.weight":
            values = numpy_helper.to_array(constant).copy()
            values[:, 3] *= 60
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    choice, _ = choose(
        coarse, FloatGraph(coarse, "coarse"), SPEC, HANDS, drawn(16, seed=5), drift=0.2
    )
    assert "landmarks" in choice.report["left_in_float_as_sensitive"]
    assert "landmarks" not in choice.layers
    assert choice.report["drift_of_each_layer_alone"]["landmarks"] < 1e-6


def test_no_drift_at_all_cannot_be_had(model, monkeypatch) -> None:
    monkeypatch.setattr(quantize, "DRIFTS", dict.fromkeys(DRIFTS, 1e-12))
    with pytest.raises(UserError, match="every layer .* or changes what else it gives by too much"):
        choose(model, FloatGraph(model, "small"), SPEC, HANDS, drawn(8, seed=1), drift=1e-12)


def test_every_second_hand_is_mirrored() -> None:
    hands = drawn(4)
    found = mirror_every_second(hands)
    for i in (0, 2):
        for before, after in zip(hands.inputs(), found.inputs(), strict=True):
            assert np.array_equal(before[i], after[i])
    for i in (1, 3):
        assert np.array_equal(found.crops[i], hands.crops[i, :, ::-1])
        np.testing.assert_allclose(found.landmarks[i, :, 0], 1 - hands.landmarks[i, :, 0])
        assert np.array_equal(found.landmarks[i, :, 1:], hands.landmarks[i, :, 1:])
        assert np.array_equal(found.world_landmarks[i, :, 0], -hands.world_landmarks[i, :, 0])
        assert np.array_equal(found.turns[i], hands.turns[i] * [1, -1])
    assert found.crops.dtype == np.uint8 and found.turns.dtype == np.float32
    assert list(found.names) == list(hands.names)


def test_passes_are_compared() -> None:
    points = np.zeros((4, 21, 3), np.float32)
    moved = points.copy()
    moved[0, 0] = (HAND.size * 0.03, HAND.size * 0.04, 99)
    sure = np.array([0.9, 0.9, 0.1, 0.1], np.float32)
    rows = np.ones((4, 2), np.float32)
    before = {"landmarks": points, "presence": sure, "right": sure, "embedding": rows}
    after = {"landmarks": moved, "presence": sure[::-1], "right": sure - 0.5, "embedding": rows}
    found = compare_passes(before, after)
    assert found["landmarks_most"] == pytest.approx(0.05)
    assert found["landmarks_mean"] == pytest.approx(0.05 / 84)
    assert found["another_presence"] == 1.0 and found["another_side"] == 0.5
    assert compare_passes({"embedding": rows}, {"embedding": rows}) == {}


def no_detector() -> Detector:
    raise AssertionError("no picture is to be looked at")


def test_the_report_has_landmarks_beside_embeddings(model, tmp_path: Path) -> None:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    save_encoder(copy, SPEC, tmp_path / "e.onnx")
    names = [("set", f"p{i}", f"sign {j}") for i in range(4) for j in range(6) for _ in range(9)]
    hands = write_prepared(tmp_path / "hands.npz", names)
    out = tmp_path / "e-int8.onnx"
    report = quantize_encoder(tmp_path / "e.onnx", hands, out, no_detector, crops=48)
    measured = report["measured"]
    assert 0 < measured["landmarks_mean"] <= measured["landmarks_95th_percentile"]
    assert measured["cosine_mean"] > 0.9 and 0 <= measured["another_side"] < 0.5
    text = "\n".join(lines(report))
    assert "Landmarks drift by " in text and "landmarks, of the crop's width: mean " in text
    made, spec, _ = load_encoder(out)
    assert spec.one_pass and spec.name == "small-pass-1-int8"
    batch = drawn(3).inputs()
    given = OnnxEncoder(out).look(batch.crops, batch.turns)
    np.testing.assert_allclose(
        given.landmarks, outputs(made, spec, drawn(3))["landmarks"], atol=1e-4
    )
