"""Names as people read them: any bytes, any normal form, one spelling for one name."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import names
from realtime.names import enumerate_names, join_spellings, readable, spelling_key


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sentences: list[str] = []
    monkeypatch.setattr(names, "warn_once", sentences.append)
    return sentences


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"A", "A"),
        ("Zoë".encode(), "Zoë"),
        ("Zoe\u0308".encode(), "Zoe\u0308"),
        (b"Zo\xeb", "Zoë"),
        (b"Zo\xeb/\xc3\xab/x", "Zoë/ë/x"),  # each part for itself
    ],
)
def test_readable(name: bytes, text: str) -> None:
    assert readable(name.decode("utf-8", "surrogateescape")) == text


@given(st.binary(max_size=20))
def test_any_bytes_become_text_and_different_ones_stay_apart(data: bytes) -> None:
    name = data.decode("utf-8", "surrogateescape")
    readable(name).encode("utf-8")
    other = readable((data + b"\xe9").decode("utf-8", "surrogateescape"))
    assert other != readable((data + b"\xe8").decode("utf-8", "surrogateescape"))


@given(st.text(st.characters(), max_size=20))
def test_any_text_can_be_read_and_keyed(name: str) -> None:
    """Half characters, too, as Windows allows them in names."""
    readable(name).encode("utf-8")
    assert spelling_key(name) == spelling_key(unicodedata.normalize("NFD", name))


def test_spellings_are_joined_to_the_most_frequent_one(said: list[str]) -> None:
    given_names = ["fist", "Fist", "Fist", "Fist ", "Zoe\u0308", "zoë", "B", "straße", "STRASSE"]
    joined = ["Fist"] * 4 + ["Zoë", "Zoë", "B", "STRASSE", "STRASSE"]
    assert join_spellings(given_names, "label") == joined
    assert said[0] == "Taken for one label, 'Fist': the folders 'Fist', 'Fist ', 'fist'."
    assert said[2] == "Taken for one label, 'Zoë': the folders 'Zoe\u0308', 'zoë'."
    assert len(said) == 3
    join_spellings(["Zoë", "Zoe\u0308"], "person")  # they look the same
    assert said[3] == r"Taken for one person, 'Zoë': the folders 'Zoe\u0308', 'Zo\xeb'."


def test_names_of_one_spelling_stay_as_they_are(said: list[str]) -> None:
    assert join_spellings(["A", "b", "lib A", "x/y z"], "label") == ["A", "b", "lib A", "x/y z"]
    assert join_spellings(["Zoe\u0308"] * 2, "label") == ["Zoë"] * 2
    assert join_spellings([], "label") == []
    assert said == []


def test_a_few_names_are_listed() -> None:
    assert enumerate_names("abc") == "a, b, c"
    assert enumerate_names("abcdefg") == "a, b, c, d, e and 2 more"
    assert enumerate_names([os.fsdecode(b"\xe9")]) == "é"
