"""Splits a line of text into runs that a font can draw: one script, one direction each."""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass

from engines.errors import visible

LONGEST = 400  # characters of a line that are drawn: no picture has room for more
LATIN, EMOJI = "Latn", "Zsye"
# The first word of its letters' Unicode names → a script's code in ISO 15924, which HarfBuzz takes.
SCRIPTS = {
    "ADLAM": "Adlm",
    "ARABIC": "Arab",
    "ARMENIAN": "Armn",
    "BALINESE": "Bali",
    "BENGALI": "Beng",
    "BOPOMOFO": "Bopo",
    "BUGINESE": "Bugi",
    "CANADIAN": "Cans",
    "CHAM": "Cham",
    "CHEROKEE": "Cher",
    "CJK": "Hani",
    "COPTIC": "Copt",
    "CYRILLIC": "Cyrl",
    "DEVANAGARI": "Deva",
    "ETHIOPIC": "Ethi",
    "GEORGIAN": "Geor",
    "GREEK": "Grek",
    "GUJARATI": "Gujr",
    "GURMUKHI": "Guru",
    "HANGUL": "Hang",
    "HEBREW": "Hebr",
    "HIRAGANA": "Hira",
    "JAVANESE": "Java",
    "KANNADA": "Knda",
    "KATAKANA": "Kana",
    "KHMER": "Khmr",
    "LAO": "Laoo",
    "LATIN": LATIN,
    "MALAYALAM": "Mlym",
    "MONGOLIAN": "Mong",
    "MYANMAR": "Mymr",
    "NKO": "Nkoo",
    "OL": "Olck",
    "ORIYA": "Orya",
    "RUNIC": "Runr",
    "SINHALA": "Sinh",
    "SUNDANESE": "Sund",
    "SYRIAC": "Syrc",
    "TAMIL": "Taml",
    "TELUGU": "Telu",
    "THAANA": "Thaa",
    "THAI": "Thai",
    "TIBETAN": "Tibt",
    "TIFINAGH": "Tfng",
    "VAI": "Vaii",
    "YI": "Yiii",
}
LEFTWARD = {"Adlm", "Arab", "Hebr", "Nkoo", "Syrc", "Thaa"}
ZWJ, EMOJI_STYLE = "\u200d", "\ufe0f"
JOINER = "\u034f"  # shows nothing, and is ordered as the character before it
MIRRORED = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))
BRACKET = re.compile(r"[()\[\]{}<>«»‹›]")


@dataclass(frozen=True)
class Run:
    """Text to be drawn in one go.

    Attributes:
        text: in the order in which it is read.
        script: ISO 15924, such as "Latn"; EMOJI for coloured pictures.
        leftward: whether it is read from right to left.
    """

    text: str
    script: str
    leftward: bool = False


def split_into_runs(line: str) -> list[Run]:
    """The runs of a line, from left to right as they are seen.

    What would steer a terminal is shown by escapes; the Unicode bidirectional algorithm gives the
    order.
    """
    line = visible(line[:LONGEST].encode("utf-8", "backslashreplace").decode())
    if line.isascii():
        return [Run(line, LATIN)] if line else []
    line = unicodedata.normalize("NFC", line)
    if not any(map(_is_leftward, line)):
        return _runs_of_scripts(line)
    from bidi import get_display

    runs: list[Run] = []
    shown = _mirror(get_display(BRACKET.sub(rf"\g<0>{JOINER}", line.replace(JOINER, ""))))
    for leftward, chars in itertools.groupby(range(len(shown)), lambda i: _belongs_left(shown, i)):
        part = "".join(shown[i] for i in chars)
        # It is in the order in which it is seen; a font joins letters in the order of reading.
        runs += reversed(_runs_of_scripts(part[::-1], True)) if leftward else _runs_of_scripts(part)
    return runs


def split_into_clusters(text: str) -> list[str]:
    """Letters with the marks on them, and pictures that are joined to one."""
    clusters: list[str] = []
    for char in text:
        joined = clusters and (_is_mark(char) or clusters[-1].endswith(ZWJ))
        if joined:
            clusters[-1] += char
        else:
            clusters.append(char)
    return clusters


def script_of(char: str) -> str | None:
    """The script of a letter; None for what goes with any, such as digits and blanks."""
    return SCRIPTS.get(unicodedata.name(char, "").partition(" ")[0].partition("-")[0])


def is_ignorable(char: str) -> bool:
    """Whether a font needs nothing to show for it: joiners and choices of style."""
    return unicodedata.category(char) == "Cf" or "\ufe00" <= char <= EMOJI_STYLE


def _runs_of_scripts(text: str, leftward: bool = False) -> list[Run]:
    """Runs in the order of reading; what has no script goes with what is before it."""
    clusters = split_into_clusters(text)
    scripts = [_script_of_cluster(cluster) for cluster in clusters]
    before = next(filter(None, scripts), LATIN)
    runs: list[Run] = []
    for cluster, script in zip(clusters, scripts, strict=True):
        script = script or (LATIN if before == EMOJI else before)
        if runs and runs[-1].script == script:
            runs[-1] = Run(runs[-1].text + cluster, script, leftward)
        else:
            runs.append(Run(cluster, script, leftward))
        before = script
    return runs


def _script_of_cluster(cluster: str) -> str | None:
    if cluster[0] >= "\U0001f000" and unicodedata.category(cluster[0])[0] == "S":
        return EMOJI
    return EMOJI if EMOJI_STYLE in cluster else script_of(cluster[0])


def _is_mark(char: str) -> bool:
    skin = "\U0001f3fb" <= char <= "\U0001f3ff"
    return skin or unicodedata.category(char) in {"Mn", "Mc", "Me", "Cf"}


def _is_leftward(char: str) -> bool:
    kind = unicodedata.bidirectional(char)
    return kind in {"R", "AL"} or (kind == "NSM" and script_of(char) in LEFTWARD)


def _mirror(shown: str) -> str:
    """Turn the brackets round that are read from right to left: those behind their joiner."""
    pair = f"({BRACKET.pattern}){JOINER}|{JOINER}({BRACKET.pattern})"
    return re.sub(pair, lambda found: found[1] or MIRRORED[found[2]], shown)


def _belongs_left(shown: str, i: int) -> bool:
    """Whether a character is part of a word that is read from right to left; joiners are, too."""
    if unicodedata.bidirectional(shown[i]) != "BN":
        return _is_leftward(shown[i])
    return 0 < i < len(shown) - 1 and _is_leftward(shown[i - 1]) and _is_leftward(shown[i + 1])
