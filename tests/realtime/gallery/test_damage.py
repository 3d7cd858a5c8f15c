"""Damaged references are set aside, and damaged caches built anew."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime.gallery.gallery import Gallery
from realtime.gallery.item import check_files, to_files
from realtime.gallery.record import LARGEST_JSON, DamagedReference
from realtime.gallery.reference import LARGEST, MOST_VIEWS
from tests.realtime.gallery.fixtures import (
    CountingEncoder,
    a_reference,
    files_in,
    format_1,
    no_warning,
    same,
)

Fields = dict[str, Any]


def edited(change: Callable[[Fields], object]) -> Callable[[Path, int], None]:
    """Change what an item's JSON file says."""

    def damage(path: Path, view: int) -> None:
        fields = json.loads(path.read_text())
        change(fields)
        path.write_text(json.dumps(fields))

    return damage


def edit(**changes: object) -> Callable[[Path, int], None]:
    return edited(lambda fields: fields.update(changes))


def edit_view(**changes: object) -> Callable[[Path, int], None]:
    """Change what it says of one view, or drop what is changed to `...`."""

    def damage(path: Path, view: int) -> None:
        fields = json.loads(path.read_text())
        its = fields if fields["version"] == 1 else fields["views"][view]
        its.update(changes)
        for name in [name for name in its if its[name] is ...]:
            del its[name]
        path.write_text(json.dumps(fields))

    return damage


def edit_picture(**changes: object) -> Callable[[Path, int], None]:
    """Change what it says of one view's picture."""

    def damage(path: Path, view: int) -> None:
        fields = json.loads(path.read_text())
        if fields["version"] == 1:
            fields.update({f"picture_{name}": value for name, value in changes.items()})
        else:
            fields["views"][view]["picture"].update(changes)
        path.write_text(json.dumps(fields))

    return damage


def picture_of(path: Path, view: int) -> Path:
    return path.with_name(path.name.partition(".")[0] + (f"-{view}" if view else "") + ".png")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def consistent(path: Path, view: int) -> None:
    """A PNG that can't be decoded, though size, hash and header agree with the JSON."""
    picture = picture_of(path, view)
    size = picture.read_bytes()[16:24]
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + size + b"\0" * 74
    picture.write_bytes(png)
    edit_picture(sha256=hashlib.sha256(png).hexdigest(), bytes=len(png))(path, view)


NAN = [[float("nan"), 0.0, 0.0]] * 21
# Each damages an item of either format: its JSON file, and one of its views.
DAMAGE: dict[str, Callable[[Path, int], object]] = {
    "empty": lambda p, _: p.write_bytes(b""),
    "no JSON": lambda p, _: p.write_bytes(b"\xff\x00{"),
    "cut": lambda p, _: p.write_bytes(p.read_bytes()[:-40]),
    "deep": lambda p, _: p.write_text("[" * 100_000),
    "long": lambda p, _: p.write_text(" " * (LARGEST_JSON + 1)),
    "a list": lambda p, _: p.write_text("[1]"),
    "no version": edited(lambda fields: fields.pop("version")),
    "version 0": edit(version=0),
    "no side": edit_view(side=...),
    "no landmarks": edit_view(landmarks=...),
    "side": edit_view(side="both"),
    "score": edit_view(score="high"),
    "large score": edit_view(score=2),
    "NaN": edit_view(landmarks=NAN),
    "infinite": edit_view(world_landmarks=[[1e300, 0, 0]] * 21),
    "20 points": edit_view(landmarks=[[0, 0, 0]] * 20),
    "ragged": edit_view(landmarks=[[0, 0, 0]] * 20 + [[0]]),
    "words": edit_view(landmarks="no"),
    "twin": edit_view(twin={"landmarks": NAN, "world_landmarks": NAN}),
    "no twin": edit_view(twin=""),
    "time": edit(recorded_at="yesterday"),
    "no time": edit(recorded_at=None),
}
# Each damages the picture of one view, or what the JSON file says of it.
DAMAGED_PICTURE: dict[str, Callable[[Path, int], object]] = {
    "other size": edit_picture(size=LARGEST),
    "other bytes": edit_picture(bytes=7),
    "other hash": edit_picture(sha256="0" * 64),
    "PNG missing": lambda p, view: picture_of(p, view).unlink(),
    "PNG empty": lambda p, view: picture_of(p, view).write_bytes(b""),
    "PNG cut": lambda p, v: picture_of(p, v).write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50),
    "PNG one bit": lambda p, view: flip(picture_of(p, view)),
    "PNG hash fits": consistent,
}
# Of format 2 alone.
DAMAGE_2: dict[str, Callable[[Path, int], object]] = {
    "no kind": edited(lambda fields: fields.pop("kind")),
    "kind": edit(kind=["still"]),
    "no views": edited(lambda fields: fields.pop("views")),
    "views": edit(views={"0": "still"}),
    "not one view": edit(views=[]),
    "many views": edited(lambda fields: fields.update(views=fields["views"] * MOST_VIEWS)),
    "a view missing": edited(lambda fields: fields["views"].pop(0)),
    "text for views": edit(views=["a", "b"]),
    "view time": edit_view(time_s=float("nan")),
    "no view time": edit_view(time_s=...),
    "no picture": edit_view(picture=...),
    "text for a picture": edit_view(picture="x.png"),
    "no file": edit_picture(file=None),
    "a file outside": edit_picture(file="../x.png"),
    "an absolute file": edit_picture(file="/etc/hostname"),
    "another's file": edit_picture(file="20200101-000000-000000-00000000.png"),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("view", [None, 0, 2], ids=["format 1", "first view", "last view"])
def test_what_is_damaged_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], view: int | None, kind: str
) -> None:
    check_set_aside(tmp_path, capsys, view, DAMAGE[kind])


