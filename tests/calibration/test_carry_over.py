"""False accepts of several sets together, with their interval."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calibration.carry_over import false_accepts
from calibration.fitting import ACROSS, WITHIN
from calibration.threshold import default_calibration
from tests.calibration.test_fitting import scores, share


def test_false_accepts_of_several_sets_have_an_interval() -> None:
    calibration = dataclasses.replace(
        default_calibration("cosine", "f"), threshold=0.6, threshold_five=0.7, min_margin=0.0
    )
    sets = [
        {WITHIN: scores(500, 0, cells="abcde")},
        {WITHIN: scores(70, 1, cells="fg"), ACROSS: scores(900, 2, higher=-0.1, cells="fgh")},
    ]
    for pictures in (1, 5):
        rates = [[share(calibration, s, pictures) for s in kinds.values()] for kinds in sets]
        pooled = false_accepts([(calibration, kinds) for kinds in sets], pictures)
        assert pooled.value == pytest.approx(np.mean([np.mean(rate) for rate in rates]))
        assert 0 <= pooled.low < pooled.value < pooled.high < 2 * pooled.value
        (alone,) = (false_accepts([(calibration, sets[0])], pictures),)
        assert alone.value == pytest.approx(rates[0][0])
    one_cell = false_accepts([(calibration, {WITHIN: scores(500, 0)})])
    assert one_cell.low == one_cell.value == one_cell.high, "cells are resampled, not pictures"
