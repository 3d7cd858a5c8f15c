"""Augmented hands: the crop's picture and its angle move as one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from train.pictures import augment as module
from train.pictures.augment import augment, centre_crop
from train.pictures.prepared import MARGIN, STORED_SIZE

BLOB_SD = 2.0  # stored pixels
DOTS = np.array([[0.37, 0.66], [0.41, 0.35], [0.68, 0.52]])  # x, y in widths of the encoder's crop


def dotted() -> np.ndarray:
    """A black stored crop with a dot in each channel, far from one another."""
    at = ((DOTS - 0.5) / MARGIN + 0.5) * STORED_SIZE
    near = np.exp(-0.5 * ((np.arange(STORED_SIZE) + 0.5 - at[..., None]) / BLOB_SD) ** 2)
    crop = np.einsum("cy,cx->yxc", near[:, 1], near[:, 0])  # (3, 2, STORED_SIZE): x, then y
    return np.round(255 * crop).astype(np.uint8)


def dots_in(picture: np.ndarray) -> np.ndarray:
    """(3, 2) x, y of the dots of float32 (3, size, size), in its widths."""
    size = picture.shape[1]
    places, total = (np.arange(size) + 0.5) / size, picture.sum((1, 2))
    assert (total > 0).all(), "each dot is in the picture"
    return np.stack([picture.sum(1) @ places / total, picture.sum(2) @ places / total], axis=1)


def as_complex(points: np.ndarray) -> np.ndarray:
    """x + iy: multiplying by e^iφ turns clockwise, as seen in a picture whose y points down."""
    return points[:, 0] + 1j * points[:, 1]


@pytest.fixture
def only_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_relight", "_degrade"):
        monkeypatch.setattr(module, name, lambda _, picture: picture)


def test_centre_crop_is_the_inner_part():
    crop = np.random.default_rng(0).integers(0, 256, (STORED_SIZE, STORED_SIZE, 3), np.uint8)
    inner = round(STORED_SIZE / MARGIN)
    edge = (STORED_SIZE - inner) // 2
    middle = crop[edge : edge + inner, edge : edge + inner]
    found = centre_crop(crop, inner)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert np.array_equal(found, (middle.transpose(2, 0, 1) / np.float32(255)))


@pytest.mark.parametrize("size", [96, 128, 160, 224])
def test_at_every_size_what_is_shown_is_where_it_was(size):
    assert np.abs(dots_in(centre_crop(dotted(), size)) - DOTS).max() * size < 0.2


@pytest.mark.parametrize("size", [128, 224])
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
def test_what_is_shown_turns_against_the_crop(only_geometry, monkeypatch, deviations, size):
    """A crop that is turned further shows the hand turned back: in the camera's frame it stays."""
    for name, value in deviations.items():
        monkeypatch.setattr(module, name, value)
    before, given = as_complex(DOTS), 0.7
    moved, turns = [], []
    for seed in range(6):
        picture, angle = augment(np.random.default_rng(seed), dotted(), given, size)
        assert picture.shape == (3, size, size) and picture.dtype == np.float32
        after = as_complex(dots_in(picture))
        both = (after[1:] - after[0]) / (before[1:] - before[0])
        assert both[0] == pytest.approx(both[1], abs=0.02), "a similarity"
        assert np.angle(both.mean()) == pytest.approx(given - angle, abs=0.01)
        moved.append(np.abs(after - before).max() * size)
        turns.append(angle - given)
    assert max(moved) > 3
    assert (np.ptp(turns) > 0.1) == (module.TURN_SD > 0)


def test_zoom_and_shift_are_as_wide_as_they_say(only_geometry, monkeypatch):
    monkeypatch.setattr(module, "TURN_SD", 0.0)
    zooms, shifts = [], []
    before = as_complex(DOTS - 0.5)
    for seed in range(80):
        after = as_complex(
            dots_in(augment(np.random.default_rng(seed), dotted(), 0.0, 96)[0]) - 0.5
        )
        zoom = abs((before[1] - before[0]) / (after[1] - after[0]))
        zooms.append(math.log(zoom))
        shift = (before - zoom * after).mean()
        shifts += [shift.real, shift.imag]
    assert np.std(zooms) == pytest.approx(module.ZOOM_SD, rel=0.25)
    assert np.std(shifts) == pytest.approx(module.SHIFT_SD, rel=0.25)


def test_a_turn_is_seen_in_the_picture_with_its_sense(only_geometry, monkeypatch):
    """By hand, apart from the code's own matrices: what stood up leans to one side."""
    monkeypatch.setattr(module, "ZOOM_SD", 0.0)
    monkeypatch.setattr(module, "SHIFT_SD", 0.0)
    monkeypatch.setattr(module, "TURN_SD", 0.3)
    crop = np.zeros((STORED_SIZE, STORED_SIZE, 3), np.uint8)
    middle = STORED_SIZE // 2
    crop[56:middle, middle - 4 : middle + 4] = 255  # a bar from the middle upwards
    leans = set()
    for seed in range(6):
        picture, angle = augment(np.random.default_rng(seed), crop, 0.0, 160)
        rows, columns = np.nonzero(picture[0, :50] > 0.5)
        to_right = np.sign(columns.mean() - 79.5)
        # The camera sees it upright: where it leans to the right, the crop's up is to the left.
        assert to_right == -np.sign(angle)
        leans.add(to_right)
    assert leans == {-1.0, 1.0}


def test_same_seed_same_view_and_nothing_given_is_changed():
    crop = dotted()
    given = crop.copy()

    def view(seed: int) -> tuple[np.ndarray, float]:
        return augment(np.random.default_rng(seed), crop, 0.4, 96)

    (one, angle), (again, same), (other, another) = view(3), view(3), view(4)
    assert np.array_equal(one, again) and angle == same
    assert not np.array_equal(one, other) and angle != another
    assert np.array_equal(crop, given)


def test_styles_vary_and_leave_the_hand_where_it_is():
    """About a third is grey and some are coarse; the picture's middle stays where it was."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (STORED_SIZE, STORED_SIZE, 3), np.uint8)
    plain = centre_crop(noise, 128)
    styled = [module._degrade(np.random.default_rng(seed), plain) for seed in range(200)]
    grey = [np.ptp(picture, axis=0).max() < 0.1 for picture in styled]
    assert 0.2 < np.mean(grey) < 0.5
    detail = [np.abs(np.diff(picture, axis=2)).mean() for picture in styled]
    assert min(detail) < 0.3 * max(detail)
    blob = np.zeros((STORED_SIZE, STORED_SIZE, 3), np.uint8)
    blob[100:140, 120:180] = 200
    before = dots_in(centre_crop(blob, 128))
    for seed in range(40):
        after = dots_in(module._degrade(np.random.default_rng(seed), centre_crop(blob, 128)))
        assert np.abs(after - before).max() < 0.02  # of the crop's width


@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_values_stay_in_range_whatever_the_light(kind):
    rng = np.random.default_rng(0)
    shape = (STORED_SIZE, STORED_SIZE, 3)
    crop = {
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "noise": rng.integers(0, 256, shape, np.uint8),
    }[kind]
    means = []
    for _ in range(40):
        picture, angle = augment(rng, crop, 0.0, 96)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all() and math.isfinite(angle)
        assert picture.min() >= 0 and picture.max() <= 1
        means.append(picture.mean((1, 2)))
    assert np.ptp(means, axis=0).min() > 0.02  # light differs in each channel
