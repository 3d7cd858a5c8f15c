"""The exception whose text is meant for the person at the keyboard, and how to quote others."""

from __future__ import annotations


class UserError(Exception):
    """A fault that the user can mend: one sentence with what was expected, what came, what to do.

    `run.py` prints it without a traceback and exits with 1.
    """


def first_line(text: str, otherwise: str = "no reason given", longest: int = 300) -> str:
    """The first line of what a library said, without the full stop at its end.

    Args:
        text: what was said, often several lines.
        otherwise: what stands in for an empty text.
        longest: characters that are kept.
    """
    lines = text.strip().splitlines()
    return (lines[0] if lines else otherwise)[:longest].rstrip(". ")


def short_reason(error: BaseException) -> str:
    """Why an operation failed, on one line: to be quoted in parentheses.

    Returns:
        The system's words for an OSError that has a number ("No space left on device"), else the
        first line of the exception's text, or its type's name where it has no text.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(str(error), type(error).__name__)
