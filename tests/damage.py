"""Strategies for files that were damaged or made up: JSON of any shape, bytes cut and changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engines.errors import UserError

many = settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([10**9, 2**63, -(10**30), 10**400]),
    st.floats(),  # NaN and the infinities, too, which Python's JSON writes and reads
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "crop", "cosine", "weighted_l1", "sm89", "1.7", "a\nb", "\x1b[31m", "é手"]
    ),
    st.sampled_from(["\ud800", "; rm -rf ~", "../../x", "9" * 5000]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def json_files(fields: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Files like the one that holds `fields`: with other values, without some, cut, or no JSON."""
    names = st.sampled_from(sorted(fields))
    changes = st.dictionaries(names | TEXTS, VALUES, min_size=1, max_size=3)
    edited = st.builds(
        lambda change, gone: {k: v for k, v in (fields | change).items() if k not in gone},
        changes,
        st.lists(names, max_size=2) | st.just([]),
    )
    texts = st.one_of(edited, VALUES).map(json.dumps)
    whole = texts.map(str.encode)
    nested = st.integers(1, 100_000).map(lambda depth: b"[" * depth)
    return st.one_of(whole, whole.flatmap(damaged_bytes), nested, st.binary(max_size=40))


def damaged_bytes(data: bytes) -> st.SearchStrategy[bytes]:
    """The data cut short, without a part in the middle, or with other bytes at some places."""
    places = st.integers(0, max(len(data) - 1, 0))
    cut = places.map(lambda end: data[:end])
    gap = st.builds(lambda at, count: data[:at] + data[at + count :], places, st.integers(1, 9))
    changes = st.dictionaries(places, st.integers(0, 255), min_size=1, max_size=5)
    return st.one_of(cut, gap, changes.map(lambda change: _replace(data, change)))


def _replace(data: bytes, change: dict[int, int]) -> bytes:
    return bytes(change.get(at, byte) for at, byte in enumerate(data))


def one_sentence(error: Exception) -> bool:
    """Whether an error is told as a person can read it: on one line, of printable characters."""
    text = str(error)
    return text.isprintable() and 10 < len(text) < 1000


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What the block raises is a UserError of one sentence, or nothing."""
    try:
        yield
    except UserError as error:
        assert one_sentence(error), repr(str(error))


def stored(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
