"""Format 2: references of several views, what is unknown here, and what releases before made."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from realtime.gallery.archive import export_zip, import_zip
from realtime.gallery.gallery import Gallery, Reference
from realtime.gallery.item import Files, to_files
from realtime.gallery.record import LARGEST_JSON, LARGEST_PNG
from realtime.gallery.reference import MOST_VIEWS
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.types import Frame
from tests.cli import hand_picture
from tests.realtime.gallery.fixtures import (
    CountingEncoder,
    a_hand,
    a_reference,
    format_1,
    no_warning,
    reference_of,
    same,
    with_twins,
)

# Four references of drawn hands, recorded and exported by the last release that wrote format 1.
BEFORE = Path(__file__).with_name("format-1.zip")
LABELS_BEFORE = {"Fist": 2, "L/ell?": 1, "Victory": 1}


def contents(folder: Path, *parts: str) -> dict[str, bytes]:
    """The items' files by name, wherever they lie; of those whose path has all parts."""
    paths = [p for p in folder.rglob("2*") if p.is_file() and set(parts) <= set(p.parts)]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("views", [1, 5])
@pytest.mark.parametrize("twins", [False, True])
def test_all_views_come_back_to_the_last_bit(tmp_path: Path, views: int, twins: bool) -> None:
    reference = a_reference("x", 4, "left", views)
    gallery = Gallery(tmp_path)
    added = gallery.add(with_twins(reference) if twins else reference)
    (read,) = Gallery(tmp_path).references()
    assert same(read, added) and len(read.views) == views and read.kind == "still"
    assert [view.time_s for view in read.views] == [i / 30 for i in range(views)]
    names = {f"{added.id}.png", *(f"{added.id}-{i}.png" for i in range(1, views))}
    assert {p.name for p in (tmp_path / "x").iterdir()} == {
        "gesture.json",
        f"{added.id}.item.json",
        *names,
    }
    fields = json.loads((tmp_path / "x" / f"{added.id}.item.json").read_text())
    assert (fields["version"], fields["kind"]) == (2, "still")
    assert json.loads((tmp_path / "x" / "gesture.json").read_text())["version"] == 1


def test_as_many_views_as_there_may_be(tmp_path: Path) -> None:
    reference = with_twins(reference_of("x", *[a_hand(5, size=4)] * MOST_VIEWS))
    Gallery(tmp_path).add(reference)
    assert same(Gallery(tmp_path).references()[0], reference)
    assert len(to_files(reference)[f"{reference.id}.item.json"]) < LARGEST_JSON
    for count in (0, MOST_VIEWS + 1):
        with pytest.raises(ValueError, match=f"got {count}"):
            reference_of("x", *[a_hand(5, size=4)] * count)


