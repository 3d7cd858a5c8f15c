"""What a recipe trains on, and what is said of data that nothing can be learned from."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

from torch import nn

import run
from engines.errors import UserError
from tests.cli import fault, main_py
from tests.train.encoder.training import SMALL, make_quick, names_of, write_prepared
from train.backbone.backbone import load_backbone
from train.encoder import fit
from train.encoder.data import alphabets_and_labels, load_data
from train.encoder.recipes import FREE, RECIPES
from train.pictures.prepared import Prepared

EARLIER = RECIPES["default-2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Two sets of one alphabet, and one of its own."""
    names = names_of("one", 2, 3, 2) + names_of("two", 1, 2, 2) + names_of("three", 2, 2, 2)
    return write_prepared(tmp_path / "good.npz", names)


def refused(path: Path, without: list[str] | None = None, recipe=SMALL) -> str:
    with pytest.raises(UserError) as error:
        load_data([path], recipe, without or [])
    message = str(error.value)
    assert "\n" not in message and message.endswith(".")
    return message


def counts(data: Prepared) -> dict[str, int]:
    return {str(name): int((data.sets == name).sum()) for name in np.unique(data.sets)}


def test_a_recipe_takes_the_sets_it_names_without_those_left_out(good: Path) -> None:
    assert counts(load_data([good], SMALL, [])) == {"one": 12, "three": 8, "two": 4}
    assert counts(load_data([good], SMALL, ["three", "two"])) == {"one": 12}
    only = dataclasses.replace(SMALL, only=("three", "elsewhere"))
    assert counts(load_data([good], only, [])) == {"three": 8}


def test_one_subject_is_too_few(tmp_path: Path) -> None:
    path = write_prepared(tmp_path / "x.npz", names_of("one", 1, 3, 2))
    assert refused(path).startswith("All pictures are of one subject, one/person0.")
    assert "<set>/<subject>/<label>/<image>" in refused(path)
    # The same name in two sets is two people.
    both = names_of("one", 1, 3, 2) + names_of("two", 1, 3, 2)
    path = write_prepared(tmp_path / "y.npz", both)
    assert len(load_data([path], SMALL, [])) == 12
    assert "one subject, two/person0" in refused(path, ["one"])


def test_one_label_is_too_few(tmp_path: Path) -> None:
    path = write_prepared(tmp_path / "x.npz", names_of("one", 3, 1, 4))
    assert "too few gestures (signs/A): training needs at least two labels of one set" in refused(
        path
    )


def test_labels_of_one_picture_each_are_too_few(tmp_path: Path) -> None:
    names = [("one", f"person{i}", "ABCDEFG"[i]) for i in range(7)]
    path = write_prepared(tmp_path / "x.npz", names)
    assert "(signs/A, signs/B, signs/C, signs/D, signs/E)" in refused(path)
    # Two labels with two pictures each, but of two alphabets: there is nothing to tell apart.
    names = [("one", "p", "A"), ("one", "q", "A"), ("three", "p", "B"), ("three", "q", "B")]
    assert "too few gestures (signs/A, three/B)" in refused(
        write_prepared(tmp_path / "y.npz", names)
    )


def test_a_label_of_one_picture_is_told(tmp_path: Path, capsys) -> None:
    names = [*names_of("one", 2, 2, 1), ("one", "person0", "Z"), ("three", "person1", "A")]
    path = write_prepared(tmp_path / "x.npz", names)
    assert len(load_data([path], SMALL, [])) == 4
    said = capsys.readouterr().err
    assert said == "Left out, since they have only one picture: signs/Z, three/A.\n"


def test_a_label_may_be_in_one_set_of_an_alphabet_only(tmp_path: Path, capsys) -> None:
    """A has its two pictures from two sets, B and C from one each."""
    names = [
        ("one", "p", "A"),
        ("two", "q", "A"),
        *[("one", "p", "B")] * 2,
        *[("two", "q", "C")] * 2,
    ]
    data = load_data([write_prepared(tmp_path / "x.npz", names)], SMALL, [])
    assert len(data) == 6 and capsys.readouterr().err == ""
    alphabets, labels = alphabets_and_labels(data, SMALL)
    assert set(alphabets) == {"signs"} and "".join(labels) == "AABBCC"


def test_an_unknown_set_left_out_is_a_slip(good: Path) -> None:
    said = refused(good, ["four"])
    assert said == "--without four: the data has no such set; it has one, three, two."


def test_nothing_left_to_train_on(good: Path) -> None:
    said = refused(good, ["one", "two", "three"])
    assert said == "No set is left to train on: the data has one, three, two."
    said = refused(good, recipe=RECIPES["laptop"])
    assert said == (
        f"No set is left to train on: the recipe uses only {', '.join(FREE)}; the data has one, "
        "three, two."
    )


