"""Augmented hands: the picture, its landmarks and the world landmarks move as one."""

from __future__ import annotations

import numpy as np
import pytest

from train.pictures import augment as module
from train.pictures.augment import augment, centre_crop
from train.pictures.prepared import MARGIN, STORED_SIZE

BLOB_SD = 1.6  # stored pixels


def flat_hand(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A black crop with a white blob at each of 21 landmarks, far from one another; the same
    points as world landmarks in metres, the wrist at the origin."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(25, 2)
    across = 0.26 + 0.12 * rng.permutation(grid)[:21] + rng.uniform(-0.015, 0.015, (21, 2))
    landmarks = np.column_stack([across, rng.normal(0.0, 0.1, 21)]).astype(np.float32)
    at = ((across - 0.5) / MARGIN + 0.5) * STORED_SIZE
    near = np.exp(-0.5 * ((np.arange(STORED_SIZE) + 0.5 - at[..., None]) / BLOB_SD) ** 2)
    picture = np.einsum("ny,nx->yx", near[:, 1], near[:, 0])  # (21, 2, STORED_SIZE): x, then y
    crop = np.repeat(np.round(255 * picture.clip(0, 1))[..., None], 3, axis=2).astype(np.uint8)
    return crop, landmarks, (landmarks - landmarks[0]) * np.float32(0.2)


def blobs_off(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(21,) pixels between landmarks and the middles of what is white around them."""
    size = picture.shape[1]
    assert np.array_equal(picture[0], picture[1])
    middles = np.empty((21, 2))
    mass = np.empty(21)
    for i, (x, y) in enumerate(landmarks[:, :2] * size):
        reach = 0.045 * size
        rows = np.arange(max(round(y - reach), 0), round(y + reach))
        columns = np.arange(max(round(x - reach), 0), round(x + reach))
        window = picture[0, rows[:, None], columns]
        mass[i] = window.sum()
        middles[i] = (columns + 0.5) @ window.sum(0), (rows + 0.5) @ window.sum(1)
    assert np.all(mass > 0.7 * mass.max()), "each landmark has its own blob"
    return np.linalg.norm(middles / mass[:, None] - landmarks[:, :2] * size, axis=1)


def direction(points: np.ndarray) -> float:
    """Radians of wrist → middle knuckle, x to y."""
    return float(np.arctan2(*(points[9] - points[0])[[1, 0]]))


@pytest.fixture
def only_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_relight", lambda _, picture: picture)
    monkeypatch.setattr(module, "JOINT_SD", 0.0)
    monkeypatch.setattr(module, "WORLD_SD", 0.0)


def test_centre_crop_is_the_inner_part():
    crop = np.random.default_rng(0).integers(0, 256, (STORED_SIZE, STORED_SIZE, 3), np.uint8)
    inner = round(STORED_SIZE / MARGIN)
    edge = (STORED_SIZE - inner) // 2
    middle = crop[edge : edge + inner, edge : edge + inner]
    found = centre_crop(crop, inner)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert np.array_equal(found, (middle.transpose(2, 0, 1) / np.float32(255)))


@pytest.mark.parametrize("size", [96, 128, 160, 224])
def test_at_every_size_landmarks_are_where_the_crop_shows_them(size):
    crop, landmarks, _ = flat_hand()
    assert blobs_off(centre_crop(crop, size), landmarks).max() < 0.2


@pytest.mark.parametrize("size", [128, 160])
@pytest.mark.parametrize(
    "deviations",
    [
        {},
        {"TURN_SD": 1.0, "ZOOM_SD": 0.0, "SHIFT_SD": 0.0},
        {"TURN_SD": 0.0, "ZOOM_SD": 0.2, "SHIFT_SD": 0.0},
        {"TURN_SD": 0.0, "ZOOM_SD": 0.0, "SHIFT_SD": 0.06},
        {"TURN_SD": 0.5, "ZOOM_SD": 0.1, "SHIFT_SD": 0.05},
    ],
)
def test_picture_and_landmarks_move_together(only_geometry, monkeypatch, deviations, size):
    for name, value in deviations.items():
        monkeypatch.setattr(module, name, value)
    crop, landmarks, world = flat_hand()
    moved = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        picture, points, _ = augment(rng, crop, landmarks, world, size)
        assert picture.shape == (3, size, size) and points.shape == (21, 3)
        assert picture.dtype == points.dtype == np.float32
        inside = np.all((points[:, :2] > 0.06) & (points[:, :2] < 0.94))
        if inside:
            assert blobs_off(picture, points).max() < 0.3
            moved.append(np.abs(points - landmarks)[:, :2].max() * size)
    assert len(moved) > 3 and max(moved) > 3


def test_world_landmarks_turn_as_the_picture_does(only_geometry, monkeypatch):
    monkeypatch.setattr(module, "TURN_SD", 0.6)
    crop, landmarks, world = flat_hand()
    assert direction(world) == pytest.approx(direction(landmarks), abs=1e-5)
    turns = []
    for seed in range(8):
        _, points, turned = augment(np.random.default_rng(seed), crop, landmarks, world, 160)
        assert turned.dtype == np.float32
        assert direction(turned) == pytest.approx(direction(points), abs=1e-4)
        turns.append(direction(points) - direction(landmarks))
        # Turned, but neither moved nor zoomed; in the crop depth is zoomed as the rest is.
        assert np.allclose(turned[0], 0, atol=1e-7)
        assert np.allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(world, axis=1))
        assert np.array_equal(turned[:, 2], world[:, 2])
        zoom = np.linalg.norm((points[1:] - points[0])[:, :2], axis=1)
        zoom /= np.linalg.norm((landmarks[1:] - landmarks[0])[:, :2], axis=1)
        assert np.allclose(zoom, zoom[0], rtol=1e-4)
        assert np.allclose(points[:, 2], landmarks[:, 2] * zoom[0], atol=1e-5)
    assert np.ptp(turns) > 0.5


def test_a_turn_is_seen_in_the_picture_with_its_sense(only_geometry, monkeypatch):
    """By hand, apart from the code's own matrices: what stood up leans to one side in all three."""
    monkeypatch.setattr(module, "ZOOM_SD", 0.0)
    monkeypatch.setattr(module, "SHIFT_SD", 0.0)
    monkeypatch.setattr(module, "TURN_SD", 0.3)
    crop = np.zeros((STORED_SIZE, STORED_SIZE, 3), np.uint8)
    crop[40:100, 97:103] = 255  # a bar from the middle upwards
    landmarks = np.full((21, 3), 0.5, np.float32)
    landmarks[9] = 0.5, 0.2, 0.0
    world = np.zeros((21, 3), np.float32)
    world[9] = 0.0, -0.09, 0.0
    leans = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        picture, points, turned = augment(rng, crop, landmarks, world, 160)
        rows, columns = np.nonzero(picture[0, :50] > 0.5)
        to_right = np.sign(columns.mean() - 79.5)
        assert np.sign(points[9, 0] - 0.5) == np.sign(turned[9, 0]) == to_right
        leans.add(to_right)
    assert leans == {-1.0, 1.0}


def test_same_seed_same_view_and_nothing_given_is_changed():
    crop, landmarks, world = flat_hand()
    given = crop.copy(), landmarks.copy(), world.copy()

    def view(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return augment(np.random.default_rng(seed), crop, landmarks, world, 96)

    assert all(map(np.array_equal, view(3), view(3)))
    assert not any(map(np.array_equal, view(3), view(4)))
    assert all(map(np.array_equal, given, (crop, landmarks, world)))


@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_values_stay_in_range_whatever_the_light(kind):
    rng = np.random.default_rng(0)
    shape = (STORED_SIZE, STORED_SIZE, 3)
    crop = {
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "noise": rng.integers(0, 256, shape, np.uint8),
    }[kind]
    _, landmarks, world = flat_hand()
    means = []
    for _ in range(40):
        picture, points, turned = augment(rng, crop, landmarks, world, 96)
        assert picture.dtype == np.float32
        assert (
            np.isfinite(picture).all() and np.isfinite(points).all() and np.isfinite(turned).all()
        )
        assert picture.min() >= 0 and picture.max() <= 1
        means.append(picture.mean((1, 2)))
    assert np.ptp(means, axis=0).min() > 0.02  # light differs in each channel


def test_joints_are_off_by_what_a_detector_is_off(monkeypatch):
    for name in ("TURN_SD", "ZOOM_SD", "SHIFT_SD"):
        monkeypatch.setattr(module, name, 0.0)
    crop, landmarks, world = flat_hand()
    rng = np.random.default_rng(0)
    views = [augment(rng, crop, landmarks, world, 32) for _ in range(60)]
    joints = np.stack([view[1] for view in views]) - landmarks
    metres = np.stack([view[2] for view in views]) - world
    assert np.allclose(joints[..., :2].std((0, 1)), module.JOINT_SD, rtol=0.1)
    assert np.abs(joints[..., 2]).max() < 1e-6
    assert np.allclose(metres.std((0, 1)), module.WORLD_SD, rtol=0.1)
