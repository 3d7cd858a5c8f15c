"""FP16 by casting the graph: the same contract, nearly the same embeddings and landmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engines.encoder import ENCODERS, HAND_FILE, PALM_FILE
from engines.errors import UserError
from engines.hand_networks import HAND, PALM
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.selftest.outputs import differences, outputs_of
from engines.spec import preprocess, to_floats
from engines.tensorrt.precision import FIRST, convert_to_fp16
from realtime.measuring.drawn_crops import drawn_crops
from tests.engines.test_engines import DISTANCE, PICTURE, distance_model, hands, picture_model

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT
LANDMARKS = 0.003  # of the crop's width: the most that rounding may move a landmark


@pytest.fixture(scope="module")
def default() -> onnx.ModelProto:
    return onnx.load(ENCODERS["default"])


@pytest.fixture(scope="module")
def cast(default: onnx.ModelProto) -> onnx.ModelProto:
    return convert_to_fp16(default)


def types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {v.name: v.type.tensor_type.elem_type for v in values} | {
        w.name: w.data_type for w in graph.initializer
    }


def test_the_default_encoder_gives_nearly_the_same_on_drawn_hands(cast, tmp_path: Path) -> None:
    onnx.save(cast, tmp_path / "half.onnx")
    single, half = OnnxEncoder(ENCODERS["default"]), OnnxEncoder(tmp_path / "half.onnx")
    assert half.spec == single.spec and half.fingerprint == single.fingerprint
    crops = drawn_crops(64, single.spec.crop_size)
    a, b = single.encode(crops), half.encode(crops)
    cosine = (a * b).sum(axis=1)  # both of unit norm
    np.testing.assert_allclose(np.linalg.norm(b, axis=1), 1.0, atol=1e-5)
    assert cosine.min() >= 0.999
    alike = a @ a.T - np.eye(64)
    assert alike.max() < 0.995  # else the bound above would say nothing


def rounded(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a network gives in FP16, by name.

    ONNX Runtime's CPU works FP16 graphs out in FP32 between casts; the reference rounds each step.
    """
    evaluator = ReferenceEvaluator(convert_to_fp16(onnx.load(path)))
    found = evaluator.run(None, dict(inputs))
    return dict(zip(evaluator.output_names, map(np.asarray, found), strict=True))


def test_rounded_at_every_step_it_is_nearly_the_same() -> None:
    single = OnnxEncoder(ENCODERS["default"])
    crops = drawn_crops(2, single.spec.crop_size)
    found = rounded(ENCODERS["default"], preprocess(single.spec, crops))
    changes = differences(outputs_of(single, crops), found)
    assert changes["embedding"].max() <= 1e-4
    assert "landmarks" not in changes or changes["landmarks"].max() <= LANDMARKS


def landmark_changes(*rows: int) -> np.ndarray:
    """How far rounding moves the landmarks of some drawn hands, in widths of the crop."""
    crop = to_floats(drawn_crops(max(rows) + 1, HAND.size).crops[list(rows)])
    exact = OnnxNetwork(HAND_FILE, HAND).run(crop)
    return differences(exact, rounded(HAND_FILE, {HAND.input_name: crop}))["landmarks"]


def test_rounding_moves_no_landmark_by_more_than_is_said() -> None:
    """Of a hand that is moved by 0.8 % where all convolutions are rounded."""
    assert landmark_changes(22).max() <= LANDMARKS


@pytest.mark.slow
def test_rounding_moves_no_landmark_of_other_hands() -> None:
    """The last two are moved by 0.3 and 0.5 % where all convolutions are rounded."""
    changes = landmark_changes(2, 26, 30)
    assert changes.max() <= LANDMARKS and np.median(changes) <= LANDMARKS / 10


