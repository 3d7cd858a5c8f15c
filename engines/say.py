"""Messages to the person, on stderr: stdout is for events and results."""

from __future__ import annotations

import functools

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text

from engines.errors import visible
from engines.text.addresses import hide_addresses

console = Console(stderr=True, highlight=False)


def how_many(count: int, thing: str) -> str:
    """A number with its noun: "1 view", "2 views"."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def plain(text: str) -> Text:
    """A text for rich: names in it may hold any character, and are no markup."""
    return Text(visible(text))


def warn(sentence: str) -> None:
    """Print a warning; the program goes on."""
    console.print(
        Text.assemble(("warning: ", "yellow"), plain(hide_addresses(sentence))), soft_wrap=True
    )


@functools.cache
def warn_once(sentence: str) -> None:
    """Print a warning, unless this process has printed it before."""
    warn(sentence)


def tell(sentence: str) -> None:
    """Print a line of news."""
    console.print(plain(hide_addresses(sentence)), soft_wrap=True)


def print_result(text: str) -> None:
    """Print a result on stdout: lines, whose columns may be separated by tabs."""
    print(visible(text, keep="\n\t"))


def progress(*columns: str | ProgressColumn) -> Progress:
    """A progress display that disappears at the end.

    Args:
        columns: what it shows; rich's default columns if there are none.
    """
    hidden = not console.is_terminal  # it would leave empty lines in a log
    return Progress(*columns, console=console, transient=True, disable=hidden)