@pytest.mark.parametrize("kind", DAMAGED_PICTURE)
def test_a_reference_whose_only_picture_is_damaged_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    check_set_aside(tmp_path, capsys, None, DAMAGED_PICTURE[kind])


@pytest.mark.parametrize("first", ["references", "embeddings", "pictures", "files"])
@pytest.mark.parametrize("kind", DAMAGED_PICTURE)
@pytest.mark.parametrize("view", [0, 2])
def test_a_reference_lasts_as_long_as_one_of_its_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], view: int, kind: str, first: str
) -> None:
    """Whoever reads first, what is damaged is set aside alone; the last takes the rest along."""
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    reference = gallery.add(a_reference("x", 2, views=3))
    path = tmp_path / "x" / f"{reference.id}.item.json"
    DAMAGED_PICTURE[kind](path, view)
    read: dict[str, Callable[[], object]] = {
        "references": gallery.references,
        "embeddings": lambda: gallery.embeddings(encoder),
        "pictures": lambda: gallery.pictures([reference.id]),
        "files": lambda: list(gallery.read_all_files()),
    }
    read[first]()
    whole = tuple(v for number, v in enumerate(reference.views) if number != view)
    (found,) = gallery.references()
    assert same(found, dataclasses.replace(reference, views=whole))
    assert np.array_equal(gallery.pictures([reference.id])[reference.id], whole[0].picture)
    known = gallery.embeddings(encoder)
    assert known.ids == (reference.id,) * 2
    said = capsys.readouterr().err
    assert picture_of(path, view).name in said or "lost 1 picture of 3" in said
    gallery.delete("x")
    assert gallery.undo() == "x" and gallery.views() == {"x": 2}
    again = gallery.embeddings(CountingEncoder())
    assert np.array_equal(again.embeddings, known.embeddings)
    for number in {0, 1, 2} - {view}:
        picture_of(path, number).unlink()
    assert gallery.references() == [] and gallery.labels() == {}
    assert (tmp_path / ".damaged" / "x" / path.name).is_file()


def test_a_damaged_picture_that_can_not_be_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = Gallery(tmp_path)
    reference = gallery.add(a_reference("x", 2, views=3))
    flip(picture_of(tmp_path / "x" / f"{reference.id}.item.json", 1))
    (tmp_path / ".damaged").write_text("a file in the way")
    assert gallery.references() == []
    assert "could not be set aside" in capsys.readouterr().err


@pytest.mark.parametrize("kind", DAMAGE_2)
@pytest.mark.parametrize("view", [0, 2])
def test_what_is_damaged_in_format_2_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], view: int, kind: str
) -> None:
    check_set_aside(tmp_path, capsys, view, DAMAGE_2[kind])


def check_set_aside(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    view: int | None,
    damage: Callable[[Path, int], object],
) -> None:
    gallery = Gallery(folder)
    sound = gallery.add(a_reference("x"))
    damaged = a_reference("x", 2, views=1 if view is None else 3)
    gallery.add_files("x", damaged.id, format_1(damaged) if view is None else to_files(damaged))
    suffix = ".json" if view is None else ".item.json"
    damage(folder / "x" / f"{damaged.id}{suffix}", view or 0)
    assert [r.id for r in gallery.references()] == [sound.id]
    warning = capsys.readouterr().err
    assert warning.count("warning:") == 1 and f"{damaged.id}{suffix}" in warning
    assert (folder / ".damaged" / "x" / f"{damaged.id}{suffix}").is_file()
    assert not list((folder / "x").glob(f"{damaged.id}*"))
    assert gallery.labels() == {"x": 1} and len(gallery.embeddings(CountingEncoder()).ids) == 1
    no_warning(capsys)


