"""One rule for folders: links followed once, housekeeping left out, what is skipped named."""

from __future__ import annotations

import os
import socket
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import UserError
from realtime import folders
from realtime.folders import is_picture, list_folder, list_pictures, list_zip

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
PNG = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sentences: list[str] = []
    monkeypatch.setattr(folders, "warn_once", sentences.append)
    return sentences


def lay(folder: Path, *names: str, data: bytes = PNG) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_pictures(folder, recursive=True)]


def test_a_picture_is_known_by_its_name_or_by_how_it_begins(tmp_path: Path, said: list) -> None:
    lay(tmp_path, "a.png", "b", "c.dat", "d.Jfif")
    lay(tmp_path, "e.JPG", "g.tiff", data=b"damaged")  # to be told as damaged, not to be passed by
    lay(tmp_path, "f.mjpeg", data=JPEG)
    lay(tmp_path, "notes.txt", "h.mp4", data=b"something else")
    lay(tmp_path, "empty", data=b"")
    assert names(tmp_path) == ["a.png", "b", "c.dat", "d.Jfif", "e.JPG", "g.tiff"]
    assert said == [f"Left out of {tmp_path}: 4 × no picture (empty, f.mjpeg, h.mp4, notes.txt)."]
    assert is_picture(tmp_path / "b") and not is_picture(tmp_path / "f.mjpeg")
    assert not is_picture(tmp_path / "missing")


@LINKS
def test_links_are_followed_and_loops_end(tmp_path: Path, said: list) -> None:
    outside = lay(tmp_path / "outside", "ann/A/1.png", "ann/B/1.png")
    lay(tmp_path / "elsewhere", "x.png")
    folder = lay(tmp_path / "set", "bob/A/1.png", "bob/A/2.png")
    (folder / "ann").symlink_to(outside / "ann")
    (folder / "ann" / "loop").symlink_to(folder)
    (folder / "bob" / "A" / "up").symlink_to("..")
    (folder / "bob" / "A" / "3.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    (folder / "bob" / "A" / "4.png").symlink_to(tmp_path / "gone.png")
    (folder / "aaa").symlink_to(folder / "bob")
    (folder / "self").symlink_to("self")
    expected = ["ann/A/1.png", "ann/B/1.png", "bob/A/1.png", "bob/A/2.png", "bob/A/3.png"]
    assert names(folder) == expected
    (sentence,) = said
    assert "3 × link to a folder that is listed already (aaa, bob/A/up, ann/loop)" in sentence
    assert "2 × link that leads nowhere (self, bob/A/4.png)" in sentence
    # The folder may be a link itself.
    (tmp_path / "link").symlink_to(folder)
    assert names(tmp_path / "link") == expected


@LINKS
def test_folders_that_all_link_to_each_other_are_listed_once(tmp_path: Path, said: list) -> None:
    homes = [lay(tmp_path / str(i), f"{i}.png") for i in range(12)]
    for home in homes:
        for other in homes:
            (home / f"to {other.name}").symlink_to(other)
    assert sorted(names(tmp_path)) == sorted(f"{i}/{i}.png" for i in range(12))


KEPT = [".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", ".Trash-1000", "Thumbnails"]


@pytest.mark.parametrize("kept", [*KEPT, ".git", "#recycle", "trash", "System Volume Information"])
def test_housekeeping_is_neither_a_person_nor_a_label(
    tmp_path: Path, kept: str, said: list
) -> None:
    lay(tmp_path, "ann/A/1.png", f"{kept}/A/1.png", f"ann/{kept}/1.png", f"ann/A/{kept}/1.png")
    lay(tmp_path, "ann/A/Thumbs.db", "ann/.DS_Store", "ann/A/._1.png", data=b"of the system")
    assert names(tmp_path) == ["ann/A/1.png"]
    (sentence,) = said
    assert sentence.startswith(f"Left out of {tmp_path}: 3 × hidden or kept by a program ({kept}, ")
    # What a person names is listed, whatever its name.
    assert names(tmp_path / kept) == ["A/1.png"]


def test_a_zip_is_listed_by_the_same_rule(tmp_path: Path) -> None:
    lay(tmp_path / "set", "ann/A/1.png", "ann/.git/2.png", "__MACOSX/3.png", "ann/A/._1.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "set"))
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        packed = list_zip(archive)
    unpacked = list_folder(tmp_path / "set")
    assert (packed.files, packed.folders) == (unpacked.files, unpacked.folders)
    assert packed.skipped.keys() == unpacked.skipped.keys()
    for why in packed.skipped:
        assert sorted(packed.skipped[why]) == sorted(unpacked.skipped[why])


@pytest.mark.skipif(sys.platform != "linux", reason="only there names are any bytes")
def test_names_that_are_not_utf_8(tmp_path: Path, said: list) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    for name in (b"1.png", b"\xfc.png", b"\xfc.txt"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(PNG if name.endswith(b"png") else b"text")
    assert [path.read_bytes() for path in list_pictures(tmp_path, recursive=True)] == [PNG, PNG]
    assert said == [f"Left out of {tmp_path}: 1 × no picture (café/ü.txt)."]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="a file that is none")
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, said: list) -> None:
    lay(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")  # reading it would wait for ever
    assert names(tmp_path) == ["a.png"]
    assert "1 × no regular file (b.png)" in said[0]


def test_where_there_are_none_the_error_names_what_is_there(tmp_path: Path, said: list) -> None:
    lay(tmp_path, "a.mp4", "sub/b.txt", data=b"no picture")
    with pytest.raises(UserError) as error:
        list_pictures(tmp_path, advice="Name another.")
    assert str(error.value) == (
        f"The folder {tmp_path} holds no picture (those in its folders don't count); left out: "
        "1 × no picture (a.mp4). Name another."
    )
    with pytest.raises(UserError, match=r"2 × no picture \(a.mp4, sub/b.txt\)\.$"):
        list_pictures(tmp_path, recursive=True)
    assert said == []


def test_heic_without_its_reader_is_named_once(
    tmp_path: Path, said: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.png")
    lay(tmp_path, *(f"{i}.HEIC" for i in range(8)), data=b"")
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert names(tmp_path) == ["a.png"]
    (sentence,) = said
    assert (
        "8 × HEIC picture, which takes one more package: pip install pi-heif (0.HEIC, " in sentence
    )
    assert "and 3 more" in sentence


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, said: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.png", "locked/b.png")
    scan = os.scandir

    def refusing(path: object) -> object:  # a superuser can read any folder
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)  # type: ignore[call-overload]

    monkeypatch.setattr(folders.os, "scandir", refusing)
    assert names(tmp_path) == ["a.png"]
    assert "1 × folder that can't be read (locked)" in said[0]


PARTS = st.sampled_from(["a", "B", ".h", "x.png", "y.JPG", "n.txt", "__MACOSX", "é"])


@settings(max_examples=60, deadline=None)
@given(st.sets(st.lists(PARTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8))
def test_every_file_is_taken_or_named_or_hidden(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    files = []
    for path in sorted(paths):
        if not any(path != other and (other + "/").startswith(path + "/") for other in paths):
            lay(folder, path, data=b"")
            files.append(path)
    found = list_folder(folder)
    hidden = [f for f in files if any(folders.is_housekeeping(part) for part in f.split("/"))]
    assert sorted(found.files + hidden) == sorted(files)
