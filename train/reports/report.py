"""A study's report, written as report.md and as a self-styled report.html with the same content.

markdown-it-py renders the Markdown (CommonMark with tables) with raw HTML disabled, so that names
of gestures, people and files are never interpreted as markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from markdown_it import MarkdownIt

from engines.errors import UserError
from engines.files import write_file

_MARKUP = re.compile(r"[\\`*_\[\]<>|&~$#]")
_NUMBER = re.compile(r"[+−-]?\d[\d.,]*( ?%)?( \(.*\))?|–|")  # "93.4 % (91.0–95.2)", "–" or ""

_CSS = """
:root { color-scheme: light dark; --text: #1d2330; --soft: #5b6475; --line: #d9dde5;
  --back: #ffffff; --shade: #f4f6f9; --accent: #0060a8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ee; --soft: #9aa4b5; --line: #363d4b;
  --back: #14171d; --shade: #1d222b; --accent: #6cb8f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 54rem; color: var(--text);
  background: var(--back); font: 1rem/1.6 system-ui, "Segoe UI", Roboto, sans-serif; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 1.9rem; margin: 0 0 1.5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 0.75rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
a { color: var(--accent); }
table { display: block; max-width: 100%; overflow-x: auto; border-collapse: collapse;
  margin: 1.25rem 0; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.4rem 0.9rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { border-bottom-width: 2px; color: var(--soft); font-weight: 600; }
tbody tr:hover { background: var(--shade); }
img { display: block; max-width: 100%; height: auto; margin: 1.5rem auto 0.5rem;
  border-radius: 6px; background: #ffffff; }
img + br { display: none; }
img ~ em { display: block; font-style: normal; font-size: 0.9rem; color: var(--soft);
  margin-bottom: 1.5rem; }
code { font: 0.88em/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
pre { overflow-x: auto; padding: 0.9rem 1.1rem; background: var(--shade); border-radius: 6px; }
"""


class Report:
    """A report that is built block by block and then written to a folder.

    Attributes:
        title: The title, in plain text.
        folder: The folder of report.md, report.html and the report's pictures.
    """

    def __init__(self, title: str, folder: Path) -> None:
        self.title = title
        self.folder = folder
        self._blocks = [f"# {plain(title)}"]
        self._pictures: list[str] = []

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading in plain text; the title has level 1."""
        self._blocks.append(f"{'#' * level} {plain(text)}")

    def paragraph(self, text: str) -> None:
        """Add a paragraph of Markdown; pass names that come from data through `plain`."""
        self._blocks.append(text.strip())

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table of plain text; columns of numbers are aligned right.

        Raises:
            ValueError: A row has more or fewer cells than the header.
        """
        columns = list(zip(header, *rows, strict=True))
        rules = ["---:" if all(map(_NUMBER.fullmatch, column[1:])) else "---" for column in columns]
        if not rows:
            rules = ["---"] * len(header)
        lines = [[plain(cell) for cell in header], rules]
        lines += [[plain(cell) for cell in row] for row in rows]
        self._blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def picture(self, name: str, caption: str, alt: str | None = None) -> None:
        """Add a picture.

        Args:
            name: Path of the file within the folder.
            caption: Caption in plain text.
            alt: Alternative text; None uses the caption.
        """
        self._pictures.append(name)
        shown = plain(caption if alt is None else alt)
        self._blocks.append(f"![{shown}]({quote(name)})\\\n*{plain(caption)}*")

    def code(self, text: str, language: str = "sh") -> None:
        """Add a code block."""
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        self._blocks.append(f"{fence}{language}\n{text.rstrip()}\n{fence}")

    def markdown(self) -> str:
        """Return the text of report.md."""
        return "\n\n".join(self._blocks) + "\n"

    def html(self) -> str:
        """Return the text of report.html, which loads nothing but the report's pictures."""
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(self.markdown())
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{_CSS}</style>\n</head>\n"
            f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
        )

    def write(self) -> None:
        """Write report.md and report.html, each atomically.

        Raises:
            UserError: A picture of the report is missing.
            OSError: A file can't be written.
        """
        for name in self._pictures:
            if not (self.folder / name).is_file():
                raise UserError(f"The report shows {name}, but {self.folder} has no such picture.")
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("report.md", self.markdown()), ("report.html", self.html())):
            write_file(self.folder / name, text)


def plain(text: str) -> str:
    """Escape Markdown and join lines, so that the text is shown literally on one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def percent(value: float, low: float | None = None, high: float | None = None) -> str:
    """Format 0.934 as "93.4 %", with its interval as "93.4 % (91.0–95.2)", and NaN as "–"."""
    if value != value:
        return "–"
    interval = "" if low is None or high is None else f" ({100 * low:.1f}–{100 * high:.1f})"
    return f"{100 * value:.1f} %{interval}"
