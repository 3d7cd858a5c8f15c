"""Exceptions cut to what a sentence can quote."""

from __future__ import annotations

import errno
import os

import pytest

from engines.errors import UserError, at_end, first_line, short_reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("It broke.\nAt length."), "It broke"),
        (ValueError("\n  first\nsecond"), "first"),
        (ValueError(""), "ValueError"),
        (KeyError(), "KeyError"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), os.strerror(errno.ENOSPC)),
        (OSError("libcuda.so.1: cannot open\nmore"), "libcuda.so.1: cannot open"),
        (OSError(), "OSError"),
        (RuntimeError("x" * 999), "x" * 300),
    ],
)
def test_the_reason_of_an_exception(error: Exception, reason: str) -> None:
    assert short_reason(error) == reason


def test_the_first_line_of_a_text() -> None:
    assert first_line(" one. \n two") == "one"
    assert first_line(" \n", "nothing") == "nothing"
    assert first_line("") == "no reason given"
    assert first_line("abcdef", longest=3) == "abc"


def test_a_clean_up_error_hides_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("cleaned up")
        raise UserError("closing failed")

    with pytest.raises(UserError, match="the first"), at_end(fail):
        raise UserError("the first")
    with pytest.raises(KeyboardInterrupt), at_end(fail):
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="closing failed"), at_end(fail):
        done.append("no error")
    assert done == ["cleaned up", "cleaned up", "no error", "cleaned up"]


def test_what_is_not_printable_is_escaped() -> None:
    assert first_line("a\x1b[31m\x00\t\ud800 é手 \\") == r"a\x1b[31m\x00\t\ud800 é手 \\"[:-1]
