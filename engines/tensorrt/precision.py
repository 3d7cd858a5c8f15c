"""An encoder's graph in half precision: where the time goes runs in FP16, the rest stays FP32.

TensorRT takes every type from the graph (strongly typed networks), so this is all of FP16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.errors import UserError

if TYPE_CHECKING:
    import onnx

# Half precision pays in these; a MatMul joins them where it multiplies by weights.
DENSE = {"Conv", "ConvTranspose", "Gemm"}
# Half precision is harmless in these, so they stay in it where their inputs already are. What
# isn't named (norms, means, exponentials, geometry in metres) is worked out in FP32.
FOLLOWING = {
    "Add", "AveragePool", "Clip", "Concat", "Div", "Erf", "Flatten", "GlobalAveragePool",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mul", "PRelu", "Pad", "Relu",
    "Reshape", "Sigmoid", "Slice", "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
}  # fmt: skip
SUFFIX = "_fp16"


def in_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """→ a copy whose dense layers work in FP16; inputs, outputs and metadata are the same.

    The fingerprint stays, too: it is the same encoder, rounded. Raises UserError where a weight
    is beyond what FP16 holds.
    """
    import onnx

    cast = onnx.ModelProto()
    cast.CopyFrom(model)
    nodes = _Caster(cast).nodes()
    del cast.graph.node[:]
    cast.graph.node.extend(nodes)
    del cast.graph.value_info[:]  # their types have changed; whoever needs them infers them
    prune(cast.graph)
    onnx.checker.check_model(cast, full_check=True)
    return cast


class _Caster:
    """Walks a graph once. A tensor keeps its name in FP32; its FP16 twin has the suffix.

    Whichever of the two a node doesn't give is cast from the other where it is first read.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        self._floats = _floats(model)
        self._values = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
        self._fixed = set(self._values)  # what doesn't depend on the inputs
        self._halves: set[str] = set()  # what some node gives in FP16
        self._there: set[str] = set()  # twins and casts that have been made
        self._nodes: list[onnx.NodeProto] = []

    def nodes(self) -> list[onnx.NodeProto]:
        for node in self._graph.node:
            self._take(node)
        for output in self._graph.output:
            self._single(output.name)
        return self._nodes

    def _take(self, node: onnx.NodeProto) -> None:
        if all(name in self._fixed for name in node.input if name):
            self._fixed.update(node.output)
            if node.op_type == "Cast" and node.input[0] in self._values:
                self._values[node.output[0]] = self._values[node.input[0]]  # stored in halves
            self._nodes.append(node)
        elif self._runs_in_half(node):
            read = [self._half(name) if name in self._floats else name for name in node.input]
            given = [name + SUFFIX if name in self._floats else name for name in node.output]
            node.input[:], node.output[:] = read, given
            self._nodes.append(node)
            names = {name.removesuffix(SUFFIX) for name in given}
            self._halves |= names
            self._there.update(given)
        else:
            for name in node.input:
                self._single(name)
            self._nodes.append(node)

    def _runs_in_half(self, node: onnx.NodeProto) -> bool:
        if not self._floats.intersection(node.output):
            return False
        moving = [n for n in node.input if n in self._floats and n not in self._fixed]
        if node.op_type == "MatMul":
            return any(n in self._halves for n in moving) or node.input[1] in self._fixed
        if node.op_type in DENSE:
            return bool(moving)
        return node.op_type in FOLLOWING and bool(moving) and self._halves.issuperset(moving)

    def _half(self, name: str) -> str:
        """The twin's name; a weight is stored anew, anything else cast."""
        from onnx import TensorProto, numpy_helper

        twin = name + SUFFIX
        if twin not in self._there:
            self._there.add(twin)
            if name in self._values:
                rounded = _rounded(name, self._values[name])
                self._graph.initializer.append(numpy_helper.from_array(rounded, twin))
            else:
                self._cast(name, twin, TensorProto.FLOAT16)
        return twin

    def _single(self, name: str) -> None:
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


def _rounded(name: str, values: np.ndarray) -> np.ndarray:
    largest = float(np.finfo(np.float16).max)
    if np.abs(values).max(initial=0.0) > largest:
        raise UserError(
            f"The weight {name} has values beyond {largest:.0f}, the largest that FP16 holds. "
            "Build with --precision fp32."
        )
    return values.astype(np.float16)


def prune(graph: onnx.GraphProto) -> None:
    """Drop weights, and casts of weights, that nothing reads any more."""
    outputs = {output.name for output in graph.output}

    def read() -> set[str]:
        return outputs.union(*(node.input for node in graph.node))

    used = read()
    kept = [n for n in graph.node if n.op_type != "Cast" or used.intersection(n.output)]
    del graph.node[:]
    graph.node.extend(kept)
    used = read()
    weights = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
