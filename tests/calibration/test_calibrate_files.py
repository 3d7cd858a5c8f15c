"""calibrate from the .npz files that embed writes: no picture is looked at again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from calibration.threshold import GALLERY_SIZE
from engines.errors import UserError
from realtime.hands.detector import Detector
from realtime.measuring.evaluate import calibrate
from realtime.measuring.folder import PictureHands, save_embeddings
from tests.realtime.gallery.fixtures import CountingEncoder

SIX = ["ann", "bea", "cy", "dan", "eve", "fay"]
LABELS = [f"sign {i}" for i in range(16)]


class UnitEncoder(CountingEncoder):
    """Never encodes here: what counts is its spec and its fingerprint."""

    def __init__(self, fingerprint: str = "f" * 64) -> None:
        super().__init__(fingerprint)
        self.spec = dataclasses.replace(self.spec, dim=16)


def people(names: list[str], seed: int = 0, spread: float = 0.12) -> PictureHands:
    """Six pictures of each label by each person; a fifth of them without a hand."""
    rng = np.random.default_rng(seed)
    paths = [f"{name}/{label}/{i}.png" for name in names for label in LABELS for i in range(6)]
    shared = {label: rng.normal(size=16) for label in LABELS}
    own = {(n, label): 0.3 * rng.normal(size=16) for n in names for label in LABELS}
    centres = {(n, label): shared[label] + offset for (n, label), offset in own.items()}
    vectors = np.array([centres[p.split("/")[0], p.split("/")[1]] for p in paths])
    vectors += spread * rng.normal(size=vectors.shape) * np.linalg.norm(vectors, axis=1)[:, None]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = rng.random(len(paths)) > 0.2
    vectors[~found] = np.nan
    points = np.zeros((len(paths), 21, 3), np.float32)
    sides = np.where(found, "right", "")
    boxes = np.zeros((len(paths), 4), np.float32)
    return PictureHands(paths, found, sides, points, points, boxes, [vectors.astype(np.float32)])


def no_detector() -> Detector:
    raise AssertionError("no picture is to be looked at")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "set.npz"
    save_embeddings(people(SIX), UnitEncoder(), path)
    return path


def test_a_calibration_from_embeddings(saved: Path) -> None:
    calibration = calibrate([saved], UnitEncoder(), no_detector, 0.05)
    found = int(people(SIX).found.sum())
    assert calibration.fitted_on == (
        f"{found} pictures of 6 people from set, within each person and across people, of equal "
        "weight"
    )
    assert calibration.fingerprint == "f" * 64 and calibration.far == 0.05
    assert calibration.report["false_accepts"] <= 0.05
    assert calibration.report["correct_accepts"] > 0.5
    assert calibration == calibrate([saved], UnitEncoder(), no_detector, 0.05)


def test_people_of_the_same_name_in_two_files_are_two(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "set.npz"
    save_embeddings(people(SIX, seed=1), UnitEncoder(), other)
    calibration = calibrate([saved, other], UnitEncoder(), no_detector, 0.05)
    assert " 12 people from set, set" in calibration.fitted_on
    # One person's two ways of a sign would be taken for each other's only by chance.
    assert calibration.report["correct_accepts"] > 0.5


def test_pictures_are_counted_not_how_often_they_are_drawn(tmp_path: Path) -> None:
    save_embeddings(people(SIX[:2]), UnitEncoder(), tmp_path / "two.npz")
    with pytest.raises(UserError, match="at least 100 pictures .* got [0-9]{2} and [0-9]{2}[.]"):
        calibrate([tmp_path / "two.npz"], UnitEncoder(), no_detector, 0.05)


def test_only_some_labels(saved: Path) -> None:
    with pytest.raises(UserError, match=f"more than {GALLERY_SIZE} gestures"):
        calibrate([saved], UnitEncoder(), no_detector, 0.05, only=LABELS[:GALLERY_SIZE])
    fewer = calibrate([saved], UnitEncoder(), no_detector, 0.05, only=LABELS[:15])
    hands = people(SIX)
    count = sum(
        f and p.split("/")[1] in LABELS[:15] for f, p in zip(hands.found, hands.paths, strict=True)
    )
    assert fewer.fitted_on.startswith(f"{count} pictures")
    assert fewer.fitted_on.endswith(", labels " + ", ".join(LABELS[:15]))


def test_embeddings_of_another_encoder_are_refused(saved: Path) -> None:
    with pytest.raises(UserError, match="set.npz was embedded by another encoder"):
        calibrate([saved], UnitEncoder("e" * 64), no_detector, 0.05)


@pytest.mark.parametrize("far", [0.0, 1.0, 0.5, 0.31, -0.1, float("nan")])
def test_a_rate_that_is_none_is_told(saved: Path, far: float) -> None:
    with pytest.raises(UserError, match="--far is a rate between 0 and 1.*; got"):
        calibrate([saved], UnitEncoder(), no_detector, far)


def test_all_needs_are_told_at_once(tmp_path: Path) -> None:
    save_embeddings(people(["ann"]), UnitEncoder(), tmp_path / "few.npz")
    with pytest.raises(UserError, match="at least 100 pictures .* at least 500 are needed"):
        calibrate([tmp_path / "few.npz"], UnitEncoder(), no_detector, 0.01)


def test_a_source_that_adds_nothing_is_named(saved: Path, tmp_path: Path, capsys) -> None:
    small = people(["gus"], seed=3)
    few = np.flatnonzero([path.split("/")[1] in LABELS[:5] for path in small.paths])
    rows = {
        field.name: np.array(getattr(small, field.name))[few]
        for field in dataclasses.fields(small)
        if field.name not in ("paths", "embeddings")
    }
    paths, vectors = [small.paths[i] for i in few], [small.embeddings[0][few]]
    save_embeddings(
        PictureHands(**rows, paths=paths, embeddings=vectors), UnitEncoder(), tmp_path / "few.npz"
    )
    both = calibrate([saved, tmp_path / "few.npz"], UnitEncoder(), no_detector, 0.1)
    alone = calibrate([saved], UnitEncoder(), no_detector, 0.1)
    assert both == alone  # in what it says of itself, too
    assert "few.npz adds nothing to the calibration" in capsys.readouterr().err.replace("\n", " ")


def test_sources_that_are_none_are_told(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path / "notes.txt", tmp_path / "missing"):
        with pytest.raises(UserError, match="calibrate takes folders of pictures, or .npz"):
            calibrate([path], UnitEncoder(), no_detector, 0.05)
    with pytest.raises(UserError, match="missing.npz isn't what `run.py embed` writes"):
        calibrate([saved, tmp_path / "missing.npz"], UnitEncoder(), no_detector, 0.05)


def test_damaged_embeddings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    small = people(["ann"])
    first = {f.name: getattr(small, f.name)[:4] for f in dataclasses.fields(small)}
    first["embeddings"] = [small.embeddings[0][:4]]
    save_embeddings(PictureHands(**first), UnitEncoder(), path)
    whole = path.read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "strange.npz", path=np.zeros(3))
    np.savez(tmp_path / "objects.npz", path=np.array([{}, None], object), allow_pickle=True)
    damaged = [
        (tmp_path / name).read_bytes() for name in ("array.npy", "strange.npz", "objects.npz")
    ]
    damaged += [b"", b"PK\3\4", b"hello", *(whole[:n] for n in range(0, len(whole), 97))]
    rng = np.random.default_rng(0)
    flips = []
    for place in rng.choice(len(whole), 300, replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        flips.append(bytes(flipped))

    def said(data: bytes) -> bool:
        path.write_bytes(data)
        with pytest.raises(UserError) as caught:  # of few pictures, where nothing is wrong
            calibrate([path], UnitEncoder(), no_detector, 0.05)
        return "isn't what `run.py embed` writes" in str(caught.value)

    assert not said(whole)
    assert all(said(data) for data in damaged)
    assert sum(said(data) for data in flips) > 100  # headers hold bits that nobody reads


def test_embeddings_are_written_whole_or_not_at_all(saved: Path, tmp_path: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(UserError, match="can't be written"):
        save_embeddings(people(["ann"]), UnitEncoder(), tmp_path / "missing" / "x.npz")
    broken = dataclasses.replace(people(["ann"]), boxes=cast(np.ndarray, Unsaveable()))
    with pytest.raises(RuntimeError, match="cut short"):
        save_embeddings(broken, UnitEncoder(), saved)
    assert saved.read_bytes() == before and list(tmp_path.iterdir()) == [saved]


class Unsaveable:
    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("cut short")
