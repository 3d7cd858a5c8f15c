"""What a calibration does to people it wasn't fitted on. Pure numpy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.fitting import Kinds, OpenSet, accept_each, evaluate, fit_left_out, pool
from calibration.metrics import Figure, figure
from calibration.threshold import MANY, Calibration
from engines.errors import UserError

POOLED = "all of these, of equal weight"


@dataclass(frozen=True)
class Trial:
    """What calibrations that were fitted on the other sets do to a set, or to all.

    Attributes:
        false_accepts: by the number of pictures of each gesture: 1, and MANY where there are any.
        rates: with one picture, see `fitting.evaluate`; empty for all sets together.
    """

    false_accepts: Mapping[int, Figure]
    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)


def carry_over(
    by_set: Mapping[str, OpenSet | None], fitted: Sequence[str], far: float, draws: int
) -> dict[str, Trial]:
    """Try each set with a calibration fitted on others.

    Args:
        by_set: scores by set; None where a set shows too little.
        fitted: the sets that calibrations are fitted on, each time without the one tried.
        far: the false-accept rate that is asked for, 0…1.
        draws: see `fitting.fit`.

    Returns:
        By set, without those whose others are too few to fit a calibration; last, where there are
        several, POOLED.
    """
    calibrations: dict[tuple[str, ...], Calibration | None] = {}  # by what they are fitted on
    one: dict[str, tuple[Calibration, Kinds]] = {}
    five: dict[str, tuple[Calibration, Kinds]] = {}
    for name, scores in by_set.items():
        others = tuple(other for other in fitted if other != name)
        if others not in calibrations:
            calibrations[others] = _fit_on({each: by_set[each] for each in others}, far, draws)
        calibration = calibrations[others]
        if scores is not None and calibration is not None:
            one[name] = calibration, scores.one
            if scores.five:
                five[name] = calibration, scores.five

    def trial(names: Sequence[str]) -> dict[int, Figure]:
        chosen = {
            pictures: [trials[name] for name in names if name in trials]
            for pictures, trials in ((1, one), (MANY, five))
        }
        return {n: false_accepts(trials, n) for n, trials in chosen.items() if trials}

    tried = {name: Trial(trial([name]), evaluate(*one[name])) for name in one}
    return tried | {POOLED: Trial(trial([*one]))} if len(one) > 1 else tried


def _fit_on(others: Mapping[str, OpenSet | None], far: float, draws: int) -> Calibration | None:
    """None if they are too few."""
    try:
        return fit_left_out(others, far, "", "", draws)
    except UserError:
        return None


def false_accepts(trials: Sequence[tuple[Calibration, Kinds]], pictures: int = 1) -> Figure:
    """False accepts over one or more sets, each under its own calibration, with an interval.

    Sets weigh the same, and so do the kinds of episodes of one set.
    """
    hits_of, cells, weights = [], [], []
    for calibration, scores in trials:
        pooled, weight = pool(scores)
        unknown = ~pooled.known
        hits_of.append(accept_each(calibration, pooled, pictures)[unknown])
        cells.append(pooled.cell[unknown])
        weights.append(weight[unknown] / weight[unknown].sum())
    hits, weight = np.concatenate(hits_of), np.concatenate(weights)
    return figure(
        np.concatenate(cells), lambda w: float((hits * weight * w).sum() / (weight * w).sum())
    )
