"""Names of people, gestures and files as one reads them, and one spelling for each."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from engines.say import warn_once

LISTED = 5  # names in a sentence; the others are counted


def readable(name: str) -> str:
    """A file's name as text; bytes that aren't UTF-8 are read as Latin-1.

    The system gives such bytes as lone surrogates, which can't be printed or written.
    """
    if name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name):
        return name
    return "/".join(map(_text, name.split("/")))


def spelling_key(name: str) -> str:
    """Equal for two spellings of one name: NFC or NFD, another letter case, blanks at the ends."""
    return unicodedata.normalize("NFC", _trimmed(name).casefold())


def join_spellings(names: Sequence[str], what: str) -> list[str]:
    """Give each name the most frequent of its spellings, and warn of names with several.

    Args:
        names: N names; of a path with "/", each part is a name.
        what: What they are names of, for the warning: "label".

    Returns:
        The N names, in NFC and without blanks at their ends.
    """
    counts = Counter(names)
    spellings: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda each: (-counts[each], each)):
        spellings.setdefault(spelling_key(name), []).append(name)
    for several in spellings.values():
        if len(several) > 1:
            texts = [readable(name) for name in several]
            alike = len(set(map(_trimmed, texts))) < len(set(map(str.strip, texts)))
            quoted = ", ".join(map(ascii if alike else repr, texts))  # NFC and NFD look the same
            warn_once(f"Taken for one {what}, {_trimmed(several[0])!r}: the folders {quoted}.")
    chosen = {name: _trimmed(names[0]) for names in spellings.values() for name in names}
    return [chosen[name] for name in names]


def enumerate_names(names: Iterable[str]) -> str:
    """Up to LISTED names, separated by commas, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(map(readable, listed[:LISTED])) + more


def _trimmed(name: str) -> str:
    text = unicodedata.normalize("NFC", readable(name))
    return "/".join(part.strip() or part for part in text.split("/"))


def _text(name: str) -> str:
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, as Windows allows
        return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
