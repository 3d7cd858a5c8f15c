"""A study's report: the Markdown and the page say the same, and no name is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.metrics import Figure
from engines.errors import UserError
from train.reports.report import Report, percent, plain

EVIL = '<script>alert("1")</script> | *A* & _B_ [c](d) `e` \\ $f$ ~~g~~ # <!-- &amp; ![h](i)'


class Page(HTMLParser):
    """What a browser would make of it: tags with attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        self.open = tag

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_report_has_all_that_was_said_in_order(tmp_path: Path) -> None:
    report = Report("Faces", tmp_path / "new")
    report.heading("Method")
    report.paragraph("As in the *paper*.")
    report.table(["encoder", "accuracy"], [["ours", "93.4 % (91.0–95.2)"], ["none", "–"]])
    report.code("python run.py study faces\n")
    report.heading("Details", 3)
    report.write()
    assert (tmp_path / "new/report.md").read_text() == (
        "# Faces\n\n## Method\n\nAs in the *paper*.\n\n"
        "| encoder | accuracy |\n| --- | ---: |\n| ours | 93.4 % (91.0–95.2) |\n| none | – |\n\n"
        "```sh\npython run.py study faces\n```\n\n### Details\n"
    )
    page = Page((tmp_path / "new/report.html").read_text())
    assert page.attributes("html") == [{"lang": "en"}]
    assert page.texts["title"] == page.texts["h1"] == ["Faces"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in (
        page.attributes("meta")
    )
    assert page.texts["th"] == ["encoder", "accuracy"]
    assert page.texts["td"] == ["ours", "93.4 % (91.0–95.2)", "none", "–"]
    assert page.attributes("td")[1] == {"style": "text-align:right"}
    assert page.texts["code"] == ["python run.py study faces\n"]


def test_pictures_have_alternatives_and_captions(tmp_path: Path) -> None:
    (tmp_path / "a curve.png").write_bytes(b"")
    report = Report("Faces", tmp_path)
    report.picture("a curve.png", "Error falls.", alt="A falling line")
    report.picture("a curve.png", 'The "same" again')
    report.write()
    page = Page(report.html())
    assert page.attributes("img") == [
        {"src": "a%20curve.png", "alt": "A falling line"},
        {"src": "a%20curve.png", "alt": 'The "same" again'},
    ]
    assert page.texts["em"] == ["Error falls.", 'The "same" again']


def test_no_name_is_markup(tmp_path: Path) -> None:
    report = Report(EVIL, tmp_path)
    report.heading(EVIL)
    report.table([EVIL, "b"], [[EVIL, "1"], ["two\nlines", "2"]])
    report.paragraph(f"The worst was {plain(EVIL)}.")
    report.code("```\n<b>")
    page = Page(report.html())
    assert page.texts["title"] == page.texts["h1"] == page.texts["h2"] == [EVIL]
    assert page.texts["th"] == [EVIL, "b"]
    assert page.texts["td"] == [EVIL, "1", "two lines", "2"]
    assert page.texts["p"] == [f"The worst was {EVIL}."]
    assert page.texts["code"] == ["```\n<b>\n"]
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "a", "img", "em", "b"})


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), min_size=1))
def test_any_name_stays_itself_in_a_table(name: str) -> None:
    report = Report("x", Path("x"))
    report.table(["name", "n"], [[name, "1"]])
    assert Page(report.html()).texts["td"] == [name, "1"]


def test_html_in_a_paragraph_is_shown_rather_than_obeyed() -> None:
    report = Report("x", Path("x"))
    report.paragraph("<script>alert(1)</script> [x](javascript:alert(1))")
    assert "<script>" not in report.html() and 'href="javascript' not in report.html()


def test_ragged_tables_and_missing_pictures_are_refused(tmp_path: Path) -> None:
    report = Report("x", tmp_path)
    with pytest.raises(ValueError):
        report.table(["a", "b"], [["1"]])
    report.table(["a", "b"], [])
    report.picture("none.png", "Nothing")
    with pytest.raises(UserError, match=re.escape("shows none.png, but")):
        report.write()
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_last_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Report("first", tmp_path).write()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["report.html", "report.md"]

    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("engines.files.os.replace", full)
    with pytest.raises(OSError, match="no room"):
        Report("second", tmp_path).write()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_percentages_are_those_of_figures() -> None:
    assert percent(0.934, 0.91, 0.952) == str(Figure(0.934, 0.91, 0.952)) == "93.4 % (91.0–95.2)"
    assert percent(1) == "100.0 %"
    assert percent(float("nan"), 0, 1) == "–"
