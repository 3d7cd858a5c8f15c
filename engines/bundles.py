"""Bundles: frozen dataclasses of arrays with one row for each of N items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

AnyBundle = TypeVar("AnyBundle", bound="Bundle")


@dataclass(frozen=True)
class Bundle:
    """Base class of a frozen dataclass of arrays (N, …), bundles of N rows, or None."""

    def __len__(self) -> int:
        """N, the number of rows."""
        return len(getattr(self, fields(self)[0].name))

    def take(self: AnyBundle, rows: np.ndarray | slice, **given: Any) -> AnyBundle:
        """The same kind of bundle with some of the rows.

        Args:
            rows: an index array, a bool mask (N,) or a slice.
            given: the new values of fields that don't have one row per item.
        """
        names = [field.name for field in fields(self) if field.name not in given]
        return replace(self, **{name: _take(getattr(self, name), rows) for name in names}, **given)


def join(bundles: Sequence[AnyBundle], **given: Any) -> AnyBundle:
    """Concatenate one or more bundles of one kind; given: see `Bundle.take`."""
    first = bundles[0]
    names = [field.name for field in fields(first) if field.name not in given]
    joined = {name: _join([getattr(bundle, name) for bundle in bundles]) for name in names}
    return replace(first, **joined, **given)


def _take(values: Any, rows: np.ndarray | slice) -> Any:
    if values is None:
        return None
    return values.take(rows) if isinstance(values, Bundle) else values[rows]


def _join(parts: Sequence[Any]) -> Any:
    if any(part is None for part in parts):
        return None
    return join(parts) if isinstance(parts[0], Bundle) else np.concatenate(parts)
