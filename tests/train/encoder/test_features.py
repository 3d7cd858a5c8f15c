"""Frozen features: made once per set and view, kept, found again, and in the data's order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from realtime.hands.geometry import turns_of
from train.backbone.backbone import FEATURES as WIDTH
from train.backbone.backbone import INPUT_SIZE, Backbone, load_backbone
from train.encoder import features
from train.encoder.features import (
    MIN_PRESENCE,
    SIDES,
    Bank,
    detect,
    join_banks,
    pooled_features,
    real_features,
    synthetic_features,
)
from train.encoder.model import FEATURES, HandFeatures, turn_upright
from train.pictures.augment import augment, centre_crop
from train.pictures.prepared import MARGIN, STORED_SIZE, Prepared, StoredHand, to_arrays
from train.synthetic.pictures import SyntheticPictures, draw_pictures
from train.synthetic.samples import draw_classes

SIZE = 96
VIEWS = 3
SETS = np.array(["b", "a", "b", "c", "a", "b", "c", "c", "a", "b", "a", "b"])


@pytest.fixture(scope="module")
def drawn() -> SyntheticPictures:
    rng = np.random.default_rng(7)  # none of these is taken for the other hand's
    return draw_pictures(rng, draw_classes(rng, 6, "train"), 2, STORED_SIZE, MARGIN)


@pytest.fixture(scope="module")
def data(drawn: SyntheticPictures) -> Prepared:
    """12 hands of three sets that take turns; `first` has their features."""
    hands = [
        StoredHand(
            "right",
            cv2.imencode(".webp", crop[:, :, ::-1])[1].tobytes(),
            landmarks.astype(np.float16),
            joints.astype(np.float16),
            float(angle),
        )
        for crop, landmarks, joints, angle in zip(
            drawn.crops, drawn.landmarks, drawn.samples.joints, drawn.angles, strict=True
        )
    ]
    arrays = to_arrays(hands)
    number = np.arange(len(hands)).astype(str)
    return Prepared(
        arrays["webp"],
        arrays["offsets"],
        arrays["landmarks"].astype(np.float32),
        arrays["world_landmarks"].astype(np.float32),
        arrays["angle"],
        SETS,
        np.char.add(SETS, "/ann"),
        drawn.samples.labels.astype(str),
        np.char.add(number, ".png"),
    )


@pytest.fixture(scope="module")
def trained() -> Backbone:
    return load_backbone()


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


def made(
    data: Prepared, backbone: Backbone, folder: Path, seed: int = 0, side: str = "right"
) -> list[np.ndarray]:
    return real_features(data, backbone, SIZE, VIEWS, seed, folder, side)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.fixture(scope="module")
def first(data, trained, tmp_path_factory) -> tuple[list[np.ndarray], Path]:
    """Features of `data`, and the folder they are in."""
    folder = tmp_path_factory.mktemp("features") / "new" / "folder"
    return made(data, trained, folder), folder


def test_each_row_is_its_own_hand_also_where_sets_take_turns(data, trained, first):
    views, folder = first
    assert len(state(folder)) == 3 * VIEWS
    network = HandFeatures(trained).eval()
    for view, i in itertools.product(range(VIEWS), range(len(data))):
        crop, angle = data.crop(i), float(data.angles[i])
        if view:
            place = int((SETS[:i] == SETS[i]).sum())  # in its set
            crop, angle = augment(np.random.default_rng([0, view, place]), crop, angle, SIZE)
        else:
            crop = centre_crop(crop, SIZE)
        with torch.inference_mode():
            parts = (crop, turns_of([angle])[0])
            _, features = network(*(torch.from_numpy(part)[None] for part in parts))
        assert np.allclose(views[view][i], features[0].numpy(), rtol=2e-3, atol=1e-3)
    for view in views:
        assert view.shape == (len(data), FEATURES) and view.dtype == np.float16
    assert not np.array_equal(views[0], views[1]) and not np.array_equal(views[1], views[2])


def test_a_set_alone_has_the_rows_it_has_among_others(data, trained, first, encoded):
    views, folder = first
    for name in "abc":
        alone = made(data.where(SETS == name), trained, folder)
        assert same(alone, [view[name == SETS] for view in views])
    assert encoded == []


def test_what_was_made_is_found_again(data, trained, first, encoded):
    views, folder = first
    before = state(folder)
    assert same(made(data, trained, folder), views)
    assert same(real_features(data, trained, SIZE, 1, 0, folder, "right"), views[:1])
    assert encoded == [] and state(folder) == before


def test_only_a_set_that_changed_is_made_anew(data, trained, first, tmp_path, encoded):
    before = made(data, trained, tmp_path)
    files = state(tmp_path)
    row = int(np.flatnonzero(SETS == "c")[1])
    angles = data.angles.copy()
    angles[row] += 0.2
    encoded.clear()
    after = made(replace(data, angles=angles), trained, tmp_path)
    assert encoded == [3] * VIEWS
    new = state(tmp_path)
    assert {name: new[name] for name in files} == files
    names = sorted(name.rpartition("-")[0] for name in set(new) - set(files))
    assert names == ["c-right-view0", "c-right-view1", "c-right-view2"]
    for old, view in zip(before, after, strict=True):
        assert np.flatnonzero((old != view).any(1)).tolist() == [row]


def test_another_seed_or_size_or_network_is_another_file_but_view_0_has_no_seed(
    data, trained, tmp_path, encoded
):
    hands = data.where(SETS == "c")
    one = made(hands, trained, tmp_path)
    encoded.clear()
    other = made(hands, trained, tmp_path, seed=1)
    assert encoded == [3] * (VIEWS - 1)
    assert np.array_equal(one[0], other[0])
    assert not np.array_equal(one[1], other[1]) and not np.array_equal(one[2], other[2])
    assert len(state(tmp_path)) == 2 * VIEWS - 1
    real_features(hands, trained, SIZE + 32, 1, 0, tmp_path, "right")
    torch.manual_seed(1)
    real_features(hands, Backbone(), SIZE, 1, 0, tmp_path, "right")
    assert len(state(tmp_path)) == 2 * VIEWS + 1


def test_batches_dont_show_in_the_features(data, trained, first, tmp_path, small_batches):
    for view, old in zip(made(data, trained, tmp_path), first[0], strict=True):
        assert np.allclose(view, old, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_kill_leaves_whole_files_alone_and_the_next_run_goes_on(
    data, trained, tmp_path, monkeypatch, small_batches, at
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
        made(hands, trained, tmp_path)
    left = state(tmp_path)
    assert [name.rpartition("-")[0] for name in left] == ["a-right-view0"] * (at > 2)
    calls.clear()
    at = -1
    views = made(hands, trained, tmp_path)
    assert len(calls) == 2 * (VIEWS - len(left))
    assert {name: state(tmp_path)[name] for name in left} == left
    assert same(views, made(hands, trained, tmp_path / "whole"))


def test_half_a_file_under_a_temporary_name_counts_for_nothing(
    data, trained, first, tmp_path, monkeypatch
):
    def no_room(file, array):
        file.write(b"\x93NUMPY")
        raise OSError(28, "No space left on device")

    hands = data.where(SETS == "c")
    with monkeypatch.context() as patch:
        patch.setattr(features.np, "save", no_room)
        with pytest.raises(UserError, match="can't be written .No space left.*--features"):
            made(hands, trained, tmp_path)
    assert state(tmp_path) == {}
    (tmp_path / ".tmp1234.npy").write_bytes(b"\x93NUMPY")  # of a process that was killed
    assert same(made(hands, trained, tmp_path), [view[SETS == "c"] for view in first[0]])


@pytest.mark.parametrize("keep", [0, 5, 100, 5000])
def test_a_damaged_file_is_named(data, trained, tmp_path, keep):
    hands = data.where(SETS == "c")
    real_features(hands, trained, SIZE, 1, 0, tmp_path, "right")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError) as raised:
        real_features(hands, trained, SIZE, 1, 0, tmp_path, "right")
    assert str(raised.value) == (
        f"{path} is damaged: delete it, and the same command makes it again."
    )
    path.unlink()
    real_features(hands, trained, SIZE, 1, 0, tmp_path, "right")


def test_pooled_features_are_the_networks_own(data, trained, tmp_path):
    found = pooled_features(data, trained, SIZE, tmp_path)
    assert found.shape == (len(data), WIDTH)
    crops = np.stack([centre_crop(data.crop(i), SIZE) for i in range(len(data))])
    with torch.inference_mode():
        expected = trained.pool(torch.from_numpy(crops)).numpy()
    assert np.allclose(found, expected, rtol=2e-3, atol=1e-3)
    before = state(tmp_path)
    assert np.array_equal(pooled_features(data, trained, SIZE, tmp_path), found)
    assert state(tmp_path) == before


@pytest.mark.parametrize("side", SIDES)
def test_drawn_hands_are_detected_where_they_are(drawn, trained, side):
    """Features and certainty are those of the network on the hand as it is shown."""
    features, sure = detect(trained_features(trained), drawn.crops, drawn.angles, INPUT_SIZE, side)
    assert features.shape == (12, FEATURES) and features.dtype == np.float16
    assert sure.dtype == bool and sure.sum() > 3
    for i in np.flatnonzero(sure):
        found, expected = shown(trained, drawn.crops[i], float(drawn.angles[i]), side)
        assert np.allclose(features[i], expected, rtol=2e-3, atol=2e-3)
        assert (found.right[0] > 0) == (side == "right")


def trained_features(backbone: Backbone) -> HandFeatures:
    return HandFeatures(backbone).eval()


def shown(backbone: Backbone, crop: np.ndarray, angle: float, side: str, size: int = INPUT_SIZE):
    """By hand: what the network gives of the stored crop of a right hand, or its mirror image."""
    small = centre_crop(crop if side == "right" else crop[:, ::-1].copy(), size)
    angle = angle if side == "right" else -angle
    turn = torch.tensor([[np.cos(angle), np.sin(angle)]], dtype=torch.float32)
    with torch.inference_mode():
        found, features = trained_features(backbone)(torch.from_numpy(small)[None], turn)
    return found, features[0].numpy()


def complex_of(joints: np.ndarray) -> np.ndarray:
    """(N,): wrist → middle knuckle in the picture."""
    x, y, _ = np.moveaxis(joints[..., 9, :] - joints[..., 0, :], -1, 0)
    return x + 1j * y


@pytest.mark.parametrize("side", SIDES)
def test_what_is_found_lies_where_it_was_drawn(drawn, trained, side):
    _, sure = detect(trained_features(trained), drawn.crops, drawn.angles, INPUT_SIZE, side)
    off, leans = [], []
    for i in np.flatnonzero(sure):
        found, _ = shown(trained, drawn.crops[i], float(drawn.angles[i]), side)
        flip = 1 if side == "right" else -1
        points = found.landmarks[0].numpy() / INPUT_SIZE
        true = (drawn.landmarks[i] - 0.5) * (flip, 1, 1) + 0.5
        off.append(np.linalg.norm((points - true)[:, :2], axis=1))
        angle = flip * float(drawn.angles[i])
        turn = torch.tensor([[np.cos(angle), np.sin(angle)]])
        world = turn_upright(found.world, turn)[0].numpy()  # in the camera's frame, as joints are
        leans.append(
            np.angle(complex_of(world) / complex_of(drawn.samples.joints[i] * (flip, 1, 1)))
        )
    assert np.median(off) < 0.05
    assert np.abs(leans).max() < 0.2 < np.abs(drawn.angles[sure]).max()


def test_a_mirrored_hand_or_none_isnt_seen_as_a_right_one(drawn, trained):
    network = trained_features(trained)

    def seen(crops: np.ndarray, angles: np.ndarray, side: str = "right") -> np.ndarray:
        return detect(network, crops, angles, INPUT_SIZE, side)[1]

    flipped = np.ascontiguousarray(drawn.crops[:, :, ::-1])
    sure = seen(drawn.crops, drawn.angles)
    assert not (sure & seen(flipped, -drawn.angles)).any()
    for side in SIDES:
        assert not seen(np.full_like(drawn.crops, 180), drawn.angles, side).any()
    assert np.array_equal(seen(drawn.crops, drawn.angles, "left"), as_left(network, flipped))


def as_left(network: HandFeatures, crops: np.ndarray) -> np.ndarray:
    """bool (N,): where the network is sure of a left hand."""
    small = torch.from_numpy(np.stack([centre_crop(crop, INPUT_SIZE) for crop in crops]))
    with torch.inference_mode():
        found, _ = network(small, torch.tensor([[1.0, 0.0]]).expand(len(small), -1))
    return ((found.presence > MIN_PRESENCE) & (found.right <= 0)).numpy()


def test_left_hands_are_files_of_their_own(data, trained, first, tmp_path, encoded):
    """The mirror images, turned the other way; augmented views differ, too."""
    views, folder = first
    hands = data.where(SETS == "c")
    left = made(hands, trained, tmp_path, side="left")
    assert encoded == [3] * VIEWS
    for i in range(len(hands)):
        _, expected = shown(trained, hands.crop(i), float(hands.angles[i]), "left", SIZE)
        assert np.allclose(left[0][i], expected, rtol=2e-3, atol=1e-3)
    for one, other in zip(left, views, strict=True):
        assert (one != other[SETS == "c"]).any(1).all()
    assert not set(state(tmp_path)) & set(state(folder))


def bank(
    backbone: Backbone, folder: Path, part: str = "train", seed: int = 0, side: str = "right"
) -> Bank:
    return synthetic_features(backbone, INPUT_SIZE, 6, 3, part, seed, folder, side)


def test_banks_are_joined_row_by_row(trained, tmp_path):
    parts = [bank(trained, tmp_path, side=side) for side in SIDES]
    both = join_banks(parts)
    assert len(both) == len(parts[0]) + len(parts[1])
    assert both.sides.tolist() == [
        s for s, part in zip(SIDES, parts, strict=True) for _ in part.labels
    ]
    for name in ("alphabets", "labels", "subjects", "sets"):
        rows = [getattr(part, name).tolist() for part in parts]
        assert getattr(both, name).tolist() == rows[0] + rows[1]
    for part, here in zip(parts, (slice(len(parts[0])), slice(len(parts[0]), None)), strict=True):
        assert np.array_equal(both.features[0][here], part.features[0])


def test_a_bank_of_drawn_hands(trained, tmp_path, small_batches, encoded):
    one = bank(trained, tmp_path)
    assert 6 < len(one) <= 18
    assert one.features[0].shape == (len(one), FEATURES) and one.features[0].dtype == np.float16
    assert np.isfinite(one.features[0]).all() and len(one.features) == 1
    assert set(one.sides) == {"right"}
    for column in (one.alphabets, one.labels, one.subjects, one.sets, one.sides):
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
        bank(trained, tmp_path, side="left"),
    ]
    assert len(state(tmp_path)) == 4
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
