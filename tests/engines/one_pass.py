"""A small one-pass encoder: everything it gives depends on the crop's colour and on the turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.hand_networks import HAND
from engines.onnx_file import save_encoder
from engines.spec import EncoderSpec, input_shapes, output_shapes

SPEC = EncoderSpec("one-pass-1", ("crop", "turn"), 8, crop_size=HAND.size)


def one_pass_model(spec: EncoderSpec = SPEC) -> onnx.ModelProto:
    node, rng = helper.make_node, np.random.default_rng(0)
    arrays = {"across": np.array([2, 3]), "row": np.array([1])}
    nodes = [
        node("ReduceMean", ["crop", "across"], ["colour"], keepdims=0),
        node("Concat", ["colour", "turn"], ["seen"], axis=1),
    ]
    for name, shape in output_shapes(spec).items():
        arrays[f"{name}_weights"] = rng.normal(size=(5, int(np.prod(shape)))).astype(np.float32)
        arrays[f"{name}_shape"] = np.array([-1, *shape])
        nodes.append(node("MatMul", ["seen", f"{name}_weights"], [f"{name}_flat"], f"{name}_dense"))
        last = {"embedding": "raw", "presence": "logit", "right": "logit_right"}.get(name, name)
        nodes.append(node("Reshape", [f"{name}_flat", f"{name}_shape"], [last]))
    nodes += [
        node("Sigmoid", ["logit"], ["presence"]),
        node("Sigmoid", ["logit_right"], ["right"]),
        node("ReduceL2", ["raw", "row"], ["norm"]),
        node("Div", ["raw", "norm"], ["embedding"]),
    ]

    def info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    graph = helper.make_graph(
        nodes,
        "test",
        [info(name, shape) for name, shape in input_shapes(spec).items()],
        [info(name, shape) for name, shape in output_shapes(spec).items()],
        [numpy_helper.from_array(values, name) for name, values in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def save_one_pass(path: Path, spec: EncoderSpec = SPEC) -> str:
    """Write the file; → the encoder's fingerprint."""
    return save_encoder(one_pass_model(spec), spec, path)
