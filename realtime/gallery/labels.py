"""Labels and the folder names that stand for them: any label, no name that escapes or clashes."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection

from engines.errors import UserError
from realtime.names import readable

LONGEST_BYTES = 100  # of a folder name in UTF-8; file systems stop at 255, some at 143
# Windows takes these for devices, whatever follows the first dot.
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    device + digit for device in ("COM", "LPT") for digit in "0123456789¹²³"
}


def check_label(label: str) -> str:
    """The label as the gallery keeps it (NFC). Raises UserError where it can be no label."""
    try:
        label.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"{label!r} can't be a gesture's name: it holds half a character (a lone surrogate). "
            "Type the name anew."
        ) from None
    if not label.strip():
        raise UserError("A gesture's name needs at least one visible character; got an empty one.")
    return unicodedata.normalize("NFC", label)


def label_of_folder(name: str) -> str:
    """What a folder without gesture.json is called. Raises UserError where that is no label."""
    return check_label(readable(name))


def safe_name(label: str) -> str:
    """A folder name for the label: the label itself where every file system takes it."""
    name = "".join("_" if _is_unsafe(char) else char for char in label)
    # A leading dot hides the folder and marks the gallery's own; "." and ".." go with it.
    name = re.sub(r"^[. ]+", lambda match: "_" * len(match.group()), name)
    name = name.encode("utf-8")[:LONGEST_BYTES].decode("utf-8", "ignore")
    # Windows drops dots and spaces at the end without a word.
    name = re.sub(r"[. ]+$", lambda match: "_" * len(match.group()), name)
    if name.split(".")[0].rstrip(" ").upper() in DEVICES:
        name = "_" + name
    return name


def free_name(label: str, taken: Collection[str]) -> str:
    """safe_name, numbered where another folder has that name on some file system."""
    keys = {folder_key(name) for name in taken}
    base = safe_name(label)
    numbered = (f"{base}~{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([base], numbered) if folder_key(n) not in keys)


def folder_key(name: str) -> str:
    """Equal for names that a file system deaf to case or to NFC/NFD takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_unsafe(char: str) -> bool:
    # Format characters (Cf) stay: emoji and right-to-left text are spelt with them.
    return char in '<>:"/\\|?*' or unicodedata.category(char) in {"Cc", "Cn", "Co", "Zl", "Zp"}
