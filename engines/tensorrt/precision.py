"""Converts an encoder's graph to half precision: dense layers run in FP16, the rest in FP32.

TensorRT takes every type from the graph (strongly typed networks); it needs nothing else for FP16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.errors import UserError

if TYPE_CHECKING:
    import onnx

# The layers that half precision makes faster; so does a MatMul by stored weights.
DENSE = {"Conv", "ConvTranspose", "Gemm"}
# Operators that half precision doesn't harm: they run in FP16 where their inputs already are. All
# others (norms, means, exponentials, geometry in metres) run in FP32.
ARITHMETIC = {"Add", "Div", "Mul", "Sub"}
POOLING = {"AveragePool", "GlobalAveragePool", "MaxPool"}
ACTIVATIONS = {"Clip", "Erf", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Relu"}
ACTIVATIONS |= {"Sigmoid", "Tanh"}
MOVING = {"Concat", "Flatten", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze"}
MOVING |= {"Transpose", "Unsqueeze"}
FOLLOWING = ARITHMETIC | POOLING | ACTIVATIONS | MOVING
# The first convolutions from a picture on stay in FP32 nevertheless: they are small, and rounding
# them moves the landmarks of a few hands by up to 0.8 % of the crop's width instead of 0.25 %.
FIRST = 2
SUFFIX = "_fp16"


def convert_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a graph with its dense layers in FP16.

    Inputs, outputs and metadata stay the same, the fingerprint too: it is the same encoder,
    rounded.

    Raises:
        UserError: if a weight is larger than FP16 holds.
    """
    import onnx

    cast = onnx.ModelProto()
    cast.CopyFrom(model)
    nodes = _Caster(cast).nodes()
    del cast.graph.node[:]
    cast.graph.node.extend(nodes)
    del cast.graph.value_info[:]  # the types have changed, and can be inferred
    prune(cast.graph)
    onnx.checker.check_model(cast, full_check=True)
    return cast


class _Caster:
    """Walks a graph once. A tensor keeps its name in FP32, and has SUFFIX in FP16.

    A node gives one of the two; the other is cast from it where it is first read.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        self._floats = _floats(model)
        self._values = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
        self._outputs = {output.name for output in model.graph.output}
        self._fixed = set(self._values)  # tensors that don't depend on the inputs
        self._depths = {value.name: 0 for value in model.graph.input}  # convolutions before it
        self._halves: set[str] = set()  # tensors that a node gives in FP16
        self._there: set[str] = set()  # FP16 tensors and casts that have been added
        self._nodes: list[onnx.NodeProto] = []

    def nodes(self) -> list[onnx.NodeProto]:
        """The new graph's nodes."""
        for node in self._graph.node:
            self._add(node)
        for output in self._graph.output:
            self._single(output.name)
        return self._nodes

    def _add(self, node: onnx.NodeProto) -> None:
        depth = max((self._depths.get(name, 0) for name in node.input), default=0)
        self._depths |= dict.fromkeys(node.output, depth + (node.op_type == "Conv"))
        if all(name in self._fixed for name in node.input if name):
            self._fixed.update(node.output)
            if node.op_type == "Cast" and node.input[0] in self._values:
                self._values[node.output[0]] = self._values[node.input[0]]  # stored as FP16
            self._nodes.append(node)
        elif self._runs_in_half(node):
            inputs = [self._half(name) if name in self._floats else name for name in node.input]
            outputs = [name + SUFFIX if name in self._floats else name for name in node.output]
            node.input[:], node.output[:] = inputs, outputs
            self._nodes.append(node)
            self._halves |= {name.removesuffix(SUFFIX) for name in outputs}
            self._there.update(outputs)
        else:
            for name in node.input:
                self._single(name)
            self._nodes.append(node)

    def _runs_in_half(self, node: onnx.NodeProto) -> bool:
        if not self._floats.intersection(node.output):
            return False
        moving = [n for n in node.input if n in self._floats and n not in self._fixed]
        if self._outputs.intersection(moving):  # landmarks: their geometry needs single precision
            return False
        if node.op_type == "MatMul":
            return any(n in self._halves for n in moving) or node.input[1] in self._fixed
        if node.op_type == "Conv" and self._depths[node.output[0]] <= FIRST:
            return False
        if node.op_type in DENSE:
            return bool(moving)
        return node.op_type in FOLLOWING and bool(moving) and self._halves.issuperset(moving)

    def _half(self, name: str) -> str:
        """The name of a tensor in FP16: a weight is stored again, anything else is cast."""
        from onnx import TensorProto, numpy_helper

        half = name + SUFFIX
        if half not in self._there:
            self._there.add(half)
            if name in self._values:
                rounded = _round_to_fp16(name, self._values[name])
                self._graph.initializer.append(numpy_helper.from_array(rounded, half))
            else:
                self._cast(name, half, TensorProto.FLOAT16)
        return half

    def _single(self, name: str) -> None:
        """Cast a tensor back to FP32 under its own name, if it is only there in FP16."""
        from onnx import TensorProto

        if name in self._halves and name not in self._there:
            self._there.add(name)
            self._cast(name + SUFFIX, name, TensorProto.FLOAT)

    def _cast(self, source: str, target: str, kind: int) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node("Cast", [source], [target], f"cast_{target}", to=kind))


def _floats(model: onnx.ModelProto) -> set[str]:
    """Names of all FP32 tensors."""
    from onnx import TensorProto, shape_inference

    graph = shape_inference.infer_shapes(model).graph
    typed = [*graph.input, *graph.value_info, *graph.output]
    names = {v.name for v in typed if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    return names | {w.name for w in graph.initializer if w.data_type == TensorProto.FLOAT}


def _round_to_fp16(name: str, values: np.ndarray) -> np.ndarray:
    largest = float(np.finfo(np.float16).max)
    if not np.abs(values).max(initial=0.0) <= largest:  # NaN, too
        raise UserError(
            f"The weight {name} has values beyond {largest:.0f}, the largest that FP16 holds, or "
            "NaN. Build with --precision fp32, or export the encoder again."
        )
    return values.astype(np.float16)


def prune(graph: onnx.GraphProto) -> None:
    """Remove weights, and casts of weights, that no node reads any more."""
    outputs = {output.name for output in graph.output}

    def names_read() -> set[str]:
        return outputs.union(*(node.input for node in graph.node))

    used = names_read()
    kept = [n for n in graph.node if n.op_type != "Cast" or used.intersection(n.output)]
    del graph.node[:]
    graph.node.extend(kept)
    used = names_read()
    weights = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
