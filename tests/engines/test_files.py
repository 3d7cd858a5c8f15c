"""Files are written whole or not at all, and an OSError becomes one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import files
from engines.errors import UserError
from engines.files import (
    TEMPORARY,
    check_folder,
    check_writable,
    explain_errors,
    replace_file,
    replace_path,
    write_file,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no umask and no such limit")
FULL_DISK = """
import resource, sys
from pathlib import Path
from engines.files import write_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
try:
    write_file(Path(sys.argv[1]), bytes(4000))
except OSError as error:
    print(error.filename, error.strerror, sep="|")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_made_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_file(path, b"one")
    write_file(path, "zwei – 二")
    assert path.read_text(encoding="utf-8") == "zwei – 二" and names(tmp_path) == ["a.json"]
    with replace_file(path) as file:
        file.write(b"half of ")
        file.flush()
        (temporary,) = {path.name for path in tmp_path.iterdir()} - {"a.json"}
        assert temporary.startswith(TEMPORARY) and temporary.endswith(".json")
        assert path.read_text(encoding="utf-8") == "zwei – 二"
        file.write(b"three")
    assert path.read_bytes() == b"half of three" and names(tmp_path) == ["a.json"]


def test_a_writer_that_takes_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with replace_path(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".npy"
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole" and names(tmp_path) == ["a.npy"]


@POSIX
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_file(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


@POSIX
def test_a_full_disk_leaves_the_old_file_and_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"the old one")
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert said.stdout.split("\n")[0].split("|") == [str(path), "File too large"]
    assert path.read_bytes() == b"the old one" and names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_ctrl_c_before_the_renaming_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"the old one")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"new")
    assert path.read_bytes() == b"the old one" and names(tmp_path) == ["a"]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"the old one")
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"new")
        file.flush()
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError) as caught, replace_file(path):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")  # it isn't about the file to write
    assert path.read_bytes() == b"the old one" and names(tmp_path) == ["a"]


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a", tmp_path / "folder"):
        with pytest.raises(OSError) as caught:
            write_file(path, b"new")
        assert caught.value.filename == str(path) and TEMPORARY not in str(caught.value)
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == []


def test_what_is_written_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda f: (steps.append(os.fstat(f).st_size), fsync(f)))
    monkeypatch.setattr(files.os, "replace", lambda *p: (steps.append("named"), replace(*p)))
    write_file(tmp_path / "a", b"12345")
    assert steps[:2] == [5, "named"]
    assert os.name == "nt" or len(steps) == 3  # and the folder, whose name for it is new


def test_an_os_error_becomes_a_sentence() -> None:
    sentence = r"^a can't be read \(No such file or directory\)\. Check "
    with pytest.raises(UserError, match=sentence), explain_errors("a can't be read"):
        Path("/nonexistent/a").read_bytes()
    sentence = r"^a can't be kept \(why\)\. Make room\.$"
    with pytest.raises(UserError, match=sentence), explain_errors("a can't be kept", "Make room."):
        raise OSError("why\nand more")
    with pytest.raises(ValueError, match="kept"), explain_errors("a can't be read"):
        raise ValueError("kept")
    with pytest.raises(BrokenPipeError), explain_errors("a can't be written"):
        raise BrokenPipeError


def test_places_are_checked(tmp_path: Path) -> None:
    check_writable(None)
    check_writable(tmp_path / "a")
    with pytest.raises(UserError, match=r"none/a can't be written: .*none is not a folder"):
        check_writable(tmp_path / "none" / "a")
    assert check_folder(tmp_path) == tmp_path
    with pytest.raises(UserError, match="none is not a folder of pictures"):
        check_folder(tmp_path / "none")
