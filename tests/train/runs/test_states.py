"""A run's states: never torn by a full disk, checked when read, and where the run's folder is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("tensorboard", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from engines.files import TEMPORARY
from tests.cli import PATIENCE_S, ROOT, environment
from tests.train.encoder.training import SMALL, dies_at, equal, make_quick, weights_of, write_drawn
from train.encoder import fit
from train.runs.checkpoint import write_tensors
from train.runs.states import BEST, LAST, newest_state


class Killed(BaseException):
    """As sudden as a signal, within this process."""


def die() -> None:
    raise Killed


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn") / "drawn.npz", {"one": (2, 5, 3)})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


@pytest.fixture(scope="module")
def train(drawn: Path) -> Callable[[Path], Path]:
    def train(out: Path) -> Path:
        return fit.train("small", SMALL, [drawn], [], out, drawn.with_name("features"))

    return train


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of an uninterrupted run."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        return weights_of(train(tmp_path_factory.mktemp("whole")))


def stop_at(
    patch: pytest.MonkeyPatch, train: Callable[[Path], Path], out: Path, epoch: int
) -> Path:
    """Train until this epoch; the folder of the states."""
    with patch.context() as within:
        dies_at(within, epoch, 1, die)
        with pytest.raises(Killed):
            train(out)
    return out / "checkpoints"


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def zero_some(data: bytes) -> bytes:
    """As after a power cut: the length is right, and torch reads it without a word."""
    middle = len(data) // 2
    return data[:middle] + bytes(200) + data[middle + 200 :]


DAMAGES = [cut, zero_some, lambda _: b"", lambda _: b"PK\x03\x04 no archive"]


@pytest.mark.parametrize("damage", DAMAGES, ids=["cut", "zeroed", "empty", "other"])
@pytest.mark.parametrize(
    ("torn", "goes_on"), [([LAST], BEST), ([BEST], ""), ([BEST, LAST], "")], ids=str
)
def test_a_torn_state_is_passed_over(
    train: Callable[[Path], Path],
    whole: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[bytes], bytes],
    torn: list[str],
    goes_on: str,
) -> None:
    folder = stop_at(monkeypatch, train, tmp_path, 3)
    for name in torn:
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
    capsys.readouterr()
    assert equal(weights_of(train(tmp_path)), whole)
    said = capsys.readouterr().err
    assert all(str(folder / name) in said for name in torn)
    assert (f"goes on from {folder / goes_on}" if goes_on else "starts anew") in said


def test_a_state_of_something_else_is_none(tmp_path: Path) -> None:
    write_tensors({"state_dict": {}, "callbacks": {}}, tmp_path / LAST)
    assert newest_state(tmp_path, LAST) is None


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}0123.ckpt").write_bytes(b"half")
    assert newest_state(tmp_path, BEST) is None
    assert list(tmp_path.iterdir()) == []


def test_no_other_folder_is_written_to(
    train: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or missing temporary folder stops nothing."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "gettempdir"):
        monkeypatch.setattr(tempfile, name, refuse)
    assert train(tmp_path).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_where_there_is_no_room_it_says_so_and_goes_on_later(
    train: Callable[[Path], Path],
    whole: dict[str, torch.Tensor],
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource

    folder = stop_at(monkeypatch, train, tmp_path / "run", 2)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    room = min(len(data) for data in before.values()) // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    words = ["train", "--recipe", "small", "--data", drawn, "--out", tmp_path / "run"]
    words += ["--features", drawn.with_name("features")]
    env = {k: v for k, v in environment().items() if k != "COVERAGE_PROCESS_CONFIG"}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.train.encoder.training", *map(str, words)],
        cwd=ROOT,
        env=env,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {folder}") and "can't be written (File too large)" in line
    assert "the same command goes on where it was" in line
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert equal(weights_of(train(tmp_path / "run")), whole)


def test_a_checkpoint_that_finds_no_room_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no/a.pt can't be written \(No such file.*Make room"):
        write_tensors({"a": torch.zeros(3)}, tmp_path / "no/a.pt")


def test_a_folder_that_was_moved_goes_on(
    train: Callable[[Path], Path],
    whole: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_at(monkeypatch, train, tmp_path / "here", 4)
    (tmp_path / "here").rename(tmp_path / "there")
    assert equal(weights_of(train(tmp_path / "there")), whole)
    assert not (tmp_path / "here").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["what%20now", "a::b", "~x", "$HOME", "s3:", "{0}", "a#b?c=d"])
def test_a_folder_is_no_address(
    train: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(Path(name)).is_file()
    assert os.listdir(tmp_path) == [name]
    assert sorted(os.listdir(tmp_path / name / "checkpoints")) == [BEST, LAST]
    assert os.listdir(tmp_path / name / "tensorboard" / "version_0")
