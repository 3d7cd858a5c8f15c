"""Keys on keyboards of other layouts."""

from __future__ import annotations

import pytest

from realtime.views.keys import Keys

# The places of the window's letters, and what layouts have there.
PLACES = {"r": 21, "d": 7, "u": 24, "p": 19, "s": 22, "h": 11, "q": 20}
LAYOUTS = {
    "Russian": dict(zip("rdupshq", "квгзырй", strict=True)),
    "Greek": dict(zip("rdupshq", "ρδθπση;", strict=True)),
    "Hebrew": dict(zip("rdupshq", "רגופדי/", strict=True)),
    "Arabic": dict(zip("rdupshq", "قيعحساض", strict=True)),
    "Thai": dict(zip("rdupshq", "พกียห้ๆ", strict=True)),
    "an input method": dict.fromkeys("rdupshq", ""),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shift", [False, True])
def test_layouts_without_latin_letters(layout: str, shift: bool) -> None:
    keys = Keys()
    for key, typed in LAYOUTS[layout].items():
        assert Keys().read(typed, PLACES[key]) == key, "the first key of all"
        assert keys.read(typed.upper() if shift else typed, PLACES[key]) == key
    for text in "+=- ":
        assert keys.read(text, 200) == text


def test_latin_layouts_go_by_their_letters() -> None:
    """On a Dvorak keyboard, r, d, p and the apostrophe lie where others have o, h, r and q."""
    keys = Keys()
    for typed, place in (("r", 18), ("D", 11), ("p", PLACES["r"]), ("ö", 51), ("ｒ", 18)):
        assert keys.read(typed, place) in "rdpö"
    assert keys.read("'", PLACES["q"]) == "'"
    assert keys.read("", PLACES["q"]) == ""


def test_the_layout_may_change() -> None:
    keys = Keys()
    assert keys.read("к", PLACES["r"]) == "r" and keys.read("o", PLACES["r"]) == "o"
    assert keys.read(";", PLACES["q"]) == ";"
    assert keys.read("ρ", PLACES["r"]) == "r" and keys.read(";", PLACES["q"]) == "q"


def test_what_is_held_makes_no_command() -> None:
    assert Keys().read("\x11", PLACES["q"], held=True) == "\x11"
    assert Keys().read("", PLACES["q"], held=True) == ""
