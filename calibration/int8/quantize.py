"""Chooses the layers of an encoder that run in 8 bits, and the ranges of its tensors.

The only file that imports onnxruntime.quantization, for its histograms of activations.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.episodes import UNSOUND
from calibration.finite import check_finite
from calibration.int8.crops import HandCrops
from calibration.int8.graph import FloatGraph
from calibration.int8.qdq import Ranges, insert_qdq
from engines.errors import UserError
from engines.onnx_runtime.session import cpu_session, load_onnxruntime
from engines.say import progress
from engines.selftest.outputs import differences
from engines.spec import EncoderSpec, output_shapes, preprocess

if TYPE_CHECKING:
    import onnx

METHODS = ("min–max", "percentile", "entropy")
PERCENTILE = 99.99  # of a tensor's values are kept, half of the rest is cut at either end
BINS, LEVELS = 1024, 256  # of a histogram, and of the quantised one in the entropy method
DRIFT = 0.005  # largest 1 − mean cosine to the float encoder
# The largest mean differences of what a one-pass encoder gives beside the embedding: shares of the
# crop's width, metres, probabilities.
DRIFTS = {"landmarks": 0.005, "world_landmarks": 0.001, "presence": 0.01, "right": 0.01}
SHORTEST = 3  # least run of convolutions in 8 bits; conversion costs more than shorter ones gain
BATCH = 8  # hands whose activations are in memory at once


@dataclass(frozen=True)
class Choice:
    """What to quantise.

    Attributes:
        layers: names of the layers that run in 8 bits.
        method: how ranges are found, one of METHODS.
        report: the measurements behind the choice, for people.
    """

    layers: tuple[str, ...]
    method: str
    report: dict[str, Any]


def choose(
    model: onnx.ModelProto,
    graph: FloatGraph,
    spec: EncoderSpec,
    calibrating: HandCrops,
    held_back: HandCrops,
    drift: float = DRIFT,
) -> tuple[Choice, Ranges]:
    """Choose the layers that can run in 8 bits, and find the ranges of all tensors.

    Drift is the mean difference of an output from the float encoder's, see
    `engines.selftest.outputs.differences`; of several outputs, the one counts that drifts most for
    what it may. It is measured for each layer with that layer alone in 8 bits. The layers that
    drift most stay float, until all others together drift by no more than they may; then short runs
    between them stay float, too. Of METHODS, the one with the least drift finds the ranges.

    Args:
        model: the float encoder.
        graph: the same, analysed.
        spec: the encoder's.
        calibrating: hands to find ranges on.
        held_back: other hands, to measure drift on.
        drift: largest drift of embeddings that is allowed; that of other outputs is in DRIFTS.

    Returns:
        The choice, and the ranges of graph.tensors().

    Raises:
        UserError: if no layer is left, or what the float encoder gives isn't finite.
    """
    exact = outputs(model, spec, held_back)
    for name, values in exact.items():
        check_finite(values, f"The {name} that {spec.name} gives", UNSOUND)
    collected = histograms(model, graph, spec, calibrating)
    widest = ranges(collected, METHODS[0])
    allowed = {"embedding": drift, **DRIFTS}

    def drifts(layers: Collection[str], using: Ranges) -> dict[str, float]:
        found = outputs(insert_qdq(model, graph, layers, using), spec, held_back)
        changes = differences(exact, found)
        return {name: float(change.mean()) for name, change in changes.items()}

    def share(found: Mapping[str, float]) -> float:
        return max(value / allowed[name] for name, value in found.items())

    with progress() as bar:
        task = bar.add_task("layers", total=len(graph.layers))
        alone = {}
        for name in graph.layers:
            alone[name] = drifts([name], widest)
            bar.advance(task)
    worst_first = sorted(graph.layers, key=lambda name: -share(alone[name]))
    for count in range(len(worst_first)):
        kept = [name for name in graph.layers if name not in worst_first[:count]]
        together = drifts(kept, widest)
        if share(together) <= 1:
            break
    else:
        raise UserError(
            f"In 8 bits every layer of {spec.name} turns its embeddings by more than {drift:g}, or "
            "changes what else it gives by too much: keep the float encoder."
        )
    sensitive = worst_first[:count]
    layers = tuple(_without_short_runs(graph, kept))
    if not layers:
        raise UserError(f"{spec.name} has too few layers for 8 bits: keep the float encoder.")
    by_method = {name: ranges(collected, name) for name in METHODS}
    found = {name: drifts(layers, using) for name, using in by_method.items()}
    method = min(found, key=lambda name: share(found[name]))
    report = {
        "drift_asked_for": drift,
        "drift_of_each_layer_alone": {name: one["embedding"] for name, one in alone.items()},
        "left_in_float_as_sensitive": sensitive,
        "left_in_float_between": [n for n in kept if n not in layers],
        "drift_of_the_others": together["embedding"],
        "drift_by_method": {name: one["embedding"] for name, one in found.items()},
        "method": method,
        "layers_in_8_bits": len(layers),
        "layers": len(graph.layers),
    }
    if spec.one_pass:
        report["drifts_asked_for"] = DRIFTS
        report["drifts_of_the_others"] = together
        report["drifts_by_method"] = found
        report["drifts_of_each_layer_alone"] = alone
    return Choice(layers, method, report), by_method[method]


def _without_short_runs(graph: FloatGraph, kept: Collection[str]) -> list[str]:
    """The kept layers without runs of fewer than SHORTEST convolutions between float ones."""
    convolutions = [n.name for n in graph.nodes if n.op_type == "Conv" and n.name in graph.layers]
    if all(name in kept for name in convolutions):
        return list(kept)
    short: set[str] = set()
    run: list[str] = []
    for name in [*convolutions, ""]:
        if name in kept:
            run.append(name)
        else:
            short.update(run if len(run) < SHORTEST else [])
            run = []
    return [name for name in kept if name not in short]


def histograms(
    model: onnx.ModelProto, graph: FloatGraph, spec: EncoderSpec, hands: HandCrops
) -> Any:
    """A HistogramCollector of onnxruntime with the values of graph.tensors()."""
    import onnx

    load_onnxruntime()  # before any other import of it: this switches usage reports off
    from onnxruntime.quantization.calibrate import HistogramCollector

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    given = [value.name for value in model.graph.input]
    inside = [name for name in graph.tensors() if name not in given]
    kind = onnx.TensorProto.FLOAT
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(n, kind, None) for n in inside)
    run = _open(shown)
    collector = HistogramCollector("entropy", False, BINS, LEVELS, PERCENTILE, "same")
    with progress() as bar:
        task = bar.add_task("ranges", total=len(hands))
        for part in _batches(hands, BATCH):
            inputs = preprocess(spec, part.inputs())
            values = dict(zip(inside, run(inside, inputs), strict=True))
            values |= {name: inputs[name] for name in graph.tensors() if name in given}
            with contextlib.redirect_stdout(io.StringIO()):  # it prints
                collector.collect(values)
            bar.advance(task, len(part))
    return collector


def ranges(collected: Any, method: str) -> Ranges:
    """Find each tensor's lowest and highest value.

    Args:
        collected: of `histograms`.
        method: "min–max" takes all values, "percentile" cuts the rarest, "entropy" cuts where
            least information is lost (Migacz 2017).
    """
    if method == "min–max":
        return {name: (float(h[2]), float(h[3])) for name, h in collected.histogram_dict.items()}
    collected.method = method
    with contextlib.redirect_stdout(io.StringIO()):
        found = collected.compute_collection_result()
    return {name: (float(values[0]), float(values[1])) for name, values in found.items()}


def outputs(model: onnx.ModelProto, spec: EncoderSpec, hands: HandCrops) -> dict[str, np.ndarray]:
    """What a graph in memory gives for N hands, float32 (N, …) by name."""
    run, names = _open(model), list(output_shapes(spec))
    parts = [run(names, preprocess(spec, part.inputs())) for part in _batches(hands, 32)]
    return dict(zip(names, map(np.concatenate, zip(*parts, strict=True)), strict=True))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine similarity row by row: (N, D) and (N, D) → (N,)."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)


def _batches(hands: HandCrops, size: int) -> Iterator[HandCrops]:
    for start in range(0, len(hands), size):
        yield hands.take(slice(start, start + size))


def _open(model: onnx.ModelProto) -> Callable[..., list[np.ndarray]]:
    """Open a graph as OnnxEncoder does; returns the session's `run`."""
    return cpu_session(model.SerializeToString()).run
