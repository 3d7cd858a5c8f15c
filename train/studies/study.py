"""What the studies have in common: how large, where to, and how a trained run is judged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from engines.errors import UserError
from engines.files import write_file
from train.siamese.pairs import Pairs
from train.siamese.pictures import Pictures
from train.siamese.runs import Run
from train.siamese.verification import Verification, extremes, score_features, score_pairs, verify

SIZES = ("full", "laptop", "minute")


@dataclass(frozen=True)
class Study:
    """How a study is run.

    data: its file or folder; out: the folder it leaves; size: "full" as published, "laptop" for
    two cores without a GPU, "minute" to see that it works; seeds: runs that only differ in their
    seed, of the kinds that are repeated (None: as the size says); storage: Optuna's, for a sweep
    shared by many machines (None: a file in `out`).
    """

    data: Path
    out: Path
    size: str = "laptop"
    seeds: int | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"--size takes {', '.join(SIZES)}; got {self.size!r}.")
        if self.seeds is not None and self.seeds < 1:
            raise UserError(f"--seeds takes a number from 1 on; got {self.seeds}.")

    def command(self, name: str) -> str:
        """What makes this report, with the data named as a reader would have it."""
        seeds = "" if self.seeds is None else f" --seeds {self.seeds}"
        data = f"$DATA/{self.data.name}"
        return f"python run.py study {name} --data {data} --size {self.size}{seeds} --out DIR"


def verified(
    run: Run, pictures: Pictures, pairs: Pairs, features: Tensor | None = None
) -> Verification:
    """The run's network on test pairs, at the threshold that its validation chose; leaves its best
    and worst pairs as pairs.png in the run's folder. features: (N, D) of the pictures, if known."""
    from train.reports.plots import pair_panel

    if features is None:
        scores = score_pairs(run.network, pictures.images, pairs)
    else:
        scores = score_features(run.network, features, pairs)
    kinds = {
        kind: [
            (
                pictures.images[pairs.first[row]],
                pictures.images[pairs.second[row]],
                float(scores[row]),
                f"{pictures.labels[pairs.first[row]]} – {pictures.labels[pairs.second[row]]}",
            )
            for row in rows
        ]
        for kind, rows in extremes(scores, pairs.same, run.threshold, 5).items()
    }
    pair_panel(run.folder / "pairs.png", kinds)
    return verify(scores, pairs.same, run.threshold)


def minutes(seconds: float) -> str:
    """ "41 s", "12 min" or "2.3 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def spread(values: list[float]) -> str:
    """Percent: the mean of several seeds, and their standard deviation."""
    mean = f"{100 * np.mean(values):.1f} %"
    return mean if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"


def kept(path: Path, results: object) -> None:
    """Figures as JSON, for other programs."""
    write_file(path, json.dumps(results, indent=1))


def machines(runs: Iterable[Run]) -> str:
    """What the runs were trained on."""
    return ", ".join(sorted({run.machine for run in runs}))
