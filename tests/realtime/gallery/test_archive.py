"""Carrying a gallery in a zip file, and zip files that mean harm."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from engines.errors import UserError
from realtime.gallery.archive import export_zip, import_zip
from realtime.gallery.gallery import Gallery, Reference
from realtime.gallery.item import to_files
from realtime.gallery.record import LARGEST_JSON
from tests.realtime.gallery.fixtures import (
    a_reference,
    same,
)


def test_an_archive_carries_everything(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "a")
    for seed, label in enumerate(["../up", "x", "x", "👍"]):
        gallery.add(a_reference(label, seed, "left"))
    path = tmp_path / "out.zip"
    assert export_zip(gallery, path) == 4
    assert {p.name for p in tmp_path.iterdir()} == {"a", "out.zip"}
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 3 + 2 * 4
        assert not any(".." in Path(name).parts for name in archive.namelist())
    other = Gallery(tmp_path / "b")
    other.add(a_reference("x", 7))
    assert import_zip(other, path) == 4
    assert other.labels() == {"../up": 1, "x": 3, "👍": 1}
    assert import_zip(other, path) == 0  # all there already
    assert import_zip(gallery, path) == 0
    brought = {r.id: r for r in other.references()}
    assert all(same(r, brought[r.id]) for r in gallery.references())


def test_exporting_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="record one"):
        export_zip(Gallery(tmp_path / "g"), tmp_path / "out.zip")
    assert list(tmp_path.iterdir()) == []


def files_of(folder: str, reference: Reference) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in to_files(reference).items()}


def archive_of(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "folder", ["../x", "x/../../y", "/etc", "\\windows", "..\\up", "C:/x", "C:\\x", "//host/x"]
)
def test_archives_that_lead_outside(tmp_path: Path, folder: str) -> None:
    files = files_of("x", a_reference("x", 2)) | files_of(folder, a_reference("x"))
    path = archive_of(tmp_path / "bad.zip", **files)
    with pytest.raises(UserError, match="leads out"):
        import_zip(Gallery(tmp_path / "g"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.zip"]


def test_archives_with_links(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        info = zipfile.ZipInfo("x/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="leads out"):
        import_zip(Gallery(tmp_path / "g"), tmp_path / "bad.zip")


def test_archives_that_unpack_to_too_much(tmp_path: Path) -> None:
    id = a_reference("x").id
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"x/{id}.item.json", b" " * (LARGEST_JSON + 1))
    with pytest.raises(UserError, match="unpacks to more"):
        import_zip(Gallery(tmp_path / "g"), tmp_path / "bomb.zip")
    # One that lies about its size is read no further than it says.
    data = (tmp_path / "bomb.zip").read_bytes()
    lie = data.replace((LARGEST_JSON + 1).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    (tmp_path / "lie.zip").write_bytes(lie)
    assert lie != data and import_zip(Gallery(tmp_path / "g"), tmp_path / "lie.zip") == 0
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18, b"PK\x03\x04" * 20])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"bad\.zip"):
        import_zip(Gallery(tmp_path / "g"), tmp_path / "bad.zip")
    for path in [tmp_path / "missing.zip", tmp_path]:
        with pytest.raises(UserError, match="can't be read"):
            import_zip(Gallery(tmp_path / "g"), path)


def test_archives_partly_damaged_or_foreign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [a_reference("x", seed) for seed in range(5)]
    ids = [each.id for each in shown]
    png = to_files(shown[0])[f"{ids[0]}.png"]
    files = {
        "readme.txt": b"not ours",
        f"__MACOSX/x/{ids[0]}.item.json": b"not ours",
        f".damaged/x/{ids[0]}.item.json": b"not ours",
        **files_of("outer/x", shown[0]),  # zipped by hand, with the gallery's own folder
        **files_of("x", shown[1]),
        f"x/{ids[1]}.png": png,
        f"x/{ids[2]}.item.json": to_files(shown[2])[f"{ids[2]}.item.json"],
        f"x/{ids[3]}.png": png,
        " /gesture.json": b"{",
        **files_of(" ", shown[4]),
    }
    gallery = Gallery(tmp_path / "g")
    assert import_zip(gallery, archive_of(tmp_path / "mixed.zip", **files)) == 1
    assert gallery.ids() == {ids[0]} and gallery.labels() == {"x": 1}
    assert capsys.readouterr().err.count("warning:") == 3


def test_an_encrypted_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(a_reference("x"))
    export_zip(gallery, tmp_path / "out.zip")
    data = bytearray((tmp_path / "out.zip").read_bytes())
    for mark, offset in [(b"PK\x01\x02", 8), (b"PK\x03\x04", 6)]:
        start = 0
        while (start := data.find(mark, start)) >= 0:
            data[start + offset] |= 1
            start += 4
    (tmp_path / "locked.zip").write_bytes(data)
    assert import_zip(Gallery(tmp_path / "other"), tmp_path / "locked.zip") == 0
    assert "encrypted" in capsys.readouterr().err


def test_exporting_to_nowhere(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(a_reference("x"))
    (tmp_path / "folder.zip").mkdir()
    for path in [tmp_path / "missing" / "out.zip", tmp_path / "folder.zip"]:
        with pytest.raises(UserError, match=r"\.zip can't be written"):
            export_zip(gallery, path)
    assert {p.name for p in tmp_path.iterdir()} == {"g", "folder.zip"}
