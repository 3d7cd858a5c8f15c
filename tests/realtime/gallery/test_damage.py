"""Damaged references are set aside, and damaged caches built anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.gallery.gallery import Gallery
from realtime.gallery.reference import (
    LARGEST,
    LARGEST_JSON,
    DamagedReference,
    parse_record,
    to_files,
    with_picture,
)
from tests.realtime.gallery.fixtures import (
    CountingEncoder,
    a_reference,
    files_in,
    no_warning,
    same,
)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        fields = json.loads(path.read_text())
        path.write_text(json.dumps({**fields, **changes}))

    return change


def without(field: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        fields = json.loads(path.read_text())
        del fields[field]
        path.write_text(json.dumps(fields))

    return change


NAN = [[float("nan"), 0.0, 0.0]] * 21
DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "no JSON": lambda p: p.write_bytes(b"\xff\x00{"),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-40]),
    "deep": lambda p: p.write_text("[" * 100_000),
    "long": lambda p: p.write_text(" " * (LARGEST_JSON + 1)),
    "a list": lambda p: p.write_text("[1]"),
    "no version": without("version"),
    "no side": without("side"),
    "no landmarks": without("landmarks"),
    "side": edit(side="both"),
    "score": edit(score="high"),
    "large score": edit(score=2),
    "NaN": edit(landmarks=NAN),
    "infinite": edit(world_landmarks=[[1e300, 0, 0]] * 21),
    "20 points": edit(landmarks=[[0, 0, 0]] * 20),
    "ragged": edit(landmarks=[[0, 0, 0]] * 20 + [[0]]),
    "words": edit(landmarks="no"),
    "time": edit(recorded_at="yesterday"),
    "no time": edit(recorded_at=None),
    "other size": edit(picture_size=LARGEST),
    "other hash": edit(picture_sha256="0" * 64),
    "PNG missing": lambda p: p.with_suffix(".png").unlink(),
    "PNG empty": lambda p: p.with_suffix(".png").write_bytes(b""),
    "PNG cut": lambda p: p.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50),
    "PNG one bit": lambda p: flip(p.with_suffix(".png")),
    "PNG hash fits": lambda p: consistent(p, b"\x89PNG\r\n\x1a\n" + b"\0" * 90),
}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def consistent(path: Path, png: bytes) -> None:
    """A PNG that can't be decoded, though size, hash and header agree with the JSON."""
    size = json.loads(path.read_text())["picture_size"].to_bytes(4, "big")
    png = png[:16] + size * 2 + png[24:]
    path.with_suffix(".png").write_bytes(png)
    edit(picture_sha256=hashlib.sha256(png).hexdigest(), picture_bytes=len(png))(path)


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_damaged_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    gallery = Gallery(tmp_path)
    sound, damaged = gallery.add(a_reference("x")), gallery.add(a_reference("x", 2))
    DAMAGE[kind](tmp_path / "x" / f"{damaged.id}.json")
    assert [r.id for r in gallery.references()] == [sound.id]
    warning = capsys.readouterr().err
    assert warning.count("warning:") == 1 and f"{damaged.id}.json" in warning
    assert (tmp_path / ".damaged" / "x" / f"{damaged.id}.json").is_file()
    assert not list((tmp_path / "x").glob(f"{damaged.id}*"))
    assert gallery.labels() == {"x": 1} and len(gallery.embeddings(CountingEncoder()).ids) == 1
    no_warning(capsys)


def test_a_picture_of_another_size_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    png, record = to_files(a_reference("x"))
    png = png[:16] + (60_000).to_bytes(4, "big") * 2 + png[24:]
    fields = {**json.loads(record), "picture_sha256": hashlib.sha256(png).hexdigest()}
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DamagedReference, match="size"):
        with_picture(parse_record("id", json.dumps(fields).encode()), "x", png)


def test_a_newer_version_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = Gallery(tmp_path)
    added = gallery.add(a_reference("x"))
    edit(version=2)(tmp_path / "x" / f"{added.id}.json")
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
    edit(world_landmarks=[[0.5, 0, 0]] * 21)(tmp_path / "x" / f"{added.id}.json")
    second = gallery.embeddings(encoder)
    assert encoder.encoded == 2 and not np.allclose(first.embeddings, second.embeddings)


def test_what_is_no_reference_is_not_stored(tmp_path: Path) -> None:
    gallery, reference = Gallery(tmp_path), a_reference("x")
    png, record = to_files(reference)
    with pytest.raises(DamagedReference):
        gallery.add_files("x", reference.id, png[:-1], record)
    assert list(tmp_path.iterdir()) == []
    assert same(gallery.add(reference), gallery.references()[0])
