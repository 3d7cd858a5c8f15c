"""Several programs in one gallery at the same time lose nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from realtime.gallery import files as gallery_files
from realtime.gallery.gallery import Gallery
from realtime.gallery.item import to_files
from realtime.gallery.reading import GalleryReader
from tests.realtime.gallery.fixtures import (
    RECORD,
    a_reference,
    no_warning,
    output,
    program,
)


def test_two_programs_at_once_lose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = [program(RECORD, tmp_path, 30, 10) for _ in range(2)]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = [id for process in processes for id in output(process).split()]
    gallery = Gallery(tmp_path)
    assert len(ids) == 60 and {r.id for r in gallery.references()} == set(ids)
    assert gallery.labels() == {f"label {i}": 6 for i in range(10)}
    assert len(list(tmp_path.iterdir())) == 10  # one folder for each label
    no_warning(capsys)


def meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    when: Callable[..., bool],
    what: Callable[[], object],
) -> None:
    """Let another program do `what` once, just before gallery_files' `name` is called."""
    original = getattr(gallery_files, name)

    def wrapped(*arguments: object) -> object:
        if when(*arguments):
            monkeypatch.setattr(gallery_files, name, original)
            what()
        return original(*arguments)

    monkeypatch.setattr(gallery_files, name, wrapped)


def test_another_program_makes_the_same_gesture_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    meanwhile(
        monkeypatch,
        "write_item",
        lambda folder, *_: folder.name.startswith(".new-"),
        lambda: theirs.add(a_reference("x", 1)),
    )
    mine.add(a_reference("x", 2))
    assert mine.labels() == {"x": 2} and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_another_program_makes_the_gesture_just_after_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    reference = a_reference("x", 2)
    look = GalleryReader.folders

    def late(reader: GalleryReader) -> list[tuple[Path, str]]:
        seen = look(reader)
        monkeypatch.setattr(GalleryReader, "folders", look)
        theirs.add(a_reference("x", 1))
        return seen

    monkeypatch.setattr(GalleryReader, "folders", late)
    mine.add_files("x", reference.id, to_files(reference))
    assert mine.labels() == {"x": 2} and [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("suffix", [".png", ".json"])
def test_another_program_deletes_the_gesture_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    mine.add(a_reference("x"))
    meanwhile(
        monkeypatch, "write_file", lambda p, _: p.suffix == suffix, lambda: theirs.delete("x")
    )
    added = mine.add(a_reference("x", 2))
    assert [r.id for r in theirs.references()] == [added.id]


def test_another_program_adds_while_the_last_one_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    old = mine.add(a_reference("a/b"))
    other = a_reference("a/b", 2)
    rmdir = os.rmdir

    def late(folder: Path) -> None:
        gallery_files.write_item(Path(folder), to_files(other))
        rmdir(folder)

    monkeypatch.setattr(os, "rmdir", late)
    mine.delete_reference(old.id)
    assert [(r.label, r.id) for r in theirs.references()] == [("a/b", other.id)]


def test_a_reference_that_vanishes_while_reading_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    first, second = mine.add(a_reference("x")), mine.add(a_reference("x", 2))
    meanwhile(
        monkeypatch,
        "to_views",
        lambda record, *_: record.id == first.id,
        lambda: theirs.delete_reference(second.id),
    )
    assert [r.id for r in mine.references()] == [first.id]
    meanwhile(  # gone between its JSON and its PNG
        monkeypatch, "parse_record", lambda *_: True, lambda: theirs.delete_reference(first.id)
    )
    assert mine.references() == []
    no_warning(capsys)
