"""Which font has the letters of a text: the one that comes with pygame, else the system's."""

from __future__ import annotations

import functools
import os
import re
import sys
import unicodedata
from typing import Any

from engines.say import warn
from realtime.text.runs import EMOJI, is_ignorable, script_of

BUNDLED = "freesansbold.ttf"  # in pygame's folder: Latin, Greek and Cyrillic, the same everywhere
PLAIN = ("Latn", "Grek", "Cyrl")
NAMES = {"Cjk": "Chinese", "Hangul": "Korean"}
SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
ODD = re.compile(r"mono|serif|italic|oblique|thin|light|black|condensed|narrow|math|symbol", re.I)
# They have a box or nothing for each letter there is.
EMPTY = re.compile(r"lastresort|adobeblank|notdef", re.I)

_recent: list[str] = []  # fonts that had letters, the last one first
_given_up: set[str] = set()  # scripts of which no font has some letter: not searched for again


def load_pygame() -> Any:
    """pygame with its two font modules, without the greeting on stdout."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame
    import pygame.font
    import pygame.freetype

    pygame.font.init()
    pygame.freetype.init()
    return pygame


def choose_font(text: str, script: str) -> str | None:
    """The file of a font that has all characters of a text; None where none has.

    Emoji are taken from a font of them, where there is one, and other text from other fonts.
    """
    if text.isascii():
        return bundled_font()
    needed = "".join(sorted({char for char in text if not is_ignorable(char)}))

    def is_other_kind(font: str) -> bool:
        if font == bundled_font():  # it has some Arabic letters, which it can't join
            return script not in PLAIN
        return is_emoji_font(font) != (script == EMOJI)

    known = [bundled_font(), *_recent]
    for font in known:
        if not is_other_kind(font) and has_all(font, needed):
            return font
    searched = _given_up.isdisjoint(map(_kind, needed))
    for font in [*(sorted(list_fonts(), key=is_other_kind) if searched else ()), *known]:
        if has_all(font, needed):
            _recent[:] = [font, *(other for other in _recent if other != font)][:16]
            return font
    return None


def is_emoji_font(font: str) -> bool:
    """Whether it is a font of emoji: by its name, since others have some of them in one colour."""
    return "emoji" in os.path.basename(font).lower()


@functools.cache
def bundled_font() -> str:
    """The path of BUNDLED."""
    return os.path.join(os.path.dirname(load_pygame().__file__), BUNDLED)


def give_up(cluster: str) -> None:
    """Take note that no font has a letter, and say so, once for its script."""
    kinds = {_kind(char) for char in cluster if not is_ignorable(char)}
    if kinds <= _given_up:
        return
    _given_up.update(kinds)
    first = cluster[0]
    name = unicodedata.name(first, "").partition(" ")[0].partition("-")[0].capitalize()
    if first >= "\U0001f000":
        what = f"emoji such as {first}"
    elif script_of(first) is not None:
        what = f"{NAMES.get(name, name)} letters such as {first}"
    else:
        what = f"the character U+{ord(first):04X}"
    warn(
        f"No font here has {what}, so pictures show numbers instead: install a font that has them, "
        "such as one of the Noto fonts."
    )


def _kind(char: str) -> str:
    """What a font has all or nothing of: a script, or else a block of 256 characters."""
    return script_of(char) or str(ord(char) >> 8)


@functools.lru_cache(maxsize=4096)
def has_all(font: str, characters: str) -> bool:
    """Whether a font has all characters; False for a file that is no font."""
    pygame = load_pygame()
    try:
        opened = pygame.freetype.Font(font, 20)
        sizes = opened.get_sizes()  # those of a font that is made of pictures
        size = sizes[0][-1] if sizes and not opened.scalable else 20
        return None not in opened.get_metrics(characters, size=size)
    except (pygame.error, OSError, ValueError):
        return False


@functools.cache
def list_fonts() -> tuple[str, ...]:
    """The files of all fonts of the system and the user, plain ones first."""
    found = {
        os.path.join(folder, name)
        for place in _places()
        for folder, _, names in os.walk(place, followlinks=False)
        for name in names
        if name.lower().endswith(SUFFIXES) and not EMPTY.search(name)
    }

    def oddity(path: str) -> tuple[bool, bool, bool, int, str]:
        name = os.path.basename(path).lower()  # as bold as BUNDLED, where there is a choice
        return bool(ODD.search(name)), "bold" not in name, "sans" not in name, len(name), path

    return tuple(sorted(found, key=oddity))


def _places() -> list[str]:
    """The folders of fonts, as far as they are there."""
    environment = os.environ.get
    if sys.platform == "win32":
        places = [
            os.path.join(environment("WINDIR", r"C:\Windows"), "Fonts"),
            os.path.join(environment("LOCALAPPDATA", ""), "Microsoft", "Windows", "Fonts"),
        ]
    elif sys.platform == "darwin":
        places = ["/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"]
    else:
        shared = environment("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        places = [os.path.join(folder, "fonts") for folder in shared.split(":") if folder]
        places += ["/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts"]
        places += ["/run/current-system/sw/share/X11/fonts"]
        places += [os.path.join(environment("XDG_DATA_HOME") or "~/.local/share", "fonts")]
    return [place for place in map(os.path.expanduser, places) if os.path.isabs(place)]
