"""FP16 by casting the graph: the same contract, nearly the same embeddings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engines.encoder import ENCODERS
from engines.errors import UserError
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import preprocess
from engines.tensorrt.precision import convert_to_fp16
from realtime.measuring.drawn_crops import drawn_crops
from tests.engines.test_engines import DISTANCE, PICTURE, distance_model, hands, picture_model

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


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
    a, b = single.encode(*crops), half.encode(*crops)
    cosine = (a * b).sum(axis=1)  # both of unit norm
    np.testing.assert_allclose(np.linalg.norm(b, axis=1), 1.0, atol=1e-5)
    assert cosine.min() >= 0.999
    alike = a @ a.T - np.eye(64)
    assert alike.max() < 0.995  # else the bound above would say nothing


def test_rounded_at_every_step_it_is_nearly_the_same(cast) -> None:
    """ONNX Runtime's CPU works FP16 graphs out in FP32 between casts; the reference rounds."""
    single = OnnxEncoder(ENCODERS["default"])
    crops = drawn_crops(2, single.spec.crop_size)
    inputs = preprocess(single.spec, *crops)
    [found] = ReferenceEvaluator(cast).run(["embedding"], inputs)
    assert isinstance(found, np.ndarray)
    assert (found * single.encode(*crops)).sum(axis=1).min() >= 0.9999


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
    assert set(by_op["Conv"]) == set(by_op["Gemm"]) == {HALF}
    assert set(by_op["ReduceL2"]) == set(by_op["ReduceMean"]) == {SINGLE}
    readers = [
        n for n in cast.graph.node if {"landmarks", "world_landmarks", "turn"} & set(n.input)
    ]
    assert readers and all(kind[n.output[0]] != HALF for n in readers)
    weights = {w.name: w.data_type for w in cast.graph.initializer}
    convolved = {w for n in cast.graph.node if n.op_type == "Conv" for w in n.input[1:]}
    assert all(weights[name] == HALF for name in convolved)  # stored so, not cast on the way


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
    np.testing.assert_allclose(b.encode(*hands(5)), a.encode(*hands(5)), atol=5e-3)


def convolution(weights: np.ndarray) -> onnx.ModelProto:
    node = helper.make_node
    graph = helper.make_graph(
        [node("Conv", ["crop", "w"], ["c"]), node("Relu", ["c"], ["embedding"])],
        "test",
        [helper.make_tensor_value_info("crop", SINGLE, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("embedding", SINGLE, ["N", 2, 4, 4])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_an_output_computed_in_half_is_given_in_single() -> None:
    cast = convert_to_fp16(convolution(np.ones((2, 3, 1, 1), np.float32)))
    assert [n.op_type for n in cast.graph.node] == ["Cast", "Conv", "Relu", "Cast"]
    assert types(cast)["embedding"] == SINGLE


def test_a_weight_that_fp16_cannot_hold_is_told() -> None:
    with pytest.raises(UserError, match="weight w has values beyond 65504.* --precision fp32"):
        convert_to_fp16(convolution(np.full((2, 3, 1, 1), 7e4, np.float32)))
