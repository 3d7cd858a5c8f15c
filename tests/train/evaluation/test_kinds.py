"""Bursts of one label are no people: only their figures across people count."""

from __future__ import annotations

import numpy as np

from calibration.episodes import LabelledEmbeddings
from calibration.fitting import ACROSS, WITHIN, open_set
from train.pictures.alphabets import kinds_of


def test_bursts_are_scored_across_people_only() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(np.repeat([f"letter {i:02}" for i in range(12)], 3), 4)
    bursts = np.repeat([f"burst{i}" for i in range(4)], 36)
    data = LabelledEmbeddings(rng.normal(size=(144, 8)), labels, bursts)
    kinds = {
        name: set(open_set(data, lambda a, b: a @ b.T, 1, kinds_of(name)).one)
        for name in ("arasl", "massey")
    }
    assert kinds == {"arasl": {ACROSS}, "massey": {WITHIN, ACROSS}}