@pytest.mark.slow
def test_rounding_moves_no_palm() -> None:
    pictures = to_floats(drawn_crops(2, PALM.size).crops)
    exact = OnnxNetwork(PALM_FILE, PALM).run(pictures)
    changes = differences(exact, rounded(PALM_FILE, {PALM.input_name: pictures}))
    assert len(changes["boxes"]) >= 2 and changes["boxes"].max() <= LANDMARKS
    assert changes["scores"].max() <= 0.01


def test_inputs_outputs_and_metadata_stay(default, cast) -> None:
    assert cast.graph.input == default.graph.input and cast.graph.output == default.graph.output
    assert cast.metadata_props == default.metadata_props
    assert cast.ByteSize() <= default.ByteSize() * 1.01
    assert default == onnx.load(ENCODERS["default"])  # the original wasn't touched


def test_dense_layers_are_half_and_norms_and_geometry_single(cast) -> None:
    kind = types(cast)
    by_op: dict[str, Counter] = {}
    for node in cast.graph.node:
        by_op.setdefault(node.op_type, Counter())[kind[node.output[0]]] += 1
    assert by_op["Conv"][SINGLE] == FIRST and set(by_op["Conv"]) == {HALF, SINGLE}
    assert set(by_op["Gemm"]) == {HALF}
    assert set(by_op["ReduceL2"]) == set(by_op["ReduceMean"]) == {SINGLE}
    readers = [
        n for n in cast.graph.node if {"landmarks", "world_landmarks", "turn"} & set(n.input)
    ]
    assert readers and all(kind[n.output[0]] != HALF for n in readers)
    weights = {w.name: w.data_type for w in cast.graph.initializer}
    convolved = [n.input[1:] for n in cast.graph.node if n.op_type == "Conv"][FIRST:]
    # Stored so, not cast on the way.
    assert all(weights[name] == HALF for names in convolved for name in names)


def test_casting_twice_is_casting_once(cast) -> None:
    assert convert_to_fp16(cast) == cast


@pytest.mark.parametrize(
    ("model", "spec"), [(picture_model(), PICTURE), (distance_model(), DISTANCE)]
)
def test_other_encoders(model, spec, tmp_path: Path) -> None:
    mark = save_encoder(model, spec, tmp_path / "a.onnx")
    onnx.save(convert_to_fp16(onnx.load(tmp_path / "a.onnx")), tmp_path / "b.onnx")
    a, b = OnnxEncoder(tmp_path / "a.onnx"), OnnxEncoder(tmp_path / "b.onnx")
    assert b.fingerprint == mark
    np.testing.assert_allclose(b.encode(hands(5)), a.encode(hands(5)), atol=5e-3)


def convolutions(weights: np.ndarray) -> onnx.ModelProto:
    """One more than stay in FP32."""
    node, names = helper.make_node, ["crop", *(f"c{i}" for i in range(FIRST + 1))]
    graph = helper.make_graph(
        [
            *(node("Conv", [names[i], "w"], [names[i + 1]]) for i in range(FIRST + 1)),
            node("Relu", [names[-1]], ["embedding"]),
        ],
        "test",
        [helper.make_tensor_value_info("crop", SINGLE, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("embedding", SINGLE, ["N", 3, 4, 4])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_an_output_computed_in_half_is_given_in_single() -> None:
    cast = convert_to_fp16(convolutions(np.ones((3, 3, 1, 1), np.float32)))
    operators = [*["Conv"] * FIRST, "Cast", "Conv", "Relu", "Cast"]
    assert [n.op_type for n in cast.graph.node] == operators
    assert types(cast)["embedding"] == SINGLE


@pytest.mark.parametrize("value", [7e4, np.nan, np.inf, -np.inf])
def test_a_weight_that_fp16_cannot_hold_is_told(value: float) -> None:
    weight = np.ones((3, 3, 1, 1), np.float32)
    weight[1] = value
    with pytest.raises(UserError, match="weight w has values beyond 65504.* --precision fp32"):
        convert_to_fp16(convolutions(weight))
