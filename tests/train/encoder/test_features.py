"""Frozen features: made once per set and view, kept, found again, and in the data's order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from train.backbone.backbone import FEATURES as WIDTH
from train.backbone.backbone import Backbone, load_backbone
from train.encoder import features
from train.encoder.features import (
    Bank,
    detect,
    pooled_features,
    real_features,
    synthetic_features,
)
from train.encoder.model import FEATURES, HandFeatures
from train.pictures.augment import centre_crop
from train.pictures.prepared import MARGIN, STORED_SIZE, Prepared, StoredHand, to_arrays
from train.synthetic.pictures import SyntheticPictures, draw_pictures
from train.synthetic.samples import draw_classes

SIZE = 96
VIEWS = 3
SETS = np.array(["b", "a", "b", "c", "a", "b", "c", "c", "a", "b", "a", "b"])


@pytest.fixture(scope="module")
def drawn() -> SyntheticPictures:
    rng = np.random.default_rng(0)
    return draw_pictures(rng, draw_classes(rng, 6, "train"), 2, STORED_SIZE, MARGIN)


@pytest.fixture(scope="module")
def data(drawn: SyntheticPictures) -> Prepared:
    """12 hands of three sets that take turns."""
    hands = [
        StoredHand(
            "right",
            cv2.imencode(".webp", crop[:, :, ::-1])[1].tobytes(),
            landmarks.astype(np.float16),
            joints.astype(np.float16),
        )
        for crop, landmarks, joints in zip(
            drawn.crops, drawn.landmarks, drawn.samples.joints, strict=True
        )
    ]
    arrays = to_arrays(hands)
    number = np.arange(len(hands)).astype(str)
    return Prepared(
        arrays["webp"],
        arrays["offsets"],
        arrays["landmarks"].astype(np.float32),
        arrays["world_landmarks"].astype(np.float32),
        SETS,
        np.char.add(SETS, "/ann"),
        drawn.samples.labels.astype(str),
        np.char.add(number, ".png"),
    )


@pytest.fixture(scope="module")
def untrained() -> Backbone:
    torch.manual_seed(0)
    return Backbone().eval()


@pytest.fixture(scope="module")
def trained(hand_model_path: Path) -> Backbone:
    return load_backbone(hand_model_path)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BATCH", 2)
    monkeypatch.setattr(features, "CLASSES_AT_ONCE", 4)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many hands each call of the network saw; encoded.clear() forgets them."""
    counts: list[int] = []
    encode = features._encode

    def noting(network, *inputs):
        counts.append(len(inputs[0]))
        return encode(network, *inputs)

    monkeypatch.setattr(features, "_encode", noting)
    return counts


