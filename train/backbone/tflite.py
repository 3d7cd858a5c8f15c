"""Read the weights of a .tflite file, in the order in which its operators use them.

A .tflite file is a FlatBuffer (schema: tensorflow/compiler/mlir/lite/schema/schema.fbs). Only the
few fields that lead to the weights are read, by their position in the schema's tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import flatbuffers.table
import numpy as np
from flatbuffers.number_types import Int32Flags, Uint8Flags

from engines.errors import UserError

# Positions of fields in their tables, from 0, in the order of the schema.
MODEL_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS = 1, 2, 4
GRAPH_TENSORS, GRAPH_OPERATORS = 0, 3
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER = 0, 1, 2
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS = 0, 1, 2
CODE_BUILTIN, BUFFER_DATA = 0, 0

OPERATORS = {3: "conv", 4: "depthwise", 6: "dequantize", 9: "dense"}
REMEDY = "Delete it, and the next run fetches it anew."
TYPES: dict[int, np.dtype[np.floating]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}


class _Table:
    """One FlatBuffer table, with access to its fields by position."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._table = flatbuffers.table.Table(data, position)

    def number(self, place: int, flags: object = Int32Flags) -> int:
        offset = self._table.Offset(4 + 2 * place)
        return self._table.Get(flags, offset + self._table.Pos) if offset else 0

    def tables(self, place: int) -> list[_Table]:
        return [_Table(self._data, self._table.Indirect(at)) for at in self._elements(place, 4)]

    def numbers(self, place: int) -> list[int]:
        return [self._table.Get(Int32Flags, at) for at in self._elements(place, 4)]

    def data(self, place: int) -> bytes:
        elements = self._elements(place, 1)
        return self._data[elements.start : elements.stop]

    def _elements(self, place: int, size: int) -> range:
        offset = self._table.Offset(4 + 2 * place)
        if not offset:
            return range(0)
        start = self._table.Vector(offset)
        return range(start, start + size * self._table.VectorLen(offset), size)


def read_weights(data: bytes, file: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the kind, the weights and the bias of each layer, in order.

    Args:
        data: The .tflite file's content.
        file: The file that error messages name.

    Yields:
        "conv", "depthwise" or "dense"; weights, float32 in TensorFlow Lite's layout: conv
        (out, h, w, in), depthwise (1, h, w, channels), dense (out, in); bias, float32 (out,).
        Half-precision constants are widened.

    Raises:
        UserError: The bytes are no .tflite file or a damaged one.
    """
    if data[4:8] != b"TFL3":
        raise UserError(f"{file} holds no .tflite network. {REMEDY}")
    try:
        yield from _read_layers(data)
    except (struct.error, TypeError, ValueError, LookupError):  # offsets that lead nowhere
        raise UserError(f"{file} is damaged. {REMEDY}") from None


def _read_layers(data: bytes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    model = _Table(data, int.from_bytes(data[:4], "little"))
    codes = [code.number(CODE_BUILTIN, Uint8Flags) for code in model.tables(MODEL_CODES)]
    buffers = model.tables(MODEL_BUFFERS)
    graph = model.tables(MODEL_SUBGRAPHS)[0]
    tensors = graph.tables(GRAPH_TENSORS)

    def constant(index: int) -> np.ndarray:
        tensor = tensors[index]
        dtype = TYPES[tensor.number(TENSOR_TYPE, Uint8Flags)]
        content = buffers[tensor.number(TENSOR_BUFFER)].data(BUFFER_DATA)
        return np.frombuffer(content, dtype).reshape(tensor.numbers(TENSOR_SHAPE))

    widened = {}  # index of a tensor → index of the half-precision constant it is widened from
    for operator in graph.tables(GRAPH_OPERATORS):
        kind = OPERATORS.get(codes[operator.number(OPERATOR_CODE)])
        inputs = operator.numbers(OPERATOR_INPUTS)
        if kind == "dequantize":
            widened[operator.numbers(OPERATOR_OUTPUTS)[0]] = inputs[0]
        elif kind is not None:
            weight, bias = (constant(widened.get(i, i)).astype(np.float32) for i in inputs[1:3])
            if weight.ndim != (2 if kind == "dense" else 4):
                raise ValueError(f"{kind} weights of shape {weight.shape}")
            yield kind, weight, bias
