"""Which key was meant, on any keyboard layout."""

from __future__ import annotations

import string
import unicodedata

# Keys by their place on the keyboard, as USB numbers them, with the letter of a US layout.
PLACES = {4 + i: letter for i, letter in enumerate(string.ascii_lowercase)}
EVERYWHERE = frozenset("+=- ")  # the keys that each layout has


class Keys:
    """Reads keys by their letters, and by their places where the layout has no Latin letters.

    The letter typed last tells of which kind the layout is; before the first one, a key that gives
    no letter at all (Greek and Hebrew have ";" and "/" in the place of Q) is read by its place.
    """

    def __init__(self) -> None:
        self._latin: bool | None = None

    def read(self, text: str, place: int, held: bool = False) -> str:
        """The key as a US layout names it: "r", "+", " "; else what it types.

        Args:
            text: what it types; "" for a key that types nothing, or not yet.
            place: its scancode.
            held: Ctrl, Alt or the like is held down.
        """
        text = unicodedata.normalize("NFKC", text).lower()
        if held or text in EVERYWHERE:
            return text
        if text.isalpha():
            self._latin = unicodedata.name(text[0], "").startswith("LATIN ")
        return text if self._latin else PLACES.get(place, text)