def state(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def made(data: Prepared, backbone: Backbone, folder: Path, seed: int = 0) -> list[np.ndarray]:
    return real_features(data, backbone, SIZE, VIEWS, seed, folder)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.fixture(scope="module")
def first(data, untrained, tmp_path_factory) -> tuple[list[np.ndarray], Path]:
    """Features of `data`, and the folder they are in."""
    folder = tmp_path_factory.mktemp("features") / "new" / "folder"
    return made(data, untrained, folder), folder


def test_each_row_is_its_own_hand_also_where_sets_take_turns(data, untrained, first):
    views, folder = first
    assert len(state(folder)) == 3 * VIEWS
    network = HandFeatures(untrained).eval()
    for i in range(len(data)):
        inputs = centre_crop(data.crop(i), SIZE), data.landmarks[i], data.world_landmarks[i]
        with torch.inference_mode():
            alone = network(*(torch.from_numpy(part)[None] for part in inputs))[0].numpy()
        assert np.allclose(views[0][i], alone, rtol=2e-3, atol=1e-3)
    for view in views:
        assert view.shape == (len(data), FEATURES) and view.dtype == np.float16
        # Augmented or not, a hand is most like itself.
        apart = np.linalg.norm(view[:, None, -270:] - views[0][None, :, -270:], axis=2)
        assert apart.argmin(1).tolist() == list(range(len(data)))
    assert not np.array_equal(views[0], views[1]) and not np.array_equal(views[1], views[2])


def test_a_set_alone_has_the_rows_it_has_among_others(data, untrained, first, encoded):
    views, folder = first
    for name in "abc":
        alone = made(data.where(SETS == name), untrained, folder)
        assert same(alone, [view[name == SETS] for view in views])
    assert encoded == []


def test_what_was_made_is_found_again(data, untrained, first, encoded):
    views, folder = first
    before = state(folder)
    assert same(made(data, untrained, folder), views)
    assert same(real_features(data, untrained, SIZE, 1, 0, folder), views[:1])
    assert encoded == [] and state(folder) == before


def test_only_a_set_that_changed_is_made_anew(data, untrained, first, tmp_path, encoded):
    before = made(data, untrained, tmp_path)
    files = state(tmp_path)
    row = int(np.flatnonzero(SETS == "c")[1])
    world = data.world_landmarks.copy()
    world[row, 8] += 0.02
    encoded.clear()
    after = made(replace(data, world_landmarks=world), untrained, tmp_path)
    assert encoded == [3] * VIEWS
    new = state(tmp_path)
    assert {name: new[name] for name in files} == files
    assert sorted(name[:7] for name in set(new) - set(files)) == ["c-view0", "c-view1", "c-view2"]
    for old, view in zip(before, after, strict=True):
        assert np.flatnonzero((old != view).any(1)).tolist() == [row]


def test_another_seed_or_size_or_network_is_another_file_but_view_0_has_no_seed(
    data, untrained, tmp_path, encoded
):
    hands = data.where(SETS == "c")
    one = made(hands, untrained, tmp_path)
    encoded.clear()
    other = made(hands, untrained, tmp_path, seed=1)
    assert encoded == [3] * (VIEWS - 1)
    assert np.array_equal(one[0], other[0])
    assert not np.array_equal(one[1], other[1]) and not np.array_equal(one[2], other[2])
    assert len(state(tmp_path)) == 2 * VIEWS - 1
    real_features(hands, untrained, SIZE + 32, 1, 0, tmp_path)
    torch.manual_seed(1)
    real_features(hands, Backbone(), SIZE, 1, 0, tmp_path)
    assert len(state(tmp_path)) == 2 * VIEWS + 1


def test_batches_dont_show_in_the_features(data, untrained, first, tmp_path, small_batches):
    for view, old in zip(made(data, untrained, tmp_path), first[0], strict=True):
        assert np.allclose(view, old, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_kill_leaves_whole_files_alone_and_the_next_run_goes_on(
    data, untrained, tmp_path, monkeypatch, small_batches, at
):
    """Four hands in two batches per view: 1 and 2 fall into view 0, 4 into view 1."""
    hands = data.where(SETS == "a")
    calls: list[int] = []
    encode = features._encode

    def killed(network, *inputs):
        calls.append(len(inputs[0]))
        if len(calls) == at:
            raise KeyboardInterrupt
        return encode(network, *inputs)

    monkeypatch.setattr(features, "_encode", killed)
    with pytest.raises(KeyboardInterrupt):
        made(hands, untrained, tmp_path)
    left = state(tmp_path)
    assert [name[:7] for name in left] == ["a-view0"] * (at > 2)
    calls.clear()
    at = -1
    views = made(hands, untrained, tmp_path)
    assert len(calls) == 2 * (VIEWS - len(left))
    assert {name: state(tmp_path)[name] for name in left} == left
    assert same(views, made(hands, untrained, tmp_path / "whole"))


def test_half_a_file_under_a_temporary_name_counts_for_nothing(
    data, untrained, first, tmp_path, monkeypatch
):
    def no_room(file, array):
        file.write(b"\x93NUMPY")
        raise OSError(28, "No space left on device")

    hands = data.where(SETS == "c")
    with monkeypatch.context() as patch:
        patch.setattr(features.np, "save", no_room)
        with pytest.raises(UserError, match="can't be written .No space left.*--features"):
            made(hands, untrained, tmp_path)
    assert state(tmp_path) == {}
    (tmp_path / ".tmp1234.npy").write_bytes(b"\x93NUMPY")  # of a process that was killed
    assert same(made(hands, untrained, tmp_path), [view[SETS == "c"] for view in first[0]])


@pytest.mark.parametrize("keep", [0, 5, 100, 5000])
def test_a_damaged_file_is_named(data, untrained, tmp_path, keep):
    hands = data.where(SETS == "c")
    real_features(hands, untrained, SIZE, 1, 0, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError) as raised:
        real_features(hands, untrained, SIZE, 1, 0, tmp_path)
    assert str(raised.value) == (
        f"{path} is damaged: delete it, and the same command makes it again."
    )
    path.unlink()
    real_features(hands, untrained, SIZE, 1, 0, tmp_path)


def test_pooled_features_are_the_networks_own(data, untrained, tmp_path):
    found = pooled_features(data, untrained, SIZE, tmp_path)
    assert found.shape == (len(data), WIDTH)
    crops = np.stack([centre_crop(data.crop(i), SIZE) for i in range(len(data))])
    with torch.inference_mode():
        expected = untrained.pool(torch.from_numpy(crops)).numpy()
    assert np.allclose(found, expected, rtol=2e-3, atol=1e-3)
    before = state(tmp_path)
    assert np.array_equal(pooled_features(data, untrained, SIZE, tmp_path), found)
    assert state(tmp_path) == before


def complex_of(joints: np.ndarray) -> np.ndarray:
    """(N,): wrist → middle knuckle in the picture."""
    x, y, _ = np.moveaxis(joints[:, 9] - joints[:, 0], -1, 0)
    return x + 1j * y


def test_drawn_hands_are_detected_where_they_are(drawn, trained):
    (small, landmarks, world), sure = detect(trained, drawn.crops, drawn.angles, SIZE)
    assert small.shape == (12, 3, SIZE, SIZE) and small.dtype == np.float32
    assert world.shape == landmarks.shape == (12, 21, 3) and sure.dtype == bool
    assert sure.sum() > 3
    off = np.linalg.norm((landmarks - drawn.landmarks)[sure][..., :2], axis=2)
    assert np.median(off) < 0.05
    true, found = drawn.samples.joints[sure], world[sure]  # both in the camera's frame
    lean = np.angle(complex_of(found) / complex_of(true))
    assert np.abs(lean).max() < 0.2 < np.abs(drawn.angles[sure]).max()


def test_a_mirrored_hand_or_none_isnt_seen_as_a_right_one(drawn, trained):
    sure = detect(trained, drawn.crops, drawn.angles, SIZE)[1]
    flipped = np.ascontiguousarray(drawn.crops[:, :, ::-1])
    assert not (sure & detect(trained, flipped, -drawn.angles, SIZE)[1]).any()
    assert not detect(trained, np.full_like(drawn.crops, 180), drawn.angles, SIZE)[1].any()


def bank(backbone: Backbone, folder: Path, part: str = "train", seed: int = 0) -> Bank:
    return synthetic_features(backbone, SIZE, 6, 3, part, seed, folder)


def test_a_bank_of_drawn_hands(trained, tmp_path, small_batches, encoded):
    one = bank(trained, tmp_path)
    assert 6 < len(one) <= 18
    assert one.features[0].shape == (len(one), FEATURES) and one.features[0].dtype == np.float16
    assert np.isfinite(one.features[0]).all() and len(one.features) == 1
    for column in (one.alphabets, one.labels, one.subjects, one.sets):
        assert column.shape == (len(one),) and column.dtype.kind == "U"
    assert set(one.alphabets) == set(one.sets) == {"synthetic"}
    assert set(one.labels) <= set("012345") and len(set(one.labels)) > 3
    assert set(one.subjects) <= set("012")
    pairs = list(zip(one.labels, one.subjects, strict=True))
    assert len(set(pairs)) == len(one), "each person shows each gesture once"
    assert len(np.unique(one.features[0], axis=0)) == len(one)

    encoded.clear()
    again = bank(trained, tmp_path)
    assert encoded == []
    (path,) = tmp_path.iterdir()
    path.unlink()
    anew = bank(trained, tmp_path)
    for other in (again, anew):
        assert same(other.features, one.features)
        assert np.array_equal(other.labels, one.labels)
        assert np.array_equal(other.subjects, one.subjects)


def test_banks_of_other_parts_and_seeds_are_others(trained, tmp_path):
    banks = [
        bank(trained, tmp_path),
        bank(trained, tmp_path, seed=1),
        bank(trained, tmp_path, "held_out"),
    ]
    assert len(state(tmp_path)) == 3
    for i, one in enumerate(banks):
        for other in banks[:i]:
            apart = (one.features[0][:, None] != other.features[0][None]).any(2)
            assert apart.all()


def test_a_damaged_bank_is_named(trained, tmp_path):
    bank(trained, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="is damaged: delete it"):
        bank(trained, tmp_path)