def test_equal_shapes_are_one_class_whatever_their_label(tmp_path: Path) -> None:
    names = [("massey", "p", "0"), ("massey", "p", "O"), ("asl_letters", "q", "O")]
    names += [("massey", "p", "1"), ("digits", "p", "0"), ("digits", "q", "1")]
    data = load_data([write_prepared(tmp_path / "x.npz", names * 2)], EARLIER, [])
    alphabets, labels = alphabets_and_labels(data, EARLIER)
    assert list(labels[:6]) == ["O", "O", "O", "1", "0", "1"]  # only massey's 0 is an O
    assert list(alphabets[:6]) == ["asl"] * 4 + ["digits"] * 2
    unlike = dataclasses.replace(EARLIER, same_shapes={}, alphabets={})
    alphabets, labels = alphabets_and_labels(data, unlike)
    assert list(labels[:6]) == ["0", "O", "O", "1", "0", "1"]
    assert list(alphabets) == list(data.sets)


def trained(path: Path, out: Path, recipe=SMALL, name: str = "small") -> Path:
    return fit.train(name, recipe, [path], [], out)


def test_bad_data_leaves_no_trace(tmp_path: Path, monkeypatch) -> None:
    """What was mistyped once can be said again rightly, with the same --out."""
    path = write_prepared(tmp_path / "x.npz", names_of("one", 1, 3, 2))
    with pytest.raises(UserError, match="All pictures are of one subject"):
        trained(path, tmp_path / "out")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(UserError, match=r"text.npz isn't what `run.py prepare` writes"):
        trained(tmp_path / "text.npz", tmp_path / "out")
    good = write_prepared(tmp_path / "good.npz", names_of("one", 2, 3, 2))
    missing = functools.partial(load_backbone, tmp_path / "no.onnx")
    monkeypatch.setattr(fit, "load_backbone", missing)
    with pytest.raises(UserError, match=r"no.onnx can't be read as the hand network \(.*No such"):
        trained(good, tmp_path / "out")
    assert {file.name for file in tmp_path.iterdir()} == {"x.npz", "text.npz", "good.npz"}


def test_a_folder_of_another_run_is_refused(good: Path, tmp_path: Path, monkeypatch) -> None:
    def stopped(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "load_backbone", nn.Identity)
    monkeypatch.setattr(fit, "load_banks", stopped)
    with pytest.raises(KeyboardInterrupt):
        trained(good, tmp_path / "out")
    assert (tmp_path / "out/run.json").is_file()
    with pytest.raises(KeyboardInterrupt):  # the same goes on
        trained(good, tmp_path / "out")
    others = [
        lambda: trained(good, tmp_path / "out", dataclasses.replace(SMALL, seed=1)),
        lambda: trained(good, tmp_path / "out", name="other"),
        lambda: trained(good.rename(tmp_path / "other.npz"), tmp_path / "out"),
    ]
    for other in others:
        with pytest.raises(UserError, match="out holds a run of another recipe or other data"):
            other()


def test_an_out_that_is_a_file_is_refused(good: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fit, "load_backbone", nn.Identity)
    (tmp_path / "out").write_text("text")
    with pytest.raises(UserError, match="--out .*out can't be written"):
        trained(good, tmp_path / "out")


def command(path: Path, *more: object) -> list[str]:
    return [*map(str, ("train", "--data", path, "--out", path.parent / "out", *more))]


def test_slips_on_the_command_line(good: Path, tmp_path: Path, capsys) -> None:
    slips = {
        "--recipe takes default, laptop, research, default-2": ("--recipe", "large"),
        "--without four: the data has no such set": ("--recipe", "small", "--without", "four"),
        "the recipe uses only digits, asl_photos": ("--recipe", "laptop"),
    }
    for sentence, options in slips.items():
        assert run.main(command(good, *options)) == 1
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
        assert sentence in said.err
    assert [file.name for file in tmp_path.iterdir()] == ["good.npz"]


def test_no_traceback_reaches_the_shell(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("text")
    said = fault(main_py(*command(tmp_path / "text.npz"), cwd=tmp_path))
    assert "text.npz isn't what `run.py prepare` writes" in said
    assert [file.name for file in tmp_path.iterdir()] == ["text.npz"]


def test_no_traceback_reaches_the_shell_from_cross_validation(tmp_path: Path) -> None:
    path = write_prepared(tmp_path / "x.npz", names_of("one", 2, 3, 2))
    options = ("cross-validate", "--data", path, "--out", tmp_path / "out")
    said = fault(main_py(*options, cwd=tmp_path))
    assert "pictures of two people must be left to train on without it" in said
