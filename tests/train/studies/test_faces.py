"""The faces study: its data in every layout, its sweep, and all of it once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("optuna", reason="the sweep needs requirements-train.txt")

import optuna

import run
from engines.errors import UserError
from tests.train.siamese.files import encoded, unpacked, zipped
from tests.train.studies.face_files import face, folders, lfw_lists, lfw_pictures
from train.siamese import class_folders
from train.siamese.pairs import Pairs
from train.siamese.pictures import Pictures
from train.studies import face_runs, face_sweep, faces
from train.studies.face_data import LIST_NAMES, Faces, load_faces
from train.studies.face_runs import NAMES, PIXELS
from train.studies.study import Study

PAIRS = (60, 40)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zipped(tmp_path_factory.mktemp("data") / "faces.zip", folders(16, 5))


def check_faces(found: Faces) -> None:
    """Nobody is in two parts, pairs are what they say, and both kinds are everywhere."""

    def check_pairs(pictures: Pictures, pairs: Pairs | None) -> None:
        assert pairs is not None and 0 < pairs.same.sum() < len(pairs)
        same = pictures.labels[pairs.first] == pictures.labels[pairs.second]
        assert np.array_equal(same, pairs.same)
        assert pictures.images.shape[1:] == (105, 105)

    check_pairs(found.test, found.test_pairs)
    assert sorted(found.tasks) == [0.1, 0.2]
    for task in found.tasks.values():
        check_pairs(task.train, task.train_pairs)
        check_pairs(task.validation, task.validation_pairs)
        parts = [set(p.labels.tolist()) for p in (task.train, task.validation, found.test)]
        assert sum(map(len, parts)) == len(set.union(*parts))


def test_a_folder_per_person_gets_lists_as_lfw_has_them(gallery: Path, tmp_path: Path) -> None:
    found = load_faces(gallery, tmp_path / "out", PAIRS)
    check_faces(found)
    assert not found.lfw and found.people == 5  # 30 % of 16
    for name, count in zip(LIST_NAMES, PAIRS, strict=True):
        lines = (tmp_path / "out" / name).read_text().splitlines()
        assert lines[0] == str(count) and len(lines) == 1 + 2 * count
    sizes = {s: (len(t.train_pairs or ()), len(t.validation_pairs)) for s, t in found.tasks.items()}
    assert sizes == {0.2: (96, 24), 0.1: (108, 12)}  # none is lost
    large, small = found.tasks[0.2].validation, found.tasks[0.1].validation
    assert set(small.labels) < set(large.labels)
    again = load_faces(gallery, tmp_path / "again", PAIRS)
    assert np.array_equal(again.test.images, found.test.images)
    for name in LIST_NAMES:
        first, second = (tmp_path / out / name for out in ("out", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_people_with_one_picture_are_left_out(
    tmp_path: Path, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(class_folders, "warn", said.append)
    found = load_faces(gallery, tmp_path / "out", PAIRS)
    more = zipped(tmp_path / "more.zip", folders(16, 5) | folders(30, 1, 100))
    with_more = load_faces(more, tmp_path / "more", PAIRS)
    assert np.array_equal(with_more.test.images, found.test.images)
    assert said == [
        f"30 of 46 classes in {more} have fewer than two pictures, which a pair takes, and are "
        "left out: s100, s101, s102, s103, s104 and 25 more."
    ]


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".JPG"])
def test_faces_are_read_whatever_their_format(tmp_path: Path, suffix: str) -> None:
    files = {
        name.replace(".pgm", suffix): encoded(face(n % 9, n), suffix)
        for n, name in enumerate(folders(9, 3))
    }
    assert load_faces(unpacked(tmp_path / "faces", files), tmp_path / "out", PAIRS).people == 3


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("home", ["lfw2", "lfw2/lfw2", "lfwa", "aligned", "a/b", ""])
def test_lfw_is_found_however_it_was_unpacked(tmp_path: Path, header: bool, home: str) -> None:
    data = lfw_lists(tmp_path / "lfw", range(20), range(20, 26), header)
    unpacked(data / home, lfw_pictures(26, 3))
    found = load_faces(data, tmp_path / "out", PAIRS)
    check_faces(found)
    assert found.lfw and found.people == 6 and not (tmp_path / "out").exists()
    assert "80 pairs of 20 people for training" in found.about


def test_lfw_may_stay_packed(tmp_path: Path) -> None:
    data = lfw_lists(tmp_path / "lfw", range(20), range(20, 26))
    zipped(data / "lfwa.zip", {f"lfw2/{k}": v for k, v in lfw_pictures(26, 3).items()})
    check_faces(load_faces(data, tmp_path / "out", PAIRS))


def test_what_lfw_can_lack(tmp_path: Path) -> None:
    data = lfw_lists(tmp_path / "lfw", range(12), range(12, 16))
    out = tmp_path / "out"
    with pytest.raises(UserError, match="has lists of pairs but no pictures: expected a folder"):
        load_faces(data, out, PAIRS)
    unpacked(data / "lfw2", lfw_pictures(16, 3))
    lfw_lists(data, range(13), range(12, 16))
    with pytest.raises(UserError, match="P_12 is both in .*DevTrain.txt and in .*DevTest.txt"):
        load_faces(data, out, PAIRS)
    lfw_lists(data, range(12), range(12, 17))
    with pytest.raises(UserError, match=r"picture 1 of P_16 isn't in .*lfw2"):
        load_faces(data, out, PAIRS)
    for name in reversed(LIST_NAMES):
        (data / name).unlink()
        with pytest.raises(UserError, match=f"lfw has no {name}"):
            load_faces(data, out, PAIRS)


def test_what_folders_can_lack(tmp_path: Path, gallery: Path) -> None:
    few = unpacked(tmp_path / "few", folders(7, 3))
    with pytest.raises(UserError, match="holds 7 people: expected 8 or more"):
        load_faces(few, tmp_path / "out", PAIRS)
    files = folders(8, 3)
    files["s3/me.pgm"] = files.pop("s3/2.pgm")
    named = unpacked(tmp_path / "named", files)
    with pytest.raises(UserError, match=r"has no picture 2 of s3 \(but s3/me.pgm\).*Rename them"):
        load_faces(named, tmp_path / "out", PAIRS)
    with pytest.raises(UserError, match="There is no .*nowhere"):
        load_faces(tmp_path / "nowhere", tmp_path / "out", PAIRS)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="--out .*file can't be written"):
        load_faces(gallery, tmp_path / "file", PAIRS)


@dataclasses.dataclass
class Trained:
    """Stands for `train`: notes what it is asked for, and fails at the call `dies`."""

    asked: list[tuple[float, int, int]] = dataclasses.field(default_factory=list)
    dies: int = -1

    def __call__(self, recipe, task, out):  # type: ignore[no-untyped-def]
        if len(self.asked) == self.dies:
            self.dies = -1
            raise KeyboardInterrupt
        self.asked.append((recipe.learning_rate, recipe.batch, recipe.epochs))
        auc = 1 - abs(np.log10(recipe.learning_rate) + 3) / 10
        return SimpleNamespace(figures={"AUC": auc, "one-shot": 0.0})


def sweeping(
    monkeypatch: pytest.MonkeyPatch, study: Study, found: Faces, dies: int = -1
) -> tuple[face_sweep.Sweep | None, list[tuple[float, int, int]]]:
    """One start of the sweep, with 6 trials, and what it trained."""
    grid = face_runs.SweepGrid((1e-5, 1e-2), (16, 32), (2, 4), 1, 6)
    size = dataclasses.replace(face_runs.SIZES["minute"], grid=grid)
    monkeypatch.setitem(face_sweep.SIZES, "minute", size)
    trained = Trained(dies=dies)
    monkeypatch.setattr(face_sweep, "train", trained)
    try:
        return face_sweep.run_sweep(
            study, found, face_sweep.open_table(study, found)
        ), trained.asked
    except KeyboardInterrupt:
        return None, trained.asked


def test_a_sweep_goes_on_where_it_was_and_repeats_nothing(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_faces(gallery, tmp_path / "out", PAIRS)
    whole, asked = sweeping(monkeypatch, Study(gallery, tmp_path / "whole", "minute"), found)
    assert whole is not None and len(whole.trials) == 6 and len(set(asked[:6])) == 6
    best = (whole.best.rate, whole.best.batch, whole.best.epochs)
    assert asked[6:] == [best]  # read back
    assert whole.best.value == max(t.value for t in whole.trials)

    study = Study(gallery, tmp_path / "killed", "minute")
    nothing, before = sweeping(monkeypatch, study, found, dies=2)
    assert nothing is None and before == asked[:2]
    resumed, after = sweeping(monkeypatch, study, found)
    assert resumed is not None and len(resumed.trials) == 6
    assert len(after) == 4 + 1 and not set(before) & set(after[:4])
    _, third = sweeping(monkeypatch, study, found)
    assert third == [(resumed.best.rate, resumed.best.batch, resumed.best.epochs)]


def test_machines_share_a_sweep(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_faces(gallery, tmp_path / "out", PAIRS)
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    one, two = (Study(gallery, tmp_path / n, "minute", storage=storage) for n in ("1", "2"))
    nothing, first = sweeping(monkeypatch, one, found, dies=3)
    assert nothing is None
    done, second = sweeping(monkeypatch, two, found)
    assert done is not None and len(first) == 3 and len(second) == 3 + 1
    assert {(t.rate, t.batch, t.epochs) for t in done.trials} == {*first, *second[:3]}
    assert len(optuna.get_all_study_names(storage)) == 1
    other = load_faces(zipped(tmp_path / "other.zip", folders(9, 4, 50)), tmp_path / "o", PAIRS)
    sweeping(monkeypatch, one, other)  # other faces, another sweep
    assert len(optuna.get_all_study_names(storage)) == 2


@pytest.mark.parametrize("storage", ["nonsense", "sqlite:////nowhere/at/all.db"])
def test_a_storage_that_can_not_be_used(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    found = load_faces(gallery, tmp_path / "out", PAIRS)
    study = Study(gallery, tmp_path / "out", "minute", storage=storage)
    with pytest.raises(UserError, match="The sweep's storage .* can't be used .*Correct --storage"):
        sweeping(monkeypatch, study, found)

    def trained(*_: object) -> None:
        pytest.fail("the storage is looked at before anything is trained")

    monkeypatch.setattr(faces, "run_all", trained)
    with pytest.raises(UserError, match="The sweep's storage .* can't be used"):
        faces.study(study)


def test_a_storage_for_a_study_without_a_sweep(tmp_path: Path, capsys) -> None:
    asked = ["study", "gallery", "--data", "faces", "--out", str(tmp_path), "--storage", "x"]
    assert run.main(asked) == 1
    assert "--storage is where a sweep is kept, and gallery has none" in capsys.readouterr().err


def check_report(out: Path, names: list[str]) -> str:
    """→ its text. Every picture is one, and every network and figure is there."""
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "<h1>Faces: the same person?</h1>" in (out / "report.html").read_text(encoding="utf-8")
    for name in ("accuracy.png", "roc.png", "validation.png", "sweep.png"):
        assert f"({name})" in text
        image = cv2.imread(str(out / name))
        assert image is not None and min(image.shape[:2]) > 300 and image.std() > 5
    assert "pairs.png)" not in text  # no people in the report
    for folder in ("full-sgd", "full-adam", "reduced", "reduced-90-10", "ours"):
        assert cv2.imread(str(out / "runs" / folder / "pairs.png")) is not None
    figures = json.loads((out / "figures.json").read_text())
    assert [one["name"] for one in figures["runs"]] == names and len(figures["sweep"]) == 2
    for one in figures["runs"]:
        share = one["verification"]
        assert 0 <= share["low"] <= share["value"] <= share["high"] + 1e-9 <= 1 + 1e-9
        assert f"{100 * share['value']:.1f} % ({100 * share['low']:.1f}–" in text
        assert 0 <= one["auc"] <= 1 and 0 <= one["eer"] <= 1 and one["one-shot"]
    assert "73.2 %" in text
    return text


@pytest.mark.slow
def test_a_study_of_folders_from_end_to_end(gallery: Path, tmp_path: Path) -> None:
    study = Study(gallery, tmp_path / "out", "minute")
    report = faces.study(study)
    text = check_report(study.out, [*NAMES.values(), PIXELS])
    assert report.markdown() == text and "can't be compared" in text
    assert "5-way one-shot" in text and "10-way" not in text  # five people are tested on
    before = (study.out / "figures.json").read_bytes()
    faces.study(study)  # reads everything back
    assert (study.out / "figures.json").read_bytes() == before


@pytest.mark.slow
def test_a_study_of_lfw_from_end_to_end(tmp_path: Path) -> None:
    data = lfw_lists(tmp_path / "lfw", range(24), range(24, 36))
    unpacked(data / "lfw2", lfw_pictures(36, 3))
    study = Study(data, tmp_path / "out", "minute", seeds=2)
    faces.study(study)
    names = [name for key, name in NAMES.items() if key != "best"]
    second = [f"{name}, seed 1" for name in names]
    text = check_report(study.out, [*names, *second, NAMES["best"], PIXELS])
    assert "LFW's own lists" in text and "can't be compared" not in text and "10-way" in text
