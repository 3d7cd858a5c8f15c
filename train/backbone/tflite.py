"""Read a .tflite file: its operators in the order in which they run, their constants and options.

A .tflite file is a FlatBuffer (schema: tensorflow/compiler/mlir/lite/schema/schema.fbs). Only the
few fields that lead to the network are read, by their position in the schema's tables.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import flatbuffers.table
import numpy as np
from flatbuffers.number_types import Int32Flags, Uint8Flags

from engines.errors import UserError

# Positions of fields in their tables, from 0, in the order of the schema.
MODEL_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS = 1, 2, 4
GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER = 0, 1, 2
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 0, 1, 2, 4
CODE_BUILTIN, BUFFER_DATA = 0, 0

OPERATORS = {
    0: "add",
    2: "concatenate",
    3: "conv",
    4: "depthwise",
    6: "dequantize",
    9: "dense",
    14: "sigmoid",
    17: "max_pool",
    22: "reshape",
    23: "resize",
    34: "pad",
    40: "mean",
    54: "prelu",
}
# Operators' options by their position in the options' table; those that fit in a byte.
OPTIONS = {
    "add": {"activation": 0},
    "concatenate": {"activation": 1},
    "conv": {"padding": 0, "activation": 3},
    "depthwise": {"padding": 0, "activation": 4},
    "dense": {"activation": 0},
    "max_pool": {"padding": 0, "activation": 5},
    "resize": {"align_corners": 2, "half_pixels": 3},
    "mean": {"keep": 0},
}
NUMBERS = {  # the same for whole numbers of 32 bits
    "concatenate": {"axis": 0},
    "conv": {"stride": 2},
    "depthwise": {"stride": 2},
    "max_pool": {"stride": 2, "size": 4},
}
REMEDY = "Delete it, and the next run fetches it anew."
TYPES: dict[int, np.dtype] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 2: np.dtype("<i4")}


class _Table:
    """One FlatBuffer table, with access to its fields by position."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._table = flatbuffers.table.Table(data, position)

    def number(self, place: int, flags: object = Int32Flags) -> int:
        offset = self._table.Offset(4 + 2 * place)
        return self._table.Get(flags, offset + self._table.Pos) if offset else 0

    def table(self, place: int) -> _Table:
        offset = self._table.Offset(4 + 2 * place)
        if not offset:
            raise ValueError("a table is missing")
        return _Table(self._data, self._table.Indirect(offset + self._table.Pos))

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


@dataclass(frozen=True)
class Operator:
    """One operator of a network.

    Attributes:
        kind: A value of OPERATORS, or "" for any other operator.
        inputs: Indices of the tensors that it reads.
        output: Index of the first tensor that it writes.
        options: Its options by the names in OPTIONS and NUMBERS.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, int]


class Network:
    """The first graph of a .tflite file.

    Attributes:
        inputs: Indices of the tensors that it takes.
        outputs: Indices of the tensors that it gives.
        operators: Its operators in the order in which they run, without those that widen
            half-precision constants.
    """

    def __init__(self, data: bytes) -> None:
        """Read the file's content. Damage raises struct.error, TypeError, ValueError, LookupError.

        Args:
            data: The content.
        """
        model = _Table(data, int.from_bytes(data[:4], "little"))
        codes = [code.number(CODE_BUILTIN, Uint8Flags) for code in model.tables(MODEL_CODES)]
        graph = model.tables(MODEL_SUBGRAPHS)[0]
        self._buffers = model.tables(MODEL_BUFFERS)
        self._tensors = graph.tables(GRAPH_TENSORS)
        self._widened: dict[int, int] = {}  # tensor → half-precision constant it is widened from
        self.inputs = tuple(graph.numbers(GRAPH_INPUTS))
        self.outputs = tuple(graph.numbers(GRAPH_OUTPUTS))
        operators = []
        for table in graph.tables(GRAPH_OPERATORS):
            kind = OPERATORS.get(codes[table.number(OPERATOR_CODE)], "")
            inputs = tuple(table.numbers(OPERATOR_INPUTS))
            output = table.numbers(OPERATOR_OUTPUTS)[0]
            if kind == "dequantize":
                self._widened[output] = inputs[0]
            else:
                operators.append(Operator(kind, inputs, output, _read_options(kind, table)))
        self.operators = tuple(operators)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Look up the shape of a tensor, batch first, channels last."""
        return tuple(self._tensors[tensor].numbers(TENSOR_SHAPE))

    def constant(self, tensor: int) -> np.ndarray:
        """Read a constant as float32 or int32; half-precision constants are widened."""
        table = self._tensors[self._widened.get(tensor, tensor)]
        dtype = TYPES[table.number(TENSOR_TYPE, Uint8Flags)]
        content = self._buffers[table.number(TENSOR_BUFFER)].data(BUFFER_DATA)
        values = np.frombuffer(content, dtype).reshape(table.numbers(TENSOR_SHAPE))
        return values.astype(np.int32 if dtype.kind == "i" else np.float32)


def _read_options(kind: str, operator: _Table) -> dict[str, int]:
    if kind not in OPTIONS:
        return {}
    table = operator.table(OPERATOR_OPTIONS)
    small = {name: table.number(place, Uint8Flags) for name, place in OPTIONS[kind].items()}
    return small | {name: table.number(place) for name, place in NUMBERS.get(kind, {}).items()}


def read_network(data: bytes, file: Path) -> Network:
    """Read the network of a .tflite file.

    Args:
        data: The .tflite file's content.
        file: The file that error messages name.

    Raises:
        UserError: The bytes are no .tflite file or a damaged one.
    """
    if data[4:8] != b"TFL3":
        raise UserError(f"{file} holds no .tflite network. {REMEDY}")
    try:
        return Network(data)
    except (struct.error, TypeError, ValueError, LookupError):  # offsets that lead nowhere
        raise UserError(f"{file} is damaged. {REMEDY}") from None
