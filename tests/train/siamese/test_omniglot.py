"""Omniglot's own files, whole, partly there, damaged and mistaken for each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from tests.train.siamese.files import drawing, encoded, picture, real_data, unpacked, zipped
from train.siamese import omniglot
from train.siamese.omniglot import find_part, load_part, load_runs

CHARACTERS = ("Greek/character01", "Greek/character02", "Latin/character01")


def part() -> dict[str, bytes]:
    """Column 20 c + d is drawn by drawer d + 1 of character c."""
    return {
        f"images_background/{name}/{c:04}_{d + 1:02}.png": drawing(20 * c + d)
        for c, name in enumerate(CHARACTERS)
        for d in range(20)
    }


def runs() -> dict[str, bytes]:
    """In run r item i shows class (i + r) % 20, counted from 0."""
    files: dict[str, bytes] = {}
    for r in range(20):
        lines = []
        for i in range(20):
            answer = (i + r) % 20
            files[f"run{r + 1:02}/training/class{i + 1:02}.png"] = drawing(i)
            files[f"run{r + 1:02}/test/item{i + 1:02}.png"] = drawing(answer)
            item, answer_name = f"item{i + 1:02}.png", f"class{answer + 1:02}.png"
            lines.append(f"run{r + 1:02}/test/{item} run{r + 1:02}/training/{answer_name}\n")
        files[f"run{r + 1:02}/class_labels.txt"] = "".join(lines).encode()
    return files


def test_a_part_has_bright_ink_and_its_names(tmp_path: Path) -> None:
    files = part() | {"__MACOSX/images_background/Greek/character01/._0000_01.png": b"x"}
    found = load_part(zipped(tmp_path / "images_background.zip", files))
    assert found.images.shape == (60, 105, 105) and found.images.dtype == np.uint8
    columns = np.argmax(found.images[:, 0], axis=1)
    assert np.array_equal(columns, np.arange(60))
    assert np.all(found.images.sum(axis=(1, 2)) == 105 * 255)  # a stroke on black
    assert found.labels.tolist() == np.repeat(CHARACTERS, 20).tolist()
    assert found.groups.tolist() == ["Greek"] * 40 + ["Latin"] * 20
    assert found.subjects[:20].tolist() == [f"{d:02}" for d in range(1, 21)]
    assert np.array_equal(found.order, np.tile(np.arange(20), 3))


@pytest.mark.parametrize("inner", ["", "images_background"])
def test_an_unpacked_part_is_the_same(tmp_path: Path, inner: str) -> None:
    folder = unpacked(tmp_path / "unpacked", part())
    (folder / ".DS_Store").write_bytes(b"x")
    found = load_part(folder / inner)
    packed = load_part(zipped(tmp_path / "a.zip", part()))
    assert np.array_equal(found.images, packed.images)
    assert np.array_equal(found.labels, packed.labels)


FIRST = "images_background/Greek/character01/0000_01.png"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({FIRST: drawing(0, 28)}, f"{FIRST}.* 28 × 28 px.*105 × 105"),
        ({FIRST: encoded(255 * np.eye(105, dtype=np.uint8))}, f"{FIRST}.*bright on dark"),
        ({FIRST: b"no picture"}, f"{FIRST}.*can't be read"),
        ({FIRST: b""}, f"{FIRST}.*empty file"),
        ({FIRST: None}, "Greek/character01 has 19 drawings"),
        ({"images_evaluation/Magi/character01/0001_01.png": drawing(0)}, "several parts"),
    ],
)
def test_a_part_that_is_wrong_is_refused(tmp_path: Path, change: dict, says: str) -> None:
    files = {name: data for name, data in (part() | change).items() if data is not None}
    with pytest.raises(UserError, match=says):
        load_part(zipped(tmp_path / "part.zip", files))


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_a_part_is_read_as_it_was_unpacked_and_strays_are_named(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(omniglot, "warn", said.append)
    strays = {"images_background/readme.png": drawing(0), "images_background/b.png": drawing(0)}
    files = part() | strays
    if form == "zip":
        zipped(tmp_path / "images_background.zip", files)
    else:
        unpacked(tmp_path, files)
    found = load_part(find_part(tmp_path, "images_background"))
    plain = load_part(zipped(tmp_path / "plain.zip", part()))
    assert np.array_equal(found.images, plain.images)
    assert np.array_equal(found.labels, plain.labels)
    (sentence,) = said
    assert f"2 of {len(part()) + 2} pictures" in sentence and "readme.png" in sentence


@pytest.mark.parametrize("load", [load_part, load_runs])
def test_what_is_no_zip_is_refused(tmp_path: Path, load) -> None:
    with pytest.raises(UserError, match="There is no"):
        load(tmp_path / "missing.zip")
    whole = zipped(tmp_path / "a.zip", part() if load is load_part else runs()).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"no whole \.zip"):
        load(tmp_path / "cut.zip")
    (tmp_path / "flipped.zip").write_bytes(whole[:80] + b"\0" * 200 + whole[280:])
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path / "flipped.zip")
    with pytest.raises(UserError, match="isn't Omniglot's"):
        load(zipped(tmp_path / "other.zip", {"faces/s1/1.pgm": picture(0)}))
    with pytest.raises(UserError, match="isn't Omniglot's"):
        load(zipped(tmp_path / "empty.zip", {}))


def test_a_part_and_the_runs_are_not_mistaken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="isn't Omniglot's images_background.zip"):
        load_part(zipped(tmp_path / "runs.zip", runs()))
    with pytest.raises(UserError, match="isn't Omniglot's all_runs.zip"):
        load_runs(zipped(tmp_path / "part.zip", part()))


@pytest.mark.parametrize("root", ["", "all_runs/"])
def test_the_runs_have_their_answers(tmp_path: Path, root: str) -> None:
    files = {f"{root}{name}": data for name, data in runs().items()}
    files[f"__MACOSX/{root}run01/class_labels.txt"] = b"x"
    found = load_runs(zipped(tmp_path / "all_runs.zip", files))
    assert len(found) == 20
    for r, run in enumerate(found):
        assert run.support.shape == run.query.shape == (20, 105, 105)
        assert np.array_equal(run.answers, (np.arange(20) + r) % 20)
        assert np.array_equal(run.support[run.answers], run.query)
        assert run.support[0].sum() == 105 * 255


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run20/class_labels.txt": None}, "run20/class_labels.txt is missing"),
        ({"run07/test/item20.png": None}, "run07/test/item20.png is missing"),
        ({"run07/training/class01.png": drawing(0, 50)}, "run07/training/class01.png.*50 × 50"),
        (
            {"run02/class_labels.txt": b"run02/test/item01.png\n"},
            "run02/class_labels.txt.*20 lines",
        ),
        (
            {"run02/class_labels.txt": runs()["run02/class_labels.txt"].replace(b"ss02", b"ss21")},
            "run02/class_labels.txt.*damaged",
        ),
        (
            {"run02/class_labels.txt": runs()["run02/class_labels.txt"].replace(b"em02", b"em01")},
            "run02/class_labels.txt.*damaged",
        ),
    ],
)
def test_runs_that_are_wrong_are_refused(tmp_path: Path, change: dict, says: str) -> None:
    files = {name: data for name, data in (runs() | change).items() if data is not None}
    with pytest.raises(UserError, match=says):
        load_runs(zipped(tmp_path / "all_runs.zip", files))


def test_the_real_runs() -> None:
    found = load_runs(real_data("omniglot/all_runs.zip"))
    assert [sorted(run.answers) for run in found] == [list(range(20))] * 20
    assert found[0].answers[:3].tolist() == [7, 8, 1]
    assert all(0 < run.support.mean() < 64 for run in found)


def test_the_real_evaluation_part() -> None:
    found = load_part(real_data("omniglot/images_evaluation.zip"))
    assert len(found) == 13180 and len(np.unique(found.labels)) == 659
    assert len(np.unique(found.groups)) == 20 and 0 < found.images.mean() < 64
