"""Quantises an encoder's graph: puts Q/DQ pairs around its dense layers.

ONNX Runtime fuses the Q/DQ pairs on both sides of a layer into integer arithmetic; TensorRT takes
the types from them. Weights are int8 per output channel, activations int8 per tensor, and every
zero point is 0, as TensorRT requires. Biases stay float: TensorRT takes no others, and ONNX Runtime
quantises them itself. Sums of branches stay float.

ONNX Runtime can't fuse a clip at 0 where the zero point is 0, for which there are two remedies:

- Where the reader doesn't pad, the middle of the range 0…t is moved to 0: t/2 is subtracted from
  the convolution's bias, and the bias of its reader adds it back (bias absorption, Nagel et al.
  2019, arXiv 1906.04721). The saturation of the quantiser then clips, and uses all of int8 instead
  of half of it.
- Where the reader pads, 0 must stay 0. The saturation clips at the upper bound, a LeakyRelu of
  slope 0 at the lower one: ONNX Runtime runs that in 8 bits by a table, but a Relu in floats.
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
LEAST = 1e-6  # least half-width of a range; layers that are always 0 have narrower ones
ULP = 2.0**-22  # a relative difference between scales that changes no result


def insert_qdq(
    model: onnx.ModelProto, graph: FloatGraph, chosen: Collection[str], ranges: Ranges
) -> onnx.ModelProto:
    """Copy a graph with some layers in 8 bits.

    Args:
        model: the float encoder.
        graph: the same, analysed.
        chosen: names of the layers, some of graph.layers.
        ranges: lowest and highest value of each of graph.tensors().

    Returns:
        The graph, without metadata, since it is another encoder.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.metadata_props[:]
    writer = _Writer(graph, frozenset(chosen), ranges)
    nodes = writer.write()
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(writer.constants)
    del made.graph.value_info[:]
    prune(made.graph)
    onnx.checker.check_model(made, full_check=True)
    return made


class _Writer:
    """Walks the graph once and writes the new nodes."""

    def __init__(self, graph: FloatGraph, chosen: frozenset[str], ranges: Ranges) -> None:
        self._graph, self._chosen, self._ranges = graph, chosen, ranges
        clips = graph.movable_clips(chosen)
        # Clipped tensors whose range is moved to be symmetric about 0.
        self._centred = {n: c for n, c in clips.items() if not pads(graph.readers[n][0])}
        self._clips = {clip.node.input[0]: clip for clip in clips.values()}
        self._now: dict[str, str] = {}  # tensor → the tensor that takes its place so far
        self._paired: set[str] = set()  # tensors that have gone through a Q/DQ pair
        self._readings: dict[str, int] = {}  # how many layers have quantised a tensor
        self._weights: dict[str, np.ndarray] = {}  # of chosen layers, rounded
        self._nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def write(self) -> list[onnx.NodeProto]:
        """The new graph's nodes; its new constants are in `constants`."""
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
        """Quantise what a chosen layer reads, unless that is done already; its name."""
        name = node.input[0]
        read = self._now.get(name, name)
        if name in self._paired:
            return read
        # ONNX Runtime merges equal pairs, and has no fast kernel for a pair with several readers.
        # So each further reader's scale differs in the last bit.
        before = self._readings.get(name, 0)
        self._readings[name] = before + 1
        scale = self._scale(name) * np.float32(1 + before * ULP)
        return self._pair(read, f"{name}_to_{node.name}", scale)

    def _give_clipped(self, tensor: str, name: str) -> None:
        """Quantise a convolution's output `tensor` in place of its clip, whose output is `name`."""
        read = self._pair(tensor, name, self._scale(name))
        if name not in self._centred:
            cut = self._node("LeakyRelu", [read], f"{name}_cut", alpha=0.0)
            read = self._pair(cut, cut, self._scale(name))
        self._now[name] = read
        self._paired.add(name)

    def _give(self, node: onnx.NodeProto) -> None:
        """Quantise the output of a convolution that has no clip after it."""
        name = node.output[0]
        if self._graph.clip_after(node) is not None or name in self._graph.outputs:
            return
        scale = self._scale(name)
        self._now[name] = self._pair(name, name, scale)
        if len(self._graph.readers.get(name, [])) < 2:
            self._paired.add(name)
            return
        # ONNX Runtime doesn't fuse a pair with several readers; a clip that changes nothing helps.
        bounds = [self._constant(f"{name}_{i}", scale * np.float32(i)) for i in (-128, 127)]
        self._now[name] = self._node("Clip", [self._now[name], *bounds], f"{name}_held")

    def _move_bounds(self, node: onnx.NodeProto, new: onnx.NodeProto) -> None:
        """Move the bounds of a clip after a float convolution, where its range is moved."""
        name = node.output[0]
        if name not in self._centred:
            return
        top = [self._centred[name].high] if np.isfinite(self._centred[name].high) else []
        bounds = [np.float32(bound - self._centre(name)) for bound in (0.0, *top)]
        new.op_type = "Clip"
        new.input[1:] = [self._constant(f"{name}_bound{i}", b) for i, b in enumerate(bounds)]

    def _move_bias(self, node: onnx.NodeProto, new: onnx.NodeProto, clip: Clip | None) -> None:
        """Move a convolution's bias: subtract its output's centre, add back its input's centre."""
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
        """Add a Gemm's bias in a node of its own: ONNX Runtime can't fuse one with a float bias."""
        if len(new.input) < 3:
            return
        bias, output = new.input[2], new.output[0]
        del new.input[2:]
        new.output[0] = f"{output}_unbiased"
        self._node("Add", [new.output[0], bias], output)

    def _scale(self, name: str) -> np.float32:
        if name in self._centred:
            return np.float32(self._centre(name) / 128)
        return np.float32(max(*map(abs, self._ranges[name]), LEAST) / 127)

    def _centre(self, name: str) -> float:
        """By how much a tensor's range is moved down."""
        if name not in self._centred:
            return 0.0
        return max(min(self._ranges[name][1], self._centred[name].high), LEAST) / 2

    def _pair(self, tensor: str, name: str, scale: np.float32) -> str:
        """Add a Q/DQ pair behind a tensor; its output's name."""
        constants = [
            self._constant(f"{name}_scale", scale),
            self._constant(f"{name}_zero", np.int8(0)),
        ]
        q = self._node("QuantizeLinear", [tensor, *constants], f"{name}_q")
        return self._node("DequantizeLinear", [q, *constants], f"{name}_dq")

    def _weight(self, node: onnx.NodeProto) -> str:
        """Store a layer's weights as int8 and dequantise them; the name of the result."""
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