@pytest.mark.parametrize("view", [0, 1])
def test_a_picture_of_another_size_is_not_even_decoded(
    monkeypatch: pytest.MonkeyPatch, view: int
) -> None:
    reference = a_reference("x", views=2)
    *names, json_name = files = to_files(reference)
    png = files[names[view]]
    files[names[view]] = png = png[:16] + (60_000).to_bytes(4, "big") * 2 + png[24:]
    fields = json.loads(files[json_name])
    fields["views"][view]["picture"]["sha256"] = hashlib.sha256(png).hexdigest()
    files[json_name] = json.dumps(fields).encode()
    decode, decoded = cv2.imdecode, 0

    def counted(data: np.ndarray, flags: int) -> np.ndarray | None:
        nonlocal decoded
        decoded += 1
        return decode(data, flags)

    monkeypatch.setattr(cv2, "imdecode", counted)
    with pytest.raises(DamagedReference, match="size"):
        check_files(reference.id, files)
    assert decoded == view  # the sound one before it


@pytest.mark.parametrize("change", [{"version": 3}, {"kind": "moving"}, {"version": 3, "views": 0}])
def test_a_newer_version_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object]
) -> None:
    gallery = Gallery(tmp_path)
    added = gallery.add(a_reference("x", views=2))
    edit(**change)(tmp_path / "x" / f"{added.id}.item.json", 0)
    files = files_in(tmp_path)
    assert gallery.references() == [] == gallery.references() and files_in(tmp_path) == files
    assert capsys.readouterr().err.count("newer version") == 1


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 1, "label": "\\ud800"}'])
def test_a_damaged_label_leaves_the_folder_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("a/b"))
    (tmp_path / "a_b" / "gesture.json").write_text(text)
    assert [r.label for r in gallery.references()] == ["a_b"]
    assert capsys.readouterr().err.count("warning:") == 1


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "objects", "other shape", "NaN"])
def test_a_damaged_cache_is_built_anew(tmp_path: Path, damage: str) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    gallery.add(a_reference("x"))
    index = gallery.embeddings(encoder)
    (cache,) = (tmp_path / ".cache").iterdir()
    assert cache.name == "f" * 16 + "-m.npz"
    with np.load(cache) as file:
        arrays = dict(file)
    if damage in {"empty", "text", "cut"}:
        cut = cache.read_bytes()[: cache.stat().st_size // 2]
        cache.write_bytes({"empty": b"", "text": b"no cache", "cut": cut}[damage])
    else:
        value = {
            "objects": np.array([[{"a": 1}] * 8], object),
            "other shape": np.zeros((1, 7), np.float32),
            "NaN": np.full((1, 8), np.nan, np.float32),
        }[damage]
        np.savez(cache, **{**arrays, "embeddings": value})
    again = Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 2 and np.array_equal(again.embeddings, index.embeddings)
    Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 2  # the cache was mended


def test_a_cache_that_cannot_be_written_lasts_as_long_as_the_gallery(
    tmp_path: Path,
) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    gallery.add(a_reference("x"))
    (tmp_path / ".cache").write_text("in the way")
    first = gallery.embeddings(encoder)
    assert np.array_equal(gallery.embeddings(encoder).embeddings, first.embeddings)
    assert encoder.encoded == 1


def test_a_cache_of_other_content_is_stale(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    added = gallery.add(a_reference("x"))
    first = gallery.embeddings(encoder)
    edit_view(world_landmarks=[[0.5, 0, 0]] * 21)(tmp_path / "x" / f"{added.id}.item.json", 0)
    second = gallery.embeddings(encoder)
    assert encoder.encoded == 2 and not np.allclose(first.embeddings, second.embeddings)


def test_what_is_no_reference_is_not_stored(tmp_path: Path) -> None:
    gallery, reference = Gallery(tmp_path), a_reference("x")
    files = to_files(reference)
    with pytest.raises(DamagedReference):
        gallery.add_files("x", reference.id, {**files, f"{reference.id}.png": b"cut"})
    assert list(tmp_path.iterdir()) == []
    assert same(gallery.add(reference), gallery.references()[0])
