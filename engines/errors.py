"""The exception for faults of the user, and how to quote names and exceptions of libraries."""

from __future__ import annotations

import re
from types import ModuleType

# What steers a terminal instead of being shown by it: control characters, ends of lines, and the
# marks that change the direction of what follows.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class UserError(Exception):
    """A fault that the user can fix: one sentence with what was expected, what came, what to do.

    `run.py` prints it without a traceback and exits with 1.
    """


# The modules whose packages overwrite each other's files: which packages bring them, and which one
# the program asks for.
RIVALS = {
    "cv2": (
        "opencv-python",
        "opencv-contrib-python",
        "opencv-python-headless",
        "opencv-contrib-python-headless",
    ),
    "pygame": ("pygame-ce", "pygame"),
}


def explain_missing(error: AttributeError) -> str | None:
    """What to do where a module lacks what the program uses of it; None for any other error.

    That happens where two packages brought the module and one was uninstalled, or where an old
    release is installed: `import` works, and the first use fails.
    """
    module = getattr(error.obj, "__name__", "") if isinstance(error.obj, ModuleType) else ""
    packages = RIVALS.get(module.partition(".")[0])
    if packages is None:
        return None
    return (
        f"the module {module} that is installed here has no {error.name}: install it anew with: "
        f"pip uninstall -y {' '.join(packages)} && pip install -r requirements.txt"
    )


def first_line(text: str, otherwise: str = "no reason given", longest: int = 300) -> str:
    """The first line of a library's message, without its full stop.

    Args:
        text: the message.
        otherwise: what to return for an empty message.
        longest: number of characters to keep.
    """
    lines = text.strip().splitlines()
    return (lines[0] if lines else otherwise)[:longest].rstrip(". ")


def short_reason(error: BaseException) -> str:
    """Why an operation failed, on one line, to be quoted in parentheses.

    Returns:
        The system's reason for an OSError ("No space left on device"); for other exceptions the
        first line of the message, or the type's name where there is none.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(str(error), type(error).__name__)


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
