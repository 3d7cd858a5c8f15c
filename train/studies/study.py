"""What all studies share: their settings, verification of a trained run, formatting of figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibration.finite import json_text
from engines.errors import UserError
from engines.files import write_file
from realtime.names import readable
from train.siamese.pairs import Pairs
from train.siamese.pictures import Pictures
from train.siamese.runs import Run
from train.siamese.verification import Verification, extremes, score_features, score_pairs, verify

SIZES = ("full", "laptop", "minute")


@dataclass(frozen=True)
class Study:
    """Settings of a study.

    Attributes:
        data: The file or folder of data.
        out: The folder of the results.
        size: "full" as published, "laptop" for two cores without a GPU, "minute" to see that it
            works.
        seeds: Number of repeated runs that differ in their seeds; None: as the size says.
        storage: URL of Optuna's database, for a sweep shared by several machines; None: a file in
            `out`.
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
        """Return the command that repeats this study, with placeholders for folders."""
        seeds = "" if self.seeds is None else f" --seeds {self.seeds}"
        data = f"$DATA/{readable(self.data.name)}"
        return f"python run.py study {name} --data {data} --size {self.size}{seeds} --out DIR"


class RawPixels(nn.Module):
    """The untrained baseline: a stand-in for SiameseNetwork whose features are the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # callers ask its device

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pixels, (N, S²), of pictures float (N, 1, S, S) 0…1."""
        return pictures.flatten(1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute −‖a − b‖, float (…), of features float (…, D), with broadcasting."""
        return -(a - b).square().sum(-1).sqrt()


def verify_run(
    run: Run, pictures: Pictures, pairs: Pairs, features: Tensor | None = None
) -> Verification:
    """Verify a run's network on test pairs, at the threshold fitted to its validation.

    The most confident decisions, right and wrong, are drawn as pairs.png in the run's folder.

    Args:
        run: The run.
        pictures: N pictures.
        pairs: Pairs of them.
        features: (N, D) of the pictures; None computes them.
    """
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


def format_duration(seconds: float) -> str:
    """Format seconds as "41 s", "12 min" or "2.3 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def format_mean(values: list[float]) -> str:
    """Format shares of several seeds as percent: their mean, and their standard deviation."""
    mean = f"{100 * np.mean(values):.1f} %"
    return mean if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"


def write_figures(path: Path, results: object) -> None:
    """Write figures as JSON, for other programs."""
    write_file(path, json_text(results, indent=1))


def name_machines(runs: Iterable[Run]) -> str:
    """Name the machines that trained the runs."""
    return ", ".join(sorted({run.machine for run in runs}))
