"""How the program speaks: to stderr, so that stdout is free for events and results."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text

console = Console(stderr=True, highlight=False)


def warn(sentence: str) -> None:
    """One warning line; the program goes on."""
    console.print(Text.assemble(("warning: ", "yellow"), sentence), soft_wrap=True)


def tell(sentence: str) -> None:
    """One line of news."""
    console.print(Text(sentence), soft_wrap=True)


def progress(*columns: str | ProgressColumn) -> Progress:
    """A progress display that leaves nothing behind; columns: other than rich's own."""
    hidden = not console.is_terminal  # it would leave an empty line in a log
    return Progress(*columns, console=console, transient=True, disable=hidden)
