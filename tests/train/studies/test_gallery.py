"""The gallery study: its parts, its files of pairs, the nearest reference, and all of it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from tests.train.siamese.files import unpacked, zipped
from tests.train.studies.face_files import folders
from train.siamese.networks import SiameseNetwork
from train.siamese.pairs import load_pairs
from train.siamese.pictures import Pictures
from train.studies import gallery
from train.studies.gallery_runs import NAMES, PIXELS, load_parts, name_by_nearest, write_pairs
from train.studies.study import RawPixels, Study


@pytest.mark.parametrize("people", [6, 7, 10, 20])
def test_nobody_is_in_two_parts(tmp_path: Path, people: int) -> None:
    parts = load_parts(zipped(tmp_path / "faces.zip", folders(people, 3)))
    sets = [set(p.labels.tolist()) for p in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == people
    assert min(map(len, sets)) >= 2
    assert parts.test.images.shape[1:] == (105, 105) and parts.test.images.std() > 20


def test_pictures_are_cropped_not_squeezed(tmp_path: Path) -> None:
    """A circle stays one in a tall picture."""
    tall = np.zeros((120, 80), np.uint8)
    cv2.circle(tall, (40, 60), 25, 255, -1)
    files = {
        f"s{p}/{n}.png": cv2.imencode(".png", tall)[1].tobytes() for p in range(6) for n in (1, 2)
    }
    image = load_parts(unpacked(tmp_path / "f", files)).test.images[0] > 127
    height, width = image.any(1).sum(), image.any(0).sum()
    assert abs(int(height) - int(width)) <= 1 and abs(height - 51 * 105 / 80) <= 2


def test_the_saved_pairs_are_those_of_their_part(tmp_path: Path) -> None:
    data = zipped(tmp_path / "faces.zip", folders(12, 4))
    parts = load_parts(data)
    files = write_pairs(Study(data, tmp_path / "out", "minute"), parts)
    assert [path.name for path in files] == ["pairs-train.npz", "pairs-validation.npz"]
    counts = gallery.SIZES["minute"].pairs
    for path, part, count in zip(files, (parts.train, parts.validation), counts, strict=False):
        pictures, pairs = load_pairs(path)
        assert len(pairs) == count and pairs.same.sum() == count // 2
        assert set(pictures.labels) <= set(part.labels)
        known = {image.tobytes() for image in part.images}
        assert all(image.tobytes() in known for image in pictures.images)


def test_the_nearest_reference_names(tmp_path: Path) -> None:
    images = np.zeros((5, 4, 4), np.uint8)
    images[:, 0, 0] = [0, 200, 10, 190, 90]
    labels = np.array(["a", "b", "a", "b", "b"])
    nothing = np.full(5, "")
    pictures = Pictures(images, labels, nothing, nothing, np.arange(5))
    pixels = cast(SiameseNetwork, RawPixels())
    assert name_by_nearest(pixels, pictures, np.array([0, 1])).tolist() == ["a", "b", "a", "b", "a"]
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert RawPixels().compare(features[0], features).tolist() == [0.0, -5.0]


def test_what_a_gallery_can_lack(tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = unpacked(tmp_path / "few", folders(5, 3))
    with pytest.raises(UserError, match="holds 5 people: expected 6 or more"):
        gallery.study(Study(few, out, "minute"))
    singles = unpacked(tmp_path / "singles", folders(5, 3) | folders(4, 1, 9))
    with pytest.raises(UserError, match="holds 5 people: expected 6 or more"):
        gallery.study(Study(singles, out, "minute"))
    with pytest.raises(UserError, match="There is no .*nowhere"):
        gallery.study(Study(tmp_path / "nowhere", out, "minute"))
    assert not out.exists()
    (tmp_path / "file").write_bytes(b"")
    enough = unpacked(tmp_path / "enough", folders(6, 3))
    with pytest.raises(UserError, match="--out .*file can't be written"):
        gallery.study(Study(enough, tmp_path / "file", "minute"))


@pytest.mark.slow
def test_a_study_from_end_to_end(tmp_path: Path) -> None:
    data = zipped(tmp_path / "faces.zip", folders(12, 4))
    study = Study(data, tmp_path / "out", "minute")
    report = gallery.study(study)
    text = (study.out / "report.md").read_text(encoding="utf-8")
    assert report.markdown() == text and (study.out / "report.html").is_file()
    for name in ("nearest", "roc", "distances-contrastive", "distances-triplet", "distances-ours"):
        assert f"({name}.png)" in text
        image = cv2.imread(str(study.out / f"{name}.png"))
        assert image is not None and min(image.shape[:2]) > 300 and image.std() > 5
    assert "pairs.png)" not in text  # no people in the report
    figures = json.loads((study.out / "figures.json").read_text())
    assert [one["name"] for one in figures] == [*NAMES.values(), PIXELS]
    for one in figures:
        share = one["nearest"]
        assert 0 <= share["low"] <= share["value"] <= share["high"] + 1e-9 <= 1 + 1e-9
        assert share["trials"] == 4 * 3  # four people's other pictures
        assert f"{100 * share['value']:.1f} % ({100 * share['low']:.1f}–" in text
    assert figures[-1]["nearest"]["value"] > 0.9  # made-up faces are easy
    before = (study.out / "figures.json").read_bytes()
    gallery.study(study)  # reads everything back
    assert (study.out / "figures.json").read_bytes() == before
