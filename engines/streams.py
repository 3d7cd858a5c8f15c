"""What the standard streams need: to be there, and to get no text that steers a terminal."""

from __future__ import annotations

import os
import re
import sys

# What steers a terminal instead of being shown by it: control characters, ends of lines, and the
# marks that change the direction of what follows.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def open_missing_streams() -> None:
    """Open the null device in place of every standard stream that is closed.

    Python leaves such a stream None, and the system gives its number to the next file that is
    opened: messages that libraries write to descriptor 2 would end up in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def has_stdout() -> bool:
    """Whether anybody could read what is written to stdout."""
    return sys.stdout is not None and getattr(sys.stdout, "name", "") != os.devnull


def visible(text: str, keep: str = "") -> str:
    r"""The text with an escape such as \u001b for each character that would steer a terminal.

    Names of gestures, files and folders may hold any character.

    Args:
        text: what is shown.
        keep: characters that stay as they are.
    """
    return _STEERING.sub(
        lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text
    )
