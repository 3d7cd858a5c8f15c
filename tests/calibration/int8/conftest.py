"""A small encoder, its graph, and the widest ranges of its tensors: made once for each module."""

from __future__ import annotations

import onnx
import pytest

from calibration.int8.graph import FloatGraph
from calibration.int8.quantize import METHODS, histograms, ranges
from tests.calibration.int8.int8_files import HANDS, SPEC, small_model


@pytest.fixture(scope="module")
def small() -> onnx.ModelProto:
    return small_model()


@pytest.fixture(scope="module")
def graph(small: onnx.ModelProto) -> FloatGraph:
    return FloatGraph(small, "small.onnx")


@pytest.fixture(scope="module")
def widest(small: onnx.ModelProto, graph: FloatGraph) -> dict[str, tuple[float, float]]:
    return dict(ranges(histograms(small, graph, SPEC, HANDS), METHODS[0]))
