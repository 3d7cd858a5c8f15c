"""Ink in any script, with the fonts that this machine has."""

from __future__ import annotations

import ast
import functools
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.text import draw, fonts
from realtime.text.draw import draw_ink, shorten, text_width, wrap, write
from realtime.text.fonts import bundled_font, choose_font, list_fonts
from realtime.text.runs import EMOJI
from tests.cli import ROOT

SCRIPTS = {
    "Deva": "हिन्दी",
    "Thai": "ไทย",
    "Ethi": "አማርኛ",
    "Arab": "سلام",
    "Hebr": "שלום",
    "Hani": "手势",
    "Hira": "こん",
    "Hang": "한국",
    "Taml": "தமிழ்",
    "Zsye": "👍🏽",
}


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine with no font but the one that comes with pygame."""
    caches = (list_fonts, fonts.has_all, draw_ink)

    def forget() -> None:
        for cached in caches:
            cached.cache_clear()
        fonts._recent.clear()
        fonts._given_up.clear()

    forget()
    monkeypatch.setattr(fonts, "_places", lambda: [str(tmp_path)])
    yield
    forget()


def needs_font(script: str) -> str:
    """A word in a script; skips where no font here has it."""
    if choose_font(SCRIPTS[script], script) is None:
        pytest.skip(f"no font here has {script}")
    return SCRIPTS[script]


def shown(text: str, size: int = 40) -> np.ndarray:
    return draw_ink(text, size).cover


def test_the_bundled_font_has_latin_greek_and_cyrillic(no_fonts: None) -> None:
    for text in ("Thumb up 97 %", "é ß ő ı ğ", "Ωρ", "Жя Ђ", "… – − +"):
        assert choose_font(text, "Latn") == bundled_font()
        assert shown(text).max() > 0.9
    assert Path(bundled_font()).is_file()


@pytest.mark.parametrize("script", SCRIPTS)
def test_letters_are_drawn_by_a_font_that_has_them(script: str) -> None:
    """Each letter differs from a letter that is missing, and from its neighbour."""
    text = needs_font(script)
    font = choose_font(text, script)
    assert font is not None and fonts.has_all(font, text[0])
    ink = draw_ink(text, 40)
    assert 20 < ink.cover.shape[1] < 320 and ink.cover.max() > 0.9
    assert 20 <= ink.above <= len(ink.cover) < 120
    assert not np.array_equal(shown(text), shown("".join(f"[{ord(c):X}]" for c in text)))


def test_arabic_letters_are_joined() -> None:
    """A word is narrower than its letters apart; a non-joiner keeps them apart."""
    word = needs_font("Arab")
    apart = sum(text_width(letter, 40) for letter in word)
    assert text_width(word, 40) < 0.9 * apart
    assert text_width("بب", 40) < text_width("ب\u200cب", 40)


def test_text_from_right_to_left_begins_on_the_right() -> None:
    word, other = needs_font("Hebr"), "שלם"
    line, alone = shown(f"{word} {other}"), shown(word)
    rows = min(len(line), len(alone))
    assert np.array_equal(line[:rows, -alone.shape[1] :], alone[:rows])


def test_conjuncts_are_shaped() -> None:
    """Two consonants with a virama are one sign, narrower than both with the virama between."""
    needs_font("Deva")
    assert text_width("क्ष", 40) < text_width("क्\u200c", 40) + text_width("ष", 40)
    before, after = shown("कि"), shown("क")  # this vowel is written before its consonant
    assert not np.array_equal(before[:, : after.shape[1]], after[:, : before.shape[1]])


def test_emoji_have_their_colours() -> None:
    needs_font("Zsye")
    ink = draw_ink("👍🏽", 30)
    if ink.own is None:
        pytest.skip("the font of emoji here has no colours")
    assert len(ink.cover) < 60 and np.ptp(ink.own[ink.cover > 0.9], axis=1).max() > 60
    canvas = np.full((60, 80, 3), 90, np.uint8)
    write(canvas, "👍🏽", (5, 45), 30, (0, 255, 0))
    assert np.ptp(canvas.reshape(-1, 3), axis=0).min() > 60, "not all of one tint"
    assert text_width("👍🏽", 30) < 1.5 * text_width("👍", 30), "the colour of skin is no sign"


def test_all_letters_stand_on_one_line() -> None:
    """High letters, which push the line of a font's picture down, too."""

    def bottom(text: str) -> int:
        ink = draw_ink(text, 26)
        return int(np.nonzero(ink.cover.max(axis=1) > 0.5)[0].max()) - ink.above

    bottoms = {char: bottom(char) for char in "EÉŐHЂM"}
    assert len({*bottoms.values()}) == 1, bottoms


