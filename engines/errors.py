"""The exception for faults of the user, how to quote exceptions of libraries, and clean-up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class UserError(Exception):
    """A fault that the user can fix: one sentence with what was expected, what came, what to do.

    `run.py` prints it without a traceback and exits with 1.
    """


def first_line(text: str, otherwise: str = "no reason given", longest: int = 300) -> str:
    """The first line of a library's message, without its full stop; what isn't printable escaped.

    Args:
        text: the message.
        otherwise: what to return for an empty message.
        longest: number of characters to keep.
    """
    lines = text.strip().splitlines()
    line = (lines[0] if lines else otherwise)[:longest].rstrip(". ")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def short_reason(error: BaseException) -> str:
    """Why an operation failed, on one line, to be quoted in parentheses.

    Returns:
        The system's reason for an OSError ("No space left on device"); for other exceptions the
        first line of the message, or the type's name where there is none.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(str(error), type(error).__name__)


@contextlib.contextmanager
def at_end(clean_up: Callable[[], object]) -> Iterator[None]:
    """Call `clean_up` when the block ends. What it raises doesn't hide what the block raised."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            clean_up()
        raise
    clean_up()


def no_arrays(error: BaseException) -> str:
    """Why NumPy can't read an .npz, without its advice to load it unsafely.

    Args:
        error: What it raised.
    """
    text = str(error)
    if "Object arrays" in text:
        return (
            "it holds Python objects, which are never loaded, since they can run code: save texts "
            "as array.astype(str), numbers as an array of one type"
        )
    return "it is no .npz" if "pickle" in text else text
