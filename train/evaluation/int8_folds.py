"""The effect of quantisation on people an encoder wasn't trained on, and the threshold for it.

Measured on the folds of `run.py cross-validate`: each fold's encoder is quantised like the one to
ship and tested on the set that it wasn't trained on. Needs no PyTorch: a fold's folder holds its
encoder.onnx, and its run.json says what it was trained on.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration import fitting
from calibration.episodes import LabelledEmbeddings
from calibration.fitting import OpenSet
from calibration.int8.crops import HandCrops, choose_balanced, mirror_every_second
from calibration.int8.graph import FloatGraph
from calibration.int8.qdq import insert_qdq
from calibration.int8.quantize import Choice, histograms, ranges
from calibration.int8.report import STEP, compare, compare_passes, label
from calibration.threshold import Calibration
from engines.encoder import open_encoder
from engines.errors import UserError, short_reason
from engines.onnx_file import load_encoder, save_encoder
from engines.say import tell
from engines.selftest.outputs import all_outputs
from engines.similarity import similarity
from train.evaluation import OUTSIDE
from train.pictures.alphabets import kinds_of
from train.pictures.prepared import Prepared
from train.pictures.sources import open_prepared

FAR = 0.01
DRAWS = 20  # of references per person, as in cross-validate


@dataclass(frozen=True)
class FoldResult:
    """Results of a fold's quantised encoder on the set that it wasn't trained on.

    Attributes:
        test: Name of the set.
        report: The comparison with the float encoder; see calibration.int8.report.
        scores: Scores with ten gestures recorded; None if the set shows too few.
    """

    test: str
    report: dict[str, Any]
    scores: OpenSet | None


def evaluate_folds(
    folder: Path, data: Prepared, choice: Choice, crops: int, seed: int, scratch: Path
) -> list[FoldResult]:
    """Compare each fold's encoder, quantised and in float, on the set that it wasn't trained on.

    Args:
        folder: The folder of `run.py cross-validate`.
        data: The prepared hands that the folds were trained on.
        choice: Layers to quantise and the method to find their ranges.
        crops: Number of crops, from the fold's training sets, to find the ranges with.
        seed: Seed of the draw of these crops.
        scratch: A folder for files that are deleted again.

    Raises:
        UserError: The folder holds no folds, or folds of other data or another encoder.
    """
    runs = sorted(path.parent for path in folder.glob("*/encoder.onnx"))
    runs = [run for run in runs if run.name != OUTSIDE]
    if not runs:
        raise UserError(
            f"{folder} holds no folds (SET/encoder.onnx); make them with: python run.py "
            "cross-validate --data FILE.npz --out DIR"
        )
    results = []
    for run in runs:
        tell(f"8 bits on {run.name}, by the encoder trained without it.")
        results.append(_evaluate_fold(run, data, choice, crops, seed, scratch))
    return results


def _evaluate_fold(
    run: Path, data: Prepared, choice: Choice, crops: int, seed: int, scratch: Path
) -> FoldResult:
    try:
        settings = json.loads((run / "run.json").read_text(encoding="utf-8"))
        without, same = list(settings["without"]), dict(settings["same_shapes"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{run / 'run.json'} can't be read ({short_reason(error)}), so it is unknown what "
            f"{run / 'encoder.onnx'} was trained on. Run cross-validate again."
        ) from None
    model, spec, _ = load_encoder(run / "encoder.onnx")
    graph = FloatGraph(model, str(run / "encoder.onnx"))
    if run.name not in without or run.name not in data.sets or set(choice.layers) - {*graph.layers}:
        raise UserError(
            f"{run} isn't a fold of this encoder and these pictures (trained without "
            f"{', '.join(without) or 'nothing'}). Name the folder that cross-validate made of them."
        )
    source = open_prepared(data, spec.crop_size)
    known = np.flatnonzero(~np.isin(data.sets, without))
    known = known[choose_balanced(source.labels[known], source.subjects[known], crops, seed)]
    hands = source.fetch(known)
    hands = mirror_every_second(hands) if spec.one_pass else hands  # as quantize_encoder does
    found = ranges(histograms(model, graph, spec, hands), choice.method)
    tested = source.fetch(np.flatnonzero(data.sets == run.name))
    labels = [same.get(name, name.split("/", 1)[1]) for name in tested.labels.tolist()]
    tested = dataclasses.replace(tested, labels=np.array(labels))
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        path = Path(temporary) / "int8.onnx"
        save_encoder(insert_qdq(model, graph, choice.layers, found), spec, path)
        report, new = _compare_fold(run / "encoder.onnx", path, tested)
    alike = functools.partial(similarity, spec)
    scores = fitting.open_set(new, alike, DRAWS, kinds_of(run.name))
    return FoldResult(run.name, report, scores if scores.one else None)


def _compare_fold(
    before: Path, after: Path, hands: HandCrops
) -> tuple[dict[str, Any], LabelledEmbeddings]:
    first, second = open_encoder(str(before), "onnx"), open_encoder(str(after), "onnx")
    old, new = (all_outputs(encoder, hands.inputs(), STEP) for encoder in (first, second))
    embedded = label(new, hands)
    report = compare(first, second, label(old, hands), embedded) | compare_passes(old, new)
    first.close()
    second.close()
    return report, embedded


def calibration_of(results: list[FoldResult], fingerprint: str) -> Calibration:
    """Calibrate the quantised encoder on the scores of all left-out sets.

    Raises:
        UserError: The sets are too few or too small.
    """
    by_set = {result.test: result.scores for result in results}
    return fitting.fit_left_out(by_set, FAR, fingerprint, "a quantised encoder", DRAWS)
