"""Numbers that aren't finite are told where they arise, before anything is made of them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from engines.errors import UserError


def check_finite(values: np.ndarray, fault: str, remedy: str) -> np.ndarray:
    """Check numbers of any shape.

    Args:
        values: the numbers.
        fault: what they are, as the start of a sentence: "The embeddings of a.npz".
        remedy: what to do, a sentence.

    Returns:
        The numbers.

    Raises:
        UserError: if one of them is NaN or infinite.
    """
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise UserError(
            f"{fault}: {broken} of {values.size} numbers aren't finite (NaN or ∞). {remedy}"
        )
    return values


def json_text(figures: Any, indent: int = 2, ensure_ascii: bool = True) -> str:
    """Figures as JSON, which has no NaN and no ∞: null stands for them, at any depth."""
    known = _finite_or_none(figures)
    return json.dumps(known, indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def _finite_or_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite_or_none(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_or_none(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
