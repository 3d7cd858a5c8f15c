"""Finds the layers and tensors of an encoder's float graph that can run in 8 bits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import UserError
from engines.onnx_file import is_quantised

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Clip:
    """A node that clips a convolution's output to 0…high, where `high` may be ∞."""

    node: onnx.NodeProto
    high: float


class FloatGraph:
    """A float encoder's graph: nodes, stored constants, and which node reads what.

    Attributes:
        nodes: in the graph's order.
        outputs: names of the graph's outputs.
        readers: tensor → the nodes that read it.
        layers: names of the nodes with weights to quantise (Conv, Gemm, MatMul by a constant), in
            the graph's order.
    """

    def __init__(self, model: onnx.ModelProto, what: str) -> None:
        """Read a graph.

        Args:
            model: the encoder.
            what: its file, for messages.

        Raises:
            UserError: if there is no layer to quantise, or the encoder is quantised already.
        """
        from onnx import TensorProto

        self.nodes = list(model.graph.node)
        if is_quantised(model):
            raise UserError(
                f"{what} is quantised already: name the float encoder that it was made of."
            )
        self.outputs = {output.name for output in model.graph.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
        self._stored = {w.name: w for w in model.graph.initializer if w.data_type in floats}
        for node in self.nodes:  # large constants are stored in FP16, behind a Cast
            if node.op_type == "Cast" and node.input[0] in self._stored:
                self._stored[node.output[0]] = self._stored[node.input[0]]
        self.layers = tuple(node.name for node in self.nodes if self._is_layer(node))
        if not all(self.layers) or len(set(self.layers)) < max(len(self.layers), 1):
            raise UserError(
                f"{what} has no layers that could run in 8 bits (Conv, Gemm or MatMul with stored "
                "weights, each node named): keep it as it is, or export it again."
            )

    def constant(self, name: str) -> np.ndarray | None:
        """A stored constant as float32; None where the name isn't one."""
        from onnx import numpy_helper

        stored = self._stored.get(name)
        return None if stored is None else numpy_helper.to_array(stored).astype(np.float32)

    def _is_layer(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            return False
        if node.input[0] in self._stored or node.input[0] in self.outputs:
            return False
        weights = self._stored.get(node.input[1])
        if weights is None or (len(node.input) > 2 and self.constant(node.input[2]) is None):
            return False
        if node.op_type == "MatMul":
            return len(weights.dims) == 2
        plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
        return node.op_type == "Conv" or (plain and not attribute(node, "transA", 0))

    def clip_after(self, conv: onnx.NodeProto) -> Clip | None:
        """The clip at 0 that is the only reader of a convolution; None where there is none."""
        readers = self.readers.get(conv.output[0], [])
        if len(readers) != 1 or conv.output[0] in self.outputs:
            return None
        if readers[0].op_type == "Relu":
            return Clip(readers[0], np.inf)
        if readers[0].op_type != "Clip":
            return None
        bounds = [self.constant(name) for name in readers[0].input[1:]]
        known = [float(bound) for bound in bounds if bound is not None]
        if not known or len(known) < len(bounds) or known[0] != 0:
            return None
        return Clip(readers[0], known[1] if len(known) > 1 else np.inf)

    def tensors(self) -> list[str]:
        """The tensors whose ranges are needed: inputs of layers, outputs of convolutions."""
        found: dict[str, None] = {}
        for node in self.nodes:
            if node.name in self.layers:
                found[node.input[0]] = None
                if node.op_type == "Conv" and self.clip_after(node) is None:
                    found[node.output[0]] = None
        return [name for name in found if name not in self.outputs]

    def movable_clips(self, chosen: Collection[str]) -> dict[str, Clip]:
        """Clips between two convolutions, of which the second is chosen and the only reader.

        Weights and bias of the first must be stored constants.

        Returns:
            The clip by the name of its output.
        """
        found = {}
        for node in self.nodes:
            clip = self.clip_after(node) if node.op_type == "Conv" else None
            if clip is None or self.constant(node.input[1]) is None:
                continue
            name = clip.node.output[0]
            readers = self.readers.get(name, [])
            if (
                name not in self.outputs
                and all(self.constant(bias) is not None for bias in node.input[2:])
                and len(readers) == 1
                and readers[0].name in chosen
                and readers[0].op_type == "Conv"
            ):
                found[name] = clip
        return found


def pads(conv: onnx.NodeProto) -> bool:
    """Whether a convolution pads its input."""
    return attribute(conv, "auto_pad", b"NOTSET") != b"NOTSET" or any(attribute(conv, "pads", []))


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of a node's attribute, or the default where it has none of that name."""
    from onnx import helper

    for one in node.attribute:
        if one.name == name:
            return helper.get_attribute_value(one)
    return default
