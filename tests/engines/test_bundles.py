"""Rows of bundles of arrays, and bundles joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from engines.bundles import Bundle, join


@dataclass(frozen=True)
class Inner(Bundle):
    side: np.ndarray


@dataclass(frozen=True)
class Outer(Bundle):
    points: np.ndarray
    names: np.ndarray
    inner: Inner


@dataclass(frozen=True)
class Text(Bundle):
    """Words of unequal length in one string: `text` has no row for each."""

    ends: np.ndarray
    text: str


def outer(count: int) -> Outer:
    names = np.array([f"n{i}" for i in range(count)], np.str_)
    points = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    return Outer(points, names, Inner(np.arange(count)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([3, 0, 0]), [3, 0, 0]),
        (np.array([True, False, False, True]), [0, 3]),
        (slice(1, None, 2), [1, 3]),
        (np.zeros(0, int), []),
        (np.zeros(4, bool), []),
    ],
)
def test_rows(rows: np.ndarray | slice, expected: list[int]) -> None:
    whole = outer(4)
    some = whole.take(rows)
    assert isinstance(some, Outer) and isinstance(some.inner, Inner)
    assert len(some) == len(some.inner) == len(expected)
    np.testing.assert_array_equal(some.points, whole.points[expected])
    assert some.points.dtype == np.float32 and some.points.shape == (len(expected), 2)
    assert some.names.tolist() == [f"n{i}" for i in expected]
    assert some.inner.side.tolist() == expected


def test_joined() -> None:
    whole = join([outer(2), outer(0), outer(3)])
    assert isinstance(whole, Outer) and len(whole) == 5 and whole.points.dtype == np.float32
    assert whole.names.tolist() == ["n0", "n1", "n0", "n1", "n2"]
    assert whole.inner.side.tolist() == [0, 1, 0, 1, 2]
    one = join([outer(2)])
    np.testing.assert_array_equal(one.points, outer(2).points)
    with pytest.raises(IndexError):
        join([])


def test_fields_that_are_given() -> None:
    text = Text(np.array([1, 3]), "abb")
    first = text.take(np.array([0]), text="a")
    assert first.ends.tolist() == [1] and first.text == "a"
    assert join([text, text], text="abbabb").text == "abbabb"


@dataclass(frozen=True)
class Timed(Bundle):
    names: np.ndarray
    times: np.ndarray | None = None


def test_what_is_none_stays_none() -> None:
    names = np.array(["a", "b", "c"])
    timed, untimed = Timed(names, np.arange(3.0)), Timed(names)
    assert untimed.take(np.array([2, 0])).times is None
    assert join([untimed, untimed]).times is None and join([timed, untimed]).times is None
    both = join([timed, timed])
    assert both.times is not None and list(both.times) == [0, 1, 2, 0, 1, 2]
