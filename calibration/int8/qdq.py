"""An encoder's graph in 8 bits: quantise–dequantise pairs around its dense layers, nothing else.

ONNX Runtime fuses the pairs on both sides of a layer into integer arithmetic; TensorRT reads the
types off them. Weights are int8 per output channel, activations int8 per tensor, every zero point
is 0, as TensorRT wants it; biases stay float, since TensorRT takes no others and ONNX Runtime
rounds them itself. Sums of branches stay float.

ONNX Runtime can't fuse a clip at 0 where the zero point is 0. Two things are done about that:

- Where no padding is read, the middle of a range 0…t is moved to 0: t/2 is taken off the
  convolution's bias and given back by the bias of the one that reads it (as Nagel et al. 2019
  absorb biases, arXiv 1906.04721). The quantiser's saturation is the clip then, and all of int8 is
  used rather than half.
- Where padding is read, it has to stand for 0. The upper bound is left to saturation, the lower is
  a LeakyRelu of slope 0, which ONNX Runtime looks up in a table; it works out a Relu in floats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.int8.graph import Clip, FloatGraph, attribute, pads
from engines.tensorrt.precision import prune

if TYPE_CHECKING:
    import onnx

Ranges = Mapping[str, tuple[float, float]]  # tensor → its lowest and highest value
LEAST = 1e-6  # a range narrower than this is that of a layer that never answers
ULP = 2.0**-22  # what tells two scales apart and changes nothing else


def insert_qdq(
    model: onnx.ModelProto, graph: FloatGraph, chosen: Collection[str], ranges: Ranges
) -> onnx.ModelProto:
    """→ a copy with the chosen ones of graph.layers in 8 bits.

    ranges: of each of graph.tensors(). Metadata are left out: it is another encoder.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.metadata_props[:]
    writer = _Writer(graph, frozenset(chosen), ranges)
    nodes = writer.written()
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(writer.constants)
    del made.graph.value_info[:]
    prune(made.graph)
    onnx.checker.check_model(made, full_check=True)
    return made