def test_what_no_font_has_is_told_once_a_script(
    no_fonts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers stand for the letters: other letters, other numbers."""
    assert np.array_equal(shown("手"), shown("[624B]"))
    assert not np.array_equal(shown("手"), shown("足"))
    shown("हिन्दी ไทย 👍🏽 手 ok")
    shown("हाँ")
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" has ")[1].split(",")[0] for line in told] == [
        "Chinese letters such as 手",
        "Devanagari letters such as ह",
        "Thai letters such as ไ",
        "emoji such as 👍",
    ]
    assert all("install a font" in line for line in told)


def test_fonts_are_searched_once_for_what_none_has(
    no_fonts: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A name in a script without a font, typed letter by letter, holds nothing up."""
    asked: list[str] = []
    real = fonts.has_all

    def counted(font: str, characters: str) -> bool:
        asked.append(font)
        return real(font, characters)

    (tmp_path / "rubbish.ttf").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "has_all", counted)
    for length in range(1, 20):
        shown("手势识别一二三四五六七八九十百千万亿人口"[:length])
    assert 1 <= asked.count(str(tmp_path / "rubbish.ttf")) <= 2


def test_odd_files_among_the_fonts(no_fonts: None, tmp_path: Path) -> None:
    (tmp_path / "empty.ttf").write_bytes(b"")
    (tmp_path / "rubbish.OTF").write_bytes(os.urandom(4000))
    (tmp_path / "cut.ttf").write_bytes(Path(bundled_font()).read_bytes()[:5000])
    (tmp_path / "folder.ttf").mkdir()
    assert shown("手").max() > 0.9


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=40), size=st.sampled_from([13, 26]))
def test_any_text_can_be_written_anywhere(text: str, size: int) -> None:
    for at in ((-30, 5), (10, 20), (90, 300), (500, -4)):
        canvas = np.full((40, 100, 3), 90, np.uint8)
        write(canvas, text, at, size, (0, 200, 255))
        assert canvas.dtype == np.uint8 and canvas.shape == (40, 100, 3)
    assert text_width(text, size) >= 0


def test_long_names_are_shortened_to_fit() -> None:
    for name in ("Thumb up", "a" * 300, "W" * 40, "手" * 40, "سلام " * 20):
        assert text_width(shorten(name, 13, 74), 13) <= max(74, text_width(name[0] + "…", 13))
    assert shorten("Fist", 13, 74) == "Fist"


def test_lines_are_broken_to_fit() -> None:
    text = "Recorded Thumb up, but this looks like your gesture 'Fist': the two may be taken"
    lines = wrap(text, 16, 300)
    assert " ".join(lines) == text and all(text_width(line, 16) <= 300 for line in lines)
    for unbroken in ("a" * 300, "手" * 60):
        lines = wrap(unbroken, 16, 300)
        assert "".join(lines) == unbroken and all(text_width(line, 16) <= 300 for line in lines)
    assert wrap("", 16, 300) == [] and wrap("手", 16, 1) == ["手"]


@functools.cache
def sources() -> list[Path]:
    rooms = ("engines", "calibration", "realtime", "train")
    return [path for room in rooms for path in (ROOT / room).rglob("*.py")]


def test_opencv_draws_no_text() -> None:
    """It has no letters for most scripts, and which it has changes with its release."""
    for path in sources():
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert not names & {"putText", "getTextSize", "FontFace", "addText"}, path


def test_the_names_of_scripts_are_those_of_unicode() -> None:
    from realtime.text.runs import SCRIPTS as names

    words = {
        unicodedata.name(chr(code), "").partition(" ")[0].partition("-")[0]
        for code in range(0x20, 0x1F000)
    }
    assert set(names) <= words and EMOJI not in names.values()
    assert draw.INK != draw.PAPER
