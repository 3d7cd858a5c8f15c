"""Lines in any script: their runs, and the order in which they are seen."""

from __future__ import annotations

import unicodedata

import pytest
from bidi import algorithm
from hypothesis import given
from hypothesis import strategies as st

from realtime.text.runs import EMOJI, LATIN, Run, split_into_clusters, split_into_runs


def seen(line: str) -> str:
    """The characters from left to right."""
    runs = split_into_runs(line)
    return "".join(run.text[::-1] if run.leftward else run.text for run in runs)


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("Thumb up 1", [("Thumb up 1", LATIN)]),
        ("", []),
        ("Да, ok", [("Да, ", "Cyrl"), ("ok", LATIN)]),
        ("हिन्दी", [("हिन्दी", "Deva")]),
        ("手 こん 한", [("手 ", "Hani"), ("こん ", "Hira"), ("한", "Hang")]),
        ("ไทย ላ", [("ไทย ", "Thai"), ("ላ", "Ethi")]),
        ("👍🏽 yes", [("👍🏽", EMOJI), (" yes", LATIN)]),
        ("👨\u200d👩\u200d👧❤\ufe0f🇩🇪", [("👨\u200d👩\u200d👧❤\ufe0f🇩🇪", EMOJI)]),
        ("e\u0301", [("é", LATIN)]),
        ("a\n\x1b", [("a\\u000a\\u001b", LATIN)]),
        ("bad \udc80", [("bad \\udc80", LATIN)]),
    ],
)
def test_runs_of_one_script(line: str, runs: list[tuple[str, str]]) -> None:
    assert split_into_runs(line) == [Run(text, script) for text, script in runs]


def test_text_from_right_to_left_is_joined_in_the_order_of_reading() -> None:
    """Words as they are read, from left to right as they are seen; digits and Latin as ever."""
    runs = split_into_runs("سلام (abc) 12")
    assert [(run.text, run.leftward) for run in runs] == [("12 (abc) ", False), ("سلام", True)]
    assert [run.script for run in runs] == ["Latn", "Arab"]
    assert split_into_runs("می\u200cخواهم") == [Run("می\u200cخواهم", "Arab", True)]
    assert split_into_runs("שָׁלוֹם") == [Run("שָׁלוֹם", "Hebr", True)]
    mixed = split_into_runs("שלוםسلام")
    assert [(run.text, run.script) for run in mixed] == [("سلام", "Arab"), ("שלום", "Hebr")]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("(אב)", "(בא)"),
        ("א (b) <ג>", "<ג> (b) א"),
        ("a (ב) [ג]", "a (ב) [ג]"),
        ("<]éו", "<]éו"),
        ("א[<(", ")>]א"),
        ("[aב]1", "[aב]1"),  # a pair goes with the Latin letter in it
        ("«אב»", "«בא»"),
    ],
)
def test_brackets_open_and_close_as_they_are_read(line: str, wanted: str) -> None:
    assert seen(line) == wanted


LETTERS = st.sampled_from("abé12,.-+/ 手ไשלוםابتث٤٥%!")


@given(st.text(LETTERS, max_size=24))
def test_the_order_is_that_of_the_algorithm(line: str) -> None:
    """Against the plain Python version of the bidirectional algorithm, which pairs no brackets."""
    assert seen(line) == algorithm.get_display(line)


@given(st.text(max_size=60))
def test_any_text_has_runs(line: str) -> None:
    runs = split_into_runs(line)
    assert all(run.text for run in runs)
    for run in runs:
        assert "".join(split_into_clusters(run.text)) == run.text
        assert not any(unicodedata.category(char) == "Cc" for char in run.text)


def test_a_line_has_an_end() -> None:
    assert sum(len(run.text) for run in split_into_runs("ab" * 10_000)) <= 400
