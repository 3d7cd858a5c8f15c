"""Numbers that aren't finite are told, and never written as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from calibration.finite import check_finite, json_text
from engines.errors import UserError
from engines.spec import EncoderSpec

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_one_number_that_is_not_finite_is_told(number: float, shape: tuple[int, ...]) -> None:
    values = np.zeros(shape)
    assert check_finite(values, "These", "Mend them.") is values
    values[(-1,) * len(shape)] = number
    with pytest.raises(UserError, match=rf"^These: 1 of {values.size} numbers .*\. Mend them\.$"):
        check_finite(values, "These", "Mend them.")


def test_nothing_is_finite() -> None:
    assert len(check_finite(np.zeros((0, 4)), "These", "")) == 0


def test_json_has_null_for_what_is_not_finite() -> None:
    figures = {"a": [1.5, float("nan"), (float("inf"), 2)], "b": {"c": np.float64("-inf")}, "d": 3}
    assert json.loads(json_text(figures)) == {"a": [1.5, None, [None, 2]], "b": {"c": None}, "d": 3}


@pytest.mark.parametrize(
    "fields",
    [
        {"similarity": "weighted_l1", "similarity_weights": (1.0, float("nan"))},
        {
            "similarity": "weighted_l1",
            "similarity_weights": (1.0, 1.0),
            "similarity_bias": float("inf"),
        },
        {"crop_mean": (0.0, float("nan"), 0.0)},
        {"crop_std": (1.0, float("inf"), 1.0)},
    ],
)
def test_a_spec_holds_finite_numbers(fields: dict) -> None:
    name = list(fields)[-1]
    with pytest.raises(UserError, match=f"An encoder's {name} is .*; got .*(nan|inf)"):
        EncoderSpec("odd", ("crop",), 2, **fields)


def test_figures_reach_json_in_one_way_only() -> None:
    """`json.dumps` writes NaN, which other programs can't read; settings and texts have none."""
    figures = re.compile(r"write_file\([^)]*json\.dumps|print\(json\.dumps")
    found = [
        path.relative_to(ROOT).as_posix()
        for room in ("calibration", "realtime", "train")
        for path in (ROOT / room).rglob("*.py")
        if figures.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["train/runs/folder.py"]  # run.json, the settings