def test_views_are_one_reference_to_whoever_counts(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    one, five = gallery.add(a_reference("x", 1)), gallery.add(a_reference("x", 2, views=5))
    assert gallery.labels() == {"x": 2} and gallery.ids() == {one.id, five.id}
    pictures = gallery.pictures([one.id, five.id])
    assert np.array_equal(pictures[one.id], one.views[0].picture)
    assert np.array_equal(pictures[five.id], five.views[0].picture)
    again = gallery.add(five)  # a new id, for the pictures too
    assert same(gallery.references()[2], again) and again.id != five.id
    gallery.delete_reference(five.id)
    assert contents(tmp_path, ".trash") == to_files(five)
    assert contents(tmp_path / "x") == {**to_files(one), **to_files(again)}
    assert gallery.labels() == {"x": 2} and gallery.undo() == "x"
    assert gallery.labels() == {"x": 3} and any(same(r, five) for r in gallery.references())


def test_the_index_has_a_row_for_each_view_and_hand(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    shown = [a_hand(seed, "left") for seed in range(20)]  # more views than are encoded at once
    many = gallery.add(with_twins(reference_of("B", *shown)))
    one = gallery.add(a_reference("A", 9))
    index = gallery.embeddings(encoder)
    assert index.labels == ("A", *["B"] * 40) and index.ids == (one.id, *[many.id] * 40)
    assert index.sides == ("right", *["left", "right"] * 20) and encoder.encoded == 41
    assert gallery.embeddings(encoder, mirror_hands=False).ids == (one.id, *[many.id] * 20)
    for row, view in zip(range(1, 41, 2), many.views, strict=True):  # each is its own view's
        alone = Gallery(tmp_path / f"alone {row}")
        alone.add(dataclasses.replace(many, views=(view,)))
        rows = alone.embeddings(CountingEncoder()).embeddings
        np.testing.assert_allclose(index.embeddings[row : row + 2], rows, atol=1e-5)


def test_views_are_embedded_once(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(with_twins(a_reference("A", 1, views=3)))
    first, encoder = gallery.embeddings(CountingEncoder()), CountingEncoder()
    gallery.add(a_reference("B", 2, views=2))
    index = Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 2 and np.array_equal(index.embeddings[:6], first.embeddings)


def test_one_hand_that_can_not_be_recorded() -> None:
    image, hand = a_hand(1)
    far = a_hand(2, centre=(5000, 5000))[1]
    with pytest.raises(UserError, match="outside the frame"):
        reference_of("x", (image, hand), (image, far))


# What is unknown here.


def of_later(reference: Reference, **changes: object) -> Files:
    """The files of an item that says something else of itself."""
    files = to_files(reference)
    name = f"{reference.id}.item.json"
    files[name] = json.dumps({**json.loads(files[name]), **changes}).encode()
    return files


@pytest.mark.parametrize("changes", [{"kind": "moving", "path": [1]}, {"version": 3, "views": {}}])
def test_what_is_unknown_is_carried_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object]
) -> None:
    gallery = Gallery(tmp_path / "g")
    known, unknown = gallery.add(a_reference("x", 1)), a_reference("x", 2, views=3)
    files = of_later(unknown, **changes)
    gallery.add_files("x", unknown.id, files)
    everything = {**to_files(known), **files}
    assert contents(gallery.folder) == everything
    assert gallery.embeddings(CountingEncoder()).ids == (known.id,)
    assert [r.id for r in gallery.references()] == [known.id]
    assert gallery.pictures([unknown.id]) == {}
    assert capsys.readouterr().err.count("warning:") == 1
    gallery.rename("x", "y")
    assert contents(gallery.folder, "y") == everything
    gallery.delete("y")
    assert contents(gallery.folder, "y") == contents(gallery.folder, ".trash") == everything
    assert gallery.undo() == "y" and contents(gallery.folder / "y") == everything
    gallery.delete_reference(unknown.id)
    assert contents(gallery.folder, ".trash") == files
    assert gallery.undo() == "y" and contents(gallery.folder / "y") == everything
    assert export_zip(gallery, tmp_path / "out.zip") == 2
    other = Gallery(tmp_path / "other")
    assert import_zip(other, tmp_path / "out.zip") == 2
    assert contents(other.folder) == everything and other.labels() == {"y": 2}
    assert import_zip(other, tmp_path / "out.zip") == 0
    assert not (gallery.folder / ".damaged").exists()


def test_an_unknown_item_too_large_for_an_archive_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery, unknown = Gallery(tmp_path / "g"), a_reference("x", 2)
    kept = gallery.add(a_reference("x", 1))
    gallery.add_files("x", unknown.id, of_later(unknown, kind="moving"))
    picture = gallery.folder / "x" / f"{unknown.id}.png"
    picture.write_bytes(bytes(LARGEST_PNG + 1))
    assert export_zip(gallery, tmp_path / "out.zip") == 1
    assert "too large" in capsys.readouterr().err
    assert import_zip(Gallery(tmp_path / "other"), tmp_path / "out.zip") == 1
    assert gallery.ids() == {kept.id, unknown.id}


@pytest.mark.parametrize("damage", [None, b"", b"cut"], ids=["missing", "empty", "cut"])
@pytest.mark.parametrize("lost", [(0,), (2,), (0, 1)])
def test_an_archive_that_lacks_a_view(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: bytes | None, lost: tuple[int, ...]
) -> None:
    """The other views are imported, with a warning; they are exported again."""
    broken, gone = a_reference("x", 2, views=3), a_reference("x", 3, views=3)
    names = list(to_files(broken))
    damaged = {names[number] for number in lost} | set(list(to_files(gone))[:3])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in {**to_files(broken), **to_files(gone)}.items():
            if name not in damaged:
                archive.writestr(f"x/{name}", data)
            elif damage is not None:
                archive.writestr(f"x/{name}", damage)
    gallery = Gallery(tmp_path / "g")
    assert import_zip(gallery, tmp_path / "a.zip") == 1
    said = capsys.readouterr().err
    assert "its picture is" in said and gone.id in said and broken.id in said
    (read,) = gallery.references()
    kept = [view for number, view in enumerate(broken.views) if number not in lost]
    assert same(read, dataclasses.replace(broken, views=tuple(kept)))
    assert len(gallery.embeddings(CountingEncoder()).ids) == len(kept)
    assert export_zip(gallery, tmp_path / "b.zip") == 1
    assert import_zip(Gallery(tmp_path / "h"), tmp_path / "b.zip") == 1
    assert contents(tmp_path / "h") == contents(gallery.folder)


# Releases before.


def test_releases_before_look_for_other_names(tmp_path: Path) -> None:
    """They take <id>.json for a reference; undoing a deletion, they would remove what they can't
    read."""
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("x", views=3))
    theirs = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}\.json")
    assert not [path for path in tmp_path.rglob("*") if theirs.fullmatch(path.name)]


