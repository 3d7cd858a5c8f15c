"""How the program speaks: to stderr, so that stdout is free for events and results."""

from __future__ import annotations

from rich.console import Console

console = Console(stderr=True, highlight=False)


def warn(sentence: str) -> None:
    """One warning line; the program goes on."""
    console.print(f"[yellow]warning:[/] {_plain(sentence)}", soft_wrap=True)


def tell(sentence: str) -> None:
    """One line of news."""
    console.print(_plain(sentence), soft_wrap=True)


def _plain(sentence: str) -> str:
    from rich.markup import escape

    return escape(sentence)
