"""An encoder's graph in 8 bits: what it looks like, what it computes, what runs it."""

from __future__ import annotations

import os
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import pytest
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from calibration.int8.crops import HandCrops
from calibration.int8.graph import FloatGraph
from calibration.int8.qdq import insert_qdq
from calibration.int8.quantize import cosines, histograms, outputs, ranges
from engines import cpu
from engines.encoder import ENCODERS
from engines.onnx_file import load_encoder, save_encoder
from engines.onnx_runtime import session as onnx_session
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import EncoderSpec, preprocess
from tests.calibration.int8.int8_files import CONVOLUTIONS, HANDS, SPEC, drawn

VERSION = tuple(int(part) for part in version("onnxruntime").split(".")[:2])


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}


def embeddings(model: onnx.ModelProto, spec: EncoderSpec, hands: HandCrops) -> np.ndarray:
    return outputs(model, spec, hands)["embedding"]


def executed(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """What ONNX Runtime makes of a graph: operators by how often."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before it is imported
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "executed.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Counter(node.op_type for node in onnx.load(folder / "executed.onnx").graph.node)


def test_pairs_as_tensorrt_wants_them(small, graph, widest) -> None:
    made = insert_qdq(small, graph, graph.layers, widest)
    values = constants(made)
    pairs = [n for n in made.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert all(not values[node.input[2]].any() for node in pairs)
    assert {values[node.input[2]].dtype for node in pairs} == {np.dtype(np.int8)}
    assert not any(array.dtype == np.int32 for array in values.values())
    dequantised = {n.output[0]: n for n in pairs if n.op_type == "DequantizeLinear"}
    for node in made.graph.node:
        assert node.op_type != "QuantizeLinear" or node.input[0] not in dequantised, "one is enough"
        if node.op_type in ("Conv", "Gemm"):
            assert node.input[0] in dequantised
            weight = dequantised[node.input[1]]
            stored, scales = (values[name] for name in weight.input[:2])
            assert stored.dtype == np.int8 and scales.shape == (stored.shape[0],)
            assert (np.abs(stored.reshape(len(stored), -1)).max(axis=1) == 127).all()
            assert all(values[bias].dtype == np.float32 for bias in node.input[2:])


def test_layers_left_out_stay_as_they_were(small, graph, widest) -> None:
    chosen = [name for name in graph.layers if name not in ("c4", "g1")]
    made = insert_qdq(small, graph, chosen, widest)
    nodes = {node.name: node for node in made.graph.node}
    assert nodes["c4"].input[1] == "c4.weight" and nodes["g1"].input[1] == "g1.weight"
    assert "c4.weight_int8" not in constants(made) and "c5.weight_int8" in constants(made)
    assert "c5.weight" not in constants(made), "what is stored as int8 isn't stored twice"
    assert not made.metadata_props


def test_no_layer_in_8_bits_is_the_float_graph(small, graph, widest) -> None:
    made = insert_qdq(small, graph, [], widest)
    assert np.array_equal(embeddings(made, SPEC, HANDS), embeddings(small, SPEC, HANDS))


@pytest.mark.parametrize("left", [(), ("c0", "c1"), ("c3",), ("c4",), ("c6", "g0"), CONVOLUTIONS])
def test_8_bits_mean_nearly_the_same(small, graph, widest, left) -> None:
    made = insert_qdq(small, graph, [n for n in graph.layers if n not in left], widest)
    cosine = cosines(embeddings(small, SPEC, HANDS), embeddings(made, SPEC, HANDS))
    assert cosine.mean() > 0.995 and cosine.min() > 0.98
    assert cosine.min() < 1 - 1e-7


def test_a_range_cut_short_is_a_clip(small, graph, widest) -> None:
    """Saturation must cut where the range ends, on the centred and on the padded road."""
    short = {name: (low, min(high, 1.0)) for name, (low, high) in widest.items()}
    cut = onnx.ModelProto()
    cut.CopyFrom(small)
    for constant in cut.graph.initializer:
        if constant.name == "high":
            constant.CopyFrom(numpy_helper.from_array(np.float32(1), "high"))
    names = {n.output[0] for n in cut.graph.node if n.op_type == "Clip"}
    mixed = {name: (short if name in names else widest)[name] for name in widest}
    made = insert_qdq(small, graph, CONVOLUTIONS, mixed)
    found = embeddings(made, SPEC, HANDS)
    assert cosines(embeddings(cut, SPEC, HANDS), found).mean() > 0.99
    assert cosines(embeddings(small, SPEC, HANDS), found).mean() < 0.98


@pytest.mark.skipif(VERSION < (1, 21), reason="ONNX Runtime before 1.21 fuses no float biases")
def test_onnx_runtime_works_in_integers(small, graph, widest, tmp_path: Path) -> None:
    made = insert_qdq(small, graph, graph.layers, widest)
    found = executed(made, tmp_path)
    assert found["QLinearConv"] == len(CONVOLUTIONS) and found["QGemm"] == 2
    assert not found["Conv"] and not found["Gemm"] and not found["Relu"]


def test_integers_compute_what_the_graph_says(small, graph, widest) -> None:
    made = insert_qdq(small, graph, graph.layers, widest)
    few = HANDS.take(np.arange(3))
    inputs = preprocess(SPEC, few.inputs())
    newer = onnx.version_converter.convert_version(made, 21)  # the oldest that onnx can evaluate
    [expected] = ReferenceEvaluator(newer).run(["embedding"], inputs)
    assert isinstance(expected, np.ndarray)
    assert cosines(expected, embeddings(made, SPEC, few)).min() > 0.9995


def test_the_default_encoder_in_8_bits(tmp_path: Path) -> None:
    model, spec, _ = load_encoder(ENCODERS["default"])
    graph = FloatGraph(model, "default.onnx")
    hands = drawn(48, spec.crop_size)
    calibrating, others = hands.take(np.arange(32)), hands.take(np.arange(32, 48))
    found = ranges(histograms(model, graph, spec, calibrating), "percentile")
    # In float: the first layers, and from the last map to the landmarks that maps are read at.
    made = insert_qdq(model, graph, [*graph.layers[5:33], *graph.layers[51:]], found)
    cosine = cosines(embeddings(model, spec, others), embeddings(made, spec, others))
    assert cosine.mean() > 0.99 and cosine.min() > 0.97
    assert made.ByteSize() < 0.8 * model.ByteSize()
    if VERSION >= (1, 21):
        assert (executed(made, tmp_path) & Counter(QLinearConv=99, QGemm=99, Conv=99)) == Counter(
            QLinearConv=28, QGemm=7, Conv=19
        )


def test_outputs_are_floats(small, graph, widest) -> None:
    made = insert_qdq(small, graph, graph.layers, widest)
    assert [v.type.tensor_type.elem_type for v in made.graph.output] == [TensorProto.FLOAT]


@pytest.mark.parametrize(
    ("told", "answer"),
    [("flags : fpu avx2 avx512_vnni", True), ("flags : fpu avx2", False), ("asimddp", True)],
)
def test_what_the_processor_can_do(told: str, answer: bool, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(cpu, "INFO", tmp_path / "cpuinfo")
    assert cpu.multiplies_8_bits() is answer
    monkeypatch.setattr(cpu, "INFO", tmp_path / "none")
    assert cpu.multiplies_8_bits() is None


def test_a_processor_that_would_overflow_is_given_other_arithmetic(
    small, graph, widest, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "int8.onnx"
    save_encoder(insert_qdq(small, graph, graph.layers, widest), SPEC, path)
    expected = OnnxEncoder(path).encode(HANDS.inputs())
    asked = []
    monkeypatch.setattr(onnx_session, "multiplies_8_bits", lambda: asked.append(1))
    assert cosines(expected, OnnxEncoder(path).encode(HANDS.inputs())).min() > 0.9999
    assert asked
