"""Compares a quantised encoder with the float one that it was made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration import metrics
from calibration.episodes import UNSOUND, LabelledEmbeddings, Scores, across, within
from calibration.finite import check_finite
from calibration.int8.crops import HandCrops
from calibration.int8.quantize import cosines
from calibration.metrics import Figure
from calibration.threshold import GALLERY_SIZE
from engines.encoder import Encoder
from engines.onnx_file import read_whole
from engines.selftest.bench import bench
from engines.selftest.outputs import differences
from engines.similarity import similarity

BATCHES = (1, 2, 8)  # hands at once
ROUNDS = 60  # of timing
STEP = 32  # hands in a call


def label(outputs: Mapping[str, np.ndarray], hands: HandCrops) -> LabelledEmbeddings:
    """The embeddings among an encoder's outputs of some hands."""
    embeddings = check_finite(outputs["embedding"], "Embeddings of the hands", UNSOUND)
    return LabelledEmbeddings(embeddings, hands.labels, hands.subjects)


def compare_passes(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Compare landmarks, presence and side.

    Args:
        before: the float encoder's outputs, (N, …) by name.
        after: the quantised encoder's of the same hands.

    Returns:
        Distances of landmarks in widths of the crop, and the shares of hands whose presence or
        side becomes another; nothing for encoders that find no landmarks.
    """
    changes = differences(before, after)
    if "landmarks" not in changes:
        return {}
    distances = changes["landmarks"]
    return {
        "landmarks_mean": float(distances.mean()),
        "landmarks_95th_percentile": float(np.percentile(distances, 95)),
        "landmarks_most": float(distances.max()),
        "another_presence": _flips(before["presence"], after["presence"]),
        "another_side": _flips(before["right"], after["right"]),
    }


def _flips(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.mean((before > 0.5) != (after > 0.5)))


def compare(
    before: Encoder, after: Encoder, old: LabelledEmbeddings, new: LabelledEmbeddings
) -> dict[str, Any]:
    """Compare accuracy and open-set figures on the same hands, episodes and draws.

    Args:
        before: the float encoder.
        after: the quantised one.
        old: the float encoder's embeddings.
        new: the quantised encoder's embeddings of the same hands.

    Returns:
        Cosines between the embeddings, and under "figures" each figure of both encoders, most with
        their difference (a paired interval). Figures that the hands can't show are left out.
    """
    cosine = cosines(old.embeddings, new.embeddings)
    rows: dict[str, Any] = {}
    most = max(len(set(old.labels[old.subjects == s])) for s in set(old.subjects))
    known = min(GALLERY_SIZE, most // 2)
    modes: dict[str, Callable[..., Scores]] = {"within a person": within, "across people": across}
    for mode, episodes in modes.items():
        closed = _score_both(before, after, old, new, episodes, None)
        if closed is not None:
            rows[f"{mode}: one-shot accuracy, all labels"] = [
                *map(metrics.accuracy, closed),
                metrics.accuracy_change(*closed),
            ]
        opened = _score_both(before, after, old, new, episodes, known) if known >= 2 else None
        if opened is not None and 0 < opened[0].known.mean() < 1:
            rows[f"{mode}: AUROC, {known} recorded"] = [
                *map(metrics.auroc, opened),
                metrics.auroc_change(*opened),
            ]
            rows[f"{mode}: correct accepts at 1% false, {known} recorded"] = [
                metrics.correct_accepts(scores, 0.01) for scores in opened
            ]
    return {
        "hands": len(cosine),
        "people": len(set(old.subjects)),
        "cosine_mean": float(cosine.mean()),
        "cosine_first_percentile": float(np.percentile(cosine, 1)),
        "cosine_least": float(cosine.min()),
        "figures": {name: [_numbers(figure) for figure in row] for name, row in rows.items()},
    }


def _score_both(
    before: Encoder,
    after: Encoder,
    old: LabelledEmbeddings,
    new: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    known: int | None,
) -> tuple[Scores, Scores] | None:
    first = episodes(old, functools.partial(similarity, before.spec), known=known)
    second = episodes(new, functools.partial(similarity, after.spec), known=known)
    return (first, second) if len(first) else None


def _numbers(figure: Figure) -> list[float]:
    return [figure.value, figure.low, figure.high]


def latencies(before: Encoder, after: Encoder, hands: HandCrops) -> dict[str, dict[str, Any]]:
    """Time both encoders on one thread, see `engines.selftest.bench`.

    Returns:
        By the number of hands: each encoder's median milliseconds per call, how many times as fast
        the second is with its 95 % interval, and the rounds that were timed.
    """
    inputs = hands.take(np.arange(max(BATCHES)) % len(hands)).inputs()
    made = bench({"float": before, "int8": after}, inputs, BATCHES, ROUNDS)
    rows = {(row.engine, row.batch): row for row in made.rows}
    found = {}
    for count in BATCHES:
        old, new = rows["float", count], rows["int8", count]
        ratio = new.ratio
        assert ratio is not None, "the float encoder takes any number of hands"
        found[str(count)] = {
            "float_ms": old.p50_ms,
            "int8_ms": new.p50_ms,
            "times_as_fast": [1 / ratio.value, 1 / ratio.high, 1 / ratio.low],
            "rounds": made.rounds,
        }
    return found


def sizes(before: Path, after: Path) -> dict[str, int]:
    """Bytes of both encoders."""
    return {"float_bytes": len(read_whole(before)), "int8_bytes": len(read_whole(after))}