@pytest.fixture
def before(tmp_path: Path) -> Gallery:
    """A gallery of the release before: an archive is laid out as a gallery is."""
    with zipfile.ZipFile(BEFORE) as archive:
        archive.extractall(tmp_path / "before")
    return Gallery(tmp_path / "before")


def test_a_gallery_of_before_is_used_and_never_rewritten(
    before: Gallery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = contents(before.folder)
    assert len(files) == 8 and all(b'"version": 1' in files[n] for n in files if "json" in n)
    references = before.references()
    assert before.labels() == LABELS_BEFORE and len(references) == 4
    assert all(len(r.views) == 1 and r.views[0].twin is not None for r in references)
    assert sorted(r.views[0].side for r in references) == ["left", "right", "right", "right"]
    assert len(before.embeddings(CountingEncoder()).ids) == 8
    before.rename("L/ell?", "ell")
    before.delete_reference(references[0].id)
    before.add(a_reference("Fist", 1, views=2), replace=True)
    assert (before.undo(), before.undo()) == ("Fist", "Fist")
    shutil.rmtree(before.folder / ".trash")  # the one that was undone
    before.add(a_reference("Fist", 1, views=2))
    before.delete("Victory")
    assert before.undo() == "Victory"
    assert before.labels() == {"Fist": 3, "Victory": 1, "ell": 1}
    assert export_zip(before, tmp_path / "out.zip") == 5
    other = Gallery(tmp_path / "other")
    assert import_zip(other, tmp_path / "out.zip") == 5
    for gallery in (before, other):
        now = contents(gallery.folder)
        assert {name: now[name] for name in files} == files and len(now) == len(files) + 3
    no_warning(capsys)


def test_an_archive_of_before_is_imported(before: Gallery, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(a_reference("Fist", 1, views=2))
    assert import_zip(gallery, BEFORE) == 4 and import_zip(gallery, BEFORE) == 0
    assert gallery.labels() == {**LABELS_BEFORE, "Fist": 3}
    brought = {reference.id: reference for reference in gallery.references()}
    assert all(same(brought[r.id], r) for r in before.references())


def test_a_gallery_of_before_is_matched_with(before: Gallery) -> None:
    with Recognizer(Settings(gallery=str(before.folder))) as recognizer:
        for i, (pose, side, label) in enumerate(
            [("Fist", "right", "Fist"), ("Victory", "left", "Victory"), ("L", "left", "L/ell?")]
        ):
            (hand,) = recognizer.detector.detect(Frame(hand_picture(pose, side), i, 10.0 * i))
            assert recognizer.match(hand).nearest == label


def test_what_releases_before_wrote_is_what_the_tests_write(before: Gallery) -> None:
    files = contents(before.folder)
    for reference in before.references():
        for name, data in format_1(reference).items():
            if name.endswith(".json"):  # OpenCV's versions may compress pictures differently
                ours, theirs = json.loads(data), json.loads(files[name])
                for fields in (ours, theirs):
                    del fields["picture_sha256"], fields["picture_bytes"]
                assert ours == theirs
