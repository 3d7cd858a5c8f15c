"""Quantising an encoder: which crops, which layers stay in float, which files are refused."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration import metrics
from calibration.episodes import LabelledEmbeddings, within
from calibration.int8 import quantize
from calibration.int8.crops import check_enough, choose_balanced, manifest, split_people
from calibration.int8.graph import FloatGraph
from calibration.int8.qdq import insert_qdq
from calibration.int8.quantize import METHODS, choose, histograms, ranges
from engines.encoder import ENCODERS
from engines.errors import UserError
from engines.onnx_file import load_encoder
from tests.calibration.int8.int8_files import CONVOLUTIONS, HANDS, SPEC, drawn


def test_labels_and_people_are_balanced_and_the_draw_is_seeded() -> None:
    labels = np.array(["rare"] * 3 + ["common"] * 90 + ["usual"] * 40)
    people = np.array((["ann"] * 2 + ["bea"]) + ["ann"] * 60 + ["bea"] * 30 + ["ann", "bea"] * 20)
    rows = choose_balanced(labels, people, 31, seed=3)
    assert Counter(labels[rows]) == {"rare": 3, "common": 14, "usual": 14}
    assert abs((people[rows] == "ann").sum() - (people[rows] == "bea").sum()) <= 1
    assert (
        rows.tolist()
        == sorted(set(rows.tolist()))
        == choose_balanced(labels, people, 31, 3).tolist()
    )
    assert rows.tolist() != choose_balanced(labels, people, 31, 4).tolist()
    assert len(choose_balanced(labels, people, 1000, 0)) == len(labels)


def test_people_who_calibrate_do_not_measure() -> None:
    subjects = np.array(["a/1", "a/2", "b/1", "b/2", "b/3", "b/1"])
    first, second = split_people(subjects)
    assert not set(subjects[first]) & set(subjects[second])
    assert {"a/1", "b/1"} <= set(subjects[first]) and {"a/2", "b/2"} <= set(subjects[second])
    alone = split_people(np.array(["x", "x"]))
    assert alone[0].all() and alone[1].all()


def test_a_manifest_tells_another_pixel_and_another_joint() -> None:
    hands = drawn(4)
    crops, points = hands.crops.copy(), hands.landmarks.copy()
    crops[2, 0, 0, 0] ^= 1
    points[3, 7, 1] += 1e-6
    told = [
        manifest(one, 0)
        for one in (
            hands,
            drawn(4),
            dataclasses.replace(hands, crops=crops),
            dataclasses.replace(hands, landmarks=points),
        )
    ]
    assert told[0] == told[1]
    assert len({one["sha256"] for one in told}) == 3
    changed = [a != b for a, b in zip(told[0]["pictures"], told[2]["pictures"], strict=True)]
    assert changed == [False, False, True, False]


def test_layers_that_drift_are_left_in_float(small, monkeypatch) -> None:
    """One channel of c8 is 1000 times louder than it need be: int8 holds nothing of the rest."""
    monkeypatch.setattr(quantize, "BINS", 128)  # for speed
    monkeypatch.setattr(quantize, "LEVELS", 32)
    loud = onnx.ModelProto()
    loud.CopyFrom(small)
    for constant in loud.graph.initializer:
        values = numpy_helper.to_array(constant).copy()
        if constant.name in ("c8.weight", "c8.bias"):
            values[0] *= 1000
        elif constant.name in ("g0.weight", "g1.weight"):
            values[:, 0] /= 1000
        else:
            continue
        constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    held = drawn(24, seed=5)
    choice, found = choose(loud, FloatGraph(loud, "loud"), SPEC, HANDS, held, drift=0.004)
    alone = choice.report["drift_of_each_layer_alone"]
    assert choice.report["left_in_float_as_sensitive"]
    assert "c8" in choice.report["left_in_float_as_sensitive"] and "c8" not in choice.layers
    assert alone["c8"] == max(alone[name] for name in CONVOLUTIONS)
    assert choice.report["drift_of_the_others"] <= 0.004
    assert set(choice.report["drift_by_method"]) == set(METHODS)
    by_method = choice.report["drift_by_method"]
    assert by_method[choice.method] == min(by_method.values())
    assert set(found) == set(FloatGraph(loud, "loud").tensors())


def test_an_encoder_without_numbers_is_not_quantised(small) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(small)
    for constant in broken.graph.initializer:
        if constant.name == "g1.weight":
            values = numpy_helper.to_array(constant).copy()
            values.flat[3] = np.nan
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    with pytest.raises(UserError, match="The embedding that small-1 gives: .* aren't finite"):
        choose(broken, FloatGraph(broken, "broken"), SPEC, HANDS, drawn(8, seed=1))


def test_short_runs_between_float_layers_stay_float(small, graph) -> None:
    kept = [name for name in graph.layers if name not in ("c1", "c8")]
    assert quantize._without_short_runs(graph, kept) == [*CONVOLUTIONS[2:8], "g0", "g1"]
    assert quantize._without_short_runs(graph, graph.layers) == list(graph.layers)


def test_no_drift_at_all_cannot_be_had(small, graph) -> None:
    with pytest.raises(UserError, match="In 8 bits every layer of small-1 .* more than 1e-12"):
        choose(small, graph, SPEC, HANDS, drawn(8, seed=1), drift=1e-12)


def test_percentile_and_entropy_cut_off_what_is_rare(small, graph, monkeypatch) -> None:
    monkeypatch.setattr(quantize, "BINS", 256)  # for speed
    monkeypatch.setattr(quantize, "LEVELS", 64)
    collected = histograms(small, graph, SPEC, HANDS)
    found = {method: ranges(collected, method) for method in METHODS}
    widths = {
        method: {name: high - low for name, (low, high) in one.items()}
        for method, one in found.items()
    }
    for method in METHODS[1:]:
        assert all(widths[method][n] <= widths["min–max"][n] * 1.001 for n in widths["min–max"]), (
            method
        )
        assert widths[method]["c1.out"] < widths["min–max"]["c1.out"]


def test_too_few_crops_and_files_that_cannot_be_quantised(small, graph, widest) -> None:
    with pytest.raises(UserError, match="pictures shows 31 hands; at least 32 are needed"):
        check_enough(HANDS.take(np.arange(31)), "pictures")
    made = insert_qdq(small, graph, graph.layers, widest)
    with pytest.raises(UserError, match="twice.onnx is quantised already"):
        FloatGraph(made, "twice.onnx")
    geometry, _, _ = load_encoder(ENCODERS["landmarks"])
    with pytest.raises(UserError, match="landmarks.onnx has no layers that could run in 8 bits"):
        FloatGraph(geometry, "landmarks.onnx")


def test_a_change_is_paired() -> None:
    """The same embeddings change by nothing at all, whatever is resampled; worse ones by less."""
    rng = np.random.default_rng(0)
    labels, people = np.array(["a", "b", "c", "d"] * 20), np.array(["x"] * 40 + ["y"] * 40)
    centres = {name: rng.normal(size=8) for name in "abcd"}
    vectors = np.array([centres[name] for name in labels]) + rng.normal(0, 0.8, (80, 8))
    worse = vectors + rng.normal(0, 2.0, vectors.shape)

    def scores(values: np.ndarray, known: int | None = None):  # type: ignore[no-untyped-def]
        unit = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
        return within(LabelledEmbeddings(unit, labels, people), lambda a, b: a @ b.T, known=known)

    same = metrics.accuracy_change(scores(vectors), scores(vectors))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    change = metrics.accuracy_change(scores(vectors), scores(worse))
    assert change.high < 0
    assert change.value == pytest.approx(
        metrics.accuracy(scores(worse)).value - metrics.accuracy(scores(vectors)).value
    )
    area = metrics.auroc_change(scores(vectors, 2), scores(worse, 2))
    assert area.value == pytest.approx(
        metrics.auroc(scores(worse, 2)).value - metrics.auroc(scores(vectors, 2)).value
    )
