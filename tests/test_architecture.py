"""The docs name the folders, files and tests that there are, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_rooms import ROOMS, ROOT, SUB_ROOMS


def test_the_tree_is_the_one_on_disk() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [tree] = re.findall(r"^```\n(run\.py .*?)^```", text, re.M | re.S)
    room = ""
    named: dict[str, list[str]] = {}
    for line in tree.splitlines()[1:]:
        if match := re.match(r"(\w+)/", line):
            room = match[1]
            named[room] = []
        elif match := re.match(r"  \(?(\w+)(?:/|\.py\))", line):
            named[room].append(match[1])
    assert [name for name in named if name in ROOMS] == list(ROOMS)
    for name in ROOMS:
        folders = {p.parent.name for p in (ROOT / name).glob("*/__init__.py")}
        assert {n for n in named[name] if (ROOT / name / n).is_dir()} == folders
        assert tuple(named[name]) == SUB_ROOMS[name]
    assert all((ROOT / name).is_dir() for name in named)


def test_links_lead_somewhere() -> None:
    for page in [
        page for folder in (".", "docs", "models") for page in (ROOT / folder).glob("*.md")
    ]:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_files_that_it_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    homes = [Path("."), *(Path(room) for room in ROOMS)]
    for name in re.findall(r"`((?:[\w]+/)+[\w]+\.py)`", text):
        assert any((ROOT / home / name).is_file() for home in homes), name


def test_tests_that_robustness_names_exist() -> None:
    text = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    named = [cell for row in text.splitlines() if row.startswith("|") for cell in row.split("|")]
    count = 0
    for cell in named:
        tests = ""
        for name in re.findall(r"`([\w/]*test_\w+(?:\.py)?)`", cell):
            if name.endswith(".py"):
                tests = (ROOT / "tests" / name).read_text(encoding="utf-8")
            else:
                assert f"def {name}(" in tests, name
                count += 1
    assert count > 100
