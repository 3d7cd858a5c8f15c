"""Galleries and archives whose files somebody else has written."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import UserError
from realtime.gallery import archive
from realtime.gallery.gallery import Gallery
from realtime.gallery.gesture_file import label_json
from realtime.gallery.item import to_files
from tests.realtime.gallery.fixtures import a_reference, format_1
from tests.realtime.hostile.changes import MANY, ODD_TEXTS, changed, changed_bytes

REFERENCE = a_reference("Yes", 1, views=2)
ITEM = to_files(REFERENCE)
OLD = format_1(a_reference("Yes", 2))
GESTURE = label_json("Yes")


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.gallery.reading.warn", lambda _: None)
    monkeypatch.setattr("realtime.gallery.archive.warn", lambda _: None)


def names_outside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder.parent)) for path in folder.parent.iterdir()}


@st.composite
def galleries(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of a gesture's folder, some of them changed."""
    files = {"gesture.json": GESTURE, **draw(st.sampled_from([ITEM, OLD]))}
    for name in draw(st.sets(st.sampled_from(sorted(files)), min_size=1)):
        if draw(st.integers(0, 6)) == 0:
            del files[name]
        else:
            files[name] = draw((changed if name.endswith(".json") else changed_bytes)(files[name]))
    return files


@MANY
@given(galleries())
def test_damaged_gallery_is_read_and_used(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("hostile")
    gallery = Gallery(root / "gestures")
    folder = gallery.folder / "Yes"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        for reference in gallery.references():
            assert all(np.isfinite(view.landmarks).all() for view in reference.views)
            assert all(view.picture.shape[2] == 3 for view in reference.views)
        gallery.pictures(gallery.ids())
        for label in gallery.labels():
            with contextlib.suppress(UserError):
                gallery.delete(label)
                gallery.undo()
        assert names_outside(gallery.folder) == {"gestures"}
    finally:
        shutil.rmtree(root)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A zip file: entries with changed contents and odd names, changed once more as a whole."""
    folder = draw(st.sampled_from(["Yes", "a/Yes", "../Yes", "/Yes", "C:/Yes", "Y\\..", ".x", ""]))
    entries = {f"{folder}/{name}": data for name, data in draw(galleries()).items()}
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(entries) or ["x"]) | st.sampled_from(ODD_TEXTS[:5]))
        entries[draw(st.sampled_from(["", "../", "/tmp/"])) + name] = draw(st.binary(max_size=20))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
            info.external_attr = draw(st.sampled_from([0, 0o100644 << 16, 0o120777 << 16]))
            file.writestr(info, data)
    whole = buffer.getvalue()
    return draw(st.just(whole) | changed_bytes(whole))


@MANY
@given(archives())
def test_archive_writes_into_its_gallery_alone(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    root = tmp_path_factory.mktemp("hostile")
    gallery = Gallery(root / "gestures")
    (root / "a.zip").write_bytes(data)
    try:
        with contextlib.suppress(UserError):
            archive.import_zip(gallery, root / "a.zip")
        gallery.references()
        assert names_outside(gallery.folder) <= {"gestures", "a.zip"}
        for path in gallery.folder.rglob("*"):
            assert not path.is_symlink() and os.path.realpath(path).startswith(str(root))
    finally:
        shutil.rmtree(root)


@MANY
@given(data=st.data())
def test_cache_of_embeddings_is_only_a_cache(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    from realtime.gallery.cache import read_cache

    class Encoder:
        fingerprint = "f"

        class spec:
            dim = 3

    path = tmp_path_factory.mktemp("hostile") / "a.npz"
    arrays = {
        "version": np.array(1),
        "fingerprint": np.array("f"),
        "ids": np.array(["a", "b"]),
        "digests": np.array(["x", "y"]),
        "embeddings": np.ones((2, 3), np.float32),
    }
    odd = [
        np.array([None, {}], object),
        np.array(5),
        np.full((2, 3), np.nan, np.float32),
        np.ones((3, 2), np.float32),
        np.zeros((0, 3), np.float32),
        np.array(data.draw(st.text(max_size=5))),
    ]
    for name in data.draw(st.sets(st.sampled_from(sorted(arrays)), max_size=3)):
        arrays[name] = data.draw(st.sampled_from(odd))
    np.savez(path, **arrays)  # type: ignore[arg-type]
    path.write_bytes(data.draw(st.just(path.read_bytes()) | changed_bytes(path.read_bytes())))
    for vector in read_cache(path, Encoder()).values():  # type: ignore[arg-type]
        assert vector.shape == (3,) and np.isfinite(vector).all()
    path.unlink()


def test_archive_with_an_entry_without_a_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(zipfile.ZipInfo(""), b"x")
        for name, data in {"gesture.json": GESTURE, **ITEM}.items():
            file.writestr(f"Yes/{name}", data)
    gallery = Gallery(tmp_path / "gestures")
    assert archive.import_zip(gallery, tmp_path / "a.zip") == 1
    assert gallery.labels() == {"Yes": 1}