class _Writer:
    """Walks the graph once; what stands for a tensor from there on is in _now."""

    def __init__(self, graph: FloatGraph, chosen: frozenset[str], ranges: Ranges) -> None:
        self._graph, self._chosen, self._ranges = graph, chosen, ranges
        clipped = graph.clipped(chosen)
        self._centred = {n: c for n, c in clipped.items() if not pads(graph.readers[n][0])}
        self._clips = {clip.node.input[0]: clip for clip in clipped.values()}
        self._now: dict[str, str] = {}
        self._paired: set[str] = set()  # tensors that come out of a pair already
        self._readings: dict[str, int] = {}  # how many layers have quantised a tensor
        self._weights: dict[str, np.ndarray] = {}  # of chosen layers, as they are after rounding
        self._nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def written(self) -> list[onnx.NodeProto]:
        from onnx import NodeProto

        gone: set[str] = set()
        for node in self._graph.nodes:
            if gone.intersection(node.output):
                continue
            new, chosen = NodeProto(), node.name in self._chosen
            new.CopyFrom(node)
            clip = self._clips.get(node.output[0])
            if chosen:
                new.input[:2] = [self._read(node), self._weight(node)]
            else:
                new.input[:] = [self._now.get(name, name) for name in node.input]
            if node.op_type == "Conv":
                self._move_bias(node, new, clip)
            if node.op_type in ("Clip", "Relu"):
                self._move_bounds(node, new)
            self._nodes.append(new)
            if chosen and clip is not None:
                gone.update(clip.node.output)
                self._give_clipped(node.output[0], clip.node.output[0])
            elif chosen and node.op_type == "Conv":
                self._give(node)
            elif chosen:
                self._add_bias_behind(new)
        return self._nodes

    def _read(self, node: onnx.NodeProto) -> str:
        """What a chosen layer reads: a tensor in 8 bits already, or now."""
        name = node.input[0]
        read = self._now.get(name, name)
        if name in self._paired:
            return read
        # ONNX Runtime merges pairs that are equal, and then has no fast kernel for what reads
        # them; so a second reader's scale differs in the last bit.
        before = self._readings.get(name, 0)
        self._readings[name] = before + 1
        scale = self._scale(name) * np.float32(1 + before * ULP)
        return self._pair(read, f"{name}_to_{node.name}", scale)

    def _give_clipped(self, tensor: str, name: str) -> None:
        """A convolution's output `tensor`, and `name`, what its clip makes of it."""
        read = self._pair(tensor, name, self._scale(name))
        if name not in self._centred:
            cut = self._node("LeakyRelu", [read], f"{name}_cut", alpha=0.0)
            read = self._pair(cut, cut, self._scale(name))
        self._now[name] = read
        self._paired.add(name)

    def _give(self, node: onnx.NodeProto) -> None:
        """The output of a convolution without a clip that could be moved."""
        name = node.output[0]
        if self._graph.clip_after(node) is not None or name in self._graph.outputs:
            return
        scale = self._scale(name)
        self._now[name] = self._pair(name, name, scale)
        if len(self._graph.readers.get(name, [])) < 2:
            self._paired.add(name)
            return
        # ONNX Runtime fuses no pair that several nodes read: a clip that changes nothing between.
        bounds = [self._constant(f"{name}_{i}", scale * np.float32(i)) for i in (-128, 127)]
        self._now[name] = self._node("Clip", [self._now[name], *bounds], f"{name}_held")

    def _move_bounds(self, node: onnx.NodeProto, new: onnx.NodeProto) -> None:
        """The clip behind a convolution that stays float, where its middle is moved."""
        name = node.output[0]
        if name not in self._centred:
            return
        top = [self._centred[name].high] if np.isfinite(self._centred[name].high) else []
        bounds = [np.float32(bound - self._centre(name)) for bound in (0.0, *top)]
        new.op_type = "Clip"
        new.input[1:] = [self._constant(f"{name}_bound{i}", b) for i, b in enumerate(bounds)]

    def _move_bias(self, node: onnx.NodeProto, new: onnx.NodeProto, clip: Clip | None) -> None:
        """A bias that takes the middle off what is given, and gives back that of what is read."""
        off = self._centre(clip.node.output[0]) if clip else 0.0
        back = self._centre(node.input[0])
        if not off and not back:
            return
        weights = self._weights.get(node.input[1], self._graph.constant(node.input[1]))
        assert weights is not None
        moved = weights.reshape(len(weights), -1).sum(axis=1, dtype=np.float64) * back - off
        if len(node.input) > 2:
            bias = self._graph.constant(node.input[2])
            assert bias is not None
            moved = moved + bias
        new.input[2:] = [self._constant(f"{node.name}_bias", moved.astype(np.float32))]

    def _add_bias_behind(self, new: onnx.NodeProto) -> None:
        """ONNX Runtime rounds the bias of a Gemm only where its output is in 8 bits, too, and
        fuses none that has a float one."""
        if len(new.input) < 3:
            return
        bias, given = new.input[2], new.output[0]
        del new.input[2:]
        new.output[0] = f"{given}_unbiased"
        self._node("Add", [new.output[0], bias], given)

    def _scale(self, name: str) -> np.float32:
        if name in self._centred:
            return np.float32(self._centre(name) / 128)
        return np.float32(max(*map(abs, self._ranges[name]), LEAST) / 127)

    def _centre(self, name: str) -> float:
        if name not in self._centred:
            return 0.0
        return max(min(self._ranges[name][1], self._centred[name].high), LEAST) / 2

    def _pair(self, tensor: str, name: str, scale: np.float32) -> str:
        """Quantise and dequantise a tensor; → the name it has then."""
        constants = [
            self._constant(f"{name}_scale", scale),
            self._constant(f"{name}_zero", np.int8(0)),
        ]
        q = self._node("QuantizeLinear", [tensor, *constants], f"{name}_q")
        return self._node("DequantizeLinear", [q, *constants], f"{name}_dq")

    def _weight(self, node: onnx.NodeProto) -> str:
        """Store a layer's weights as int8 and dequantise them; → the name they have then."""
        name, dq = node.input[1], f"{node.input[1]}_dq"
        if name not in self._weights:
            values = self._graph.constant(name)
            assert values is not None
            axis = 0 if node.op_type == "Conv" or attribute(node, "transB", 0) else 1
            rest = tuple(i for i in range(values.ndim) if i != axis)
            scales = np.abs(values).max(axis=rest) / np.float32(127)
            scales = np.where(scales > 0, scales, 1).astype(np.float32)
            wide = np.expand_dims(scales, rest)
            rounded = np.clip(np.round(values / wide), -127, 127).astype(np.int8)
            self._weights[name] = rounded * wide
            inputs = [
                self._constant(f"{name}_int8", rounded),
                self._constant(f"{name}_scale", scales),
                self._constant(f"{name}_zero", np.zeros(len(scales), np.int8)),
            ]
            self._node("DequantizeLinear", inputs, dq, axis=axis)
        return dq

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{output}/{kind}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def _constant(self, name: str, values: np.ndarray | np.generic) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name
