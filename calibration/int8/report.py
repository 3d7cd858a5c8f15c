"""A quantised encoder beside the float one it was made of: what it costs, and what it gains."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from calibration import metrics
from calibration.episodes import LabelledEmbeddings, Scores, across, within
from calibration.int8.crops import HandCrops
from calibration.int8.quantize import cosines
from calibration.metrics import Figure
from calibration.threshold import GALLERY_SIZE
from engines.encoder import Encoder
from engines.selftest.bench import bench
from engines.similarity import similarity

BATCHES = (1, 2, 8)  # hands at once
ROUNDS = 60  # of timing


def embed(encoder: Encoder, hands: HandCrops) -> LabelledEmbeddings:
    parts = [
        encoder.encode(*hands.take(slice(i, i + 32)).inputs()) for i in range(0, len(hands), 32)
    ]
    return LabelledEmbeddings(np.concatenate(parts), hands.labels, hands.subjects)


def compare(
    before: Encoder, after: Encoder, old: LabelledEmbeddings, new: LabelledEmbeddings
) -> dict[str, Any]:
    """Drift, and each figure of both encoders on the same hands, episodes and draws, with the
    change, whose interval is paired. A figure that the hands can't show isn't there."""
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
    """Milliseconds per call of encode by the number of hands, one thread: the median of each, and
    how many times as fast the second is, with a 95 % interval; see engines.selftest.bench."""
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
    return {"float_bytes": before.stat().st_size, "int8_bytes": after.stat().st_size}
