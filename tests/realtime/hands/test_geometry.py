"""From landmarks to the upright crop: where every pixel and every joint goes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from realtime.drawn.pose import GESTURES, joints, mirror
from realtime.hands.geometry import (
    PALM_JOINTS,
    bounding_box,
    canonical_world,
    crop_landmarks,
    cut,
    upright_square,
)
from realtime.types import Square

HEIGHT, WIDTH = 180, 240
KNUCKLES = [5, 9, 13, 17]
ANGLES = [0.0, 0.3, math.pi / 2, 2.0, math.pi, -0.7, -math.pi / 2]


def hand(angle: float = 0.0, centre: tuple[float, float] = (120.0, 100.0), name: str = "Victory"):
    """float32 (21, 3) pixels: a hand whose wrist → knuckles is turned clockwise by `angle`."""
    points = joints(GESTURES[name]).astype(float) * 500
    middle = points[list(PALM_JOINTS)].mean(axis=0)
    points = turned(points - middle, angle, (0.0, 0.0)) + (*centre, 0.0)
    return points.astype(np.float32)


def turned(points: np.ndarray, angle: float, about: tuple[float, float]) -> np.ndarray:
    """(N, ≥2) pixels turned clockwise, as seen in a picture whose y points down."""
    x, y = points[:, 0] - about[0], points[:, 1] - about[1]
    result = points.copy()
    result[:, 0] = about[0] + x * math.cos(angle) - y * math.sin(angle)
    result[:, 1] = about[1] + x * math.sin(angle) + y * math.cos(angle)
    return result


def scene(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colours 0…255 at points of the plane, smooth and nowhere symmetric."""
    return 127.5 + 42 * np.stack(
        [
            np.sin(x / 23) + np.cos(y / 31) + np.sin((x + y) / 41),
            np.sin(x / 37 + 1) + np.cos(y / 19) + np.sin((x - 2 * y) / 53),
            np.cos(x / 29) + np.sin(y / 27 + 2) + np.cos((2 * x + y) / 61),
        ],
        axis=-1,
    )


def picture(of: Callable[[np.ndarray, np.ndarray], np.ndarray] = scene) -> np.ndarray:
    """uint8 (H, W, 3): the plane sampled at the pixels' places, which are whole numbers."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    return np.clip(np.round(of(x, y)), 0, 255).astype(np.uint8)


def slow_cut(image: np.ndarray, square: Square, size: int, mirror: bool) -> np.ndarray:
    """Pixel by pixel: its place in the picture, and the four pixels around that."""
    crop = np.zeros((size, size, 3))
    height, width = image.shape[:2]
    cos, sin, step = math.cos(square.angle), math.sin(square.angle), square.width / size
    for row in range(size):
        for column in range(size):
            right = (column - size / 2) * step * (-1 if mirror else 1)
            down = (row - size / 2) * step
            x = square.x + right * cos - down * sin
            y = square.y + right * sin + down * cos
            x0, y0 = math.floor(x), math.floor(y)
            for px, py in ((x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)):
                weight = (1 - abs(x - px)) * (1 - abs(y - py))
                nearest = min(max(py, 0), height - 1), min(max(px, 0), width - 1)
                crop[row, column] += weight * image[nearest][::-1]
    return crop


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "square",
    [
        Square(120, 90, 64, 0.0),
        Square(97.3, 81.6, 90.5, 0.6),
        Square(120.2, 90.9, 40.0, -2.5),
        Square(5.5, 170.1, 100.0, 1.2),  # half of it outside
    ],
)
def test_every_pixel_of_the_crop_comes_from_its_place(square: Square, mirror: bool) -> None:
    image = picture()
    got = cut(image, square, 48, mirror)
    assert got.shape == (48, 48, 3) and got.dtype == np.uint8
    slow = slow_cut(image, square, 48, mirror)
    assert np.abs(got - slow).max() < 1.5  # rounding to a grey level


def test_an_unturned_square_of_its_own_size_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    square = Square(100, 80, 64, 0.0)
    part = image[48:112, 68:132, ::-1]
    assert np.array_equal(cut(image, square, 64, False), part)
    # The square's corner is its first pixel: mirrored or turned over, it starts at the other one.
    assert np.array_equal(cut(image, square, 64, True), image[48:112, 69:133, ::-1][:, ::-1])
    over = dataclasses.replace(square, angle=math.pi)
    turned_over = image[49:113, 69:133, ::-1][::-1, ::-1]
    assert np.array_equal(cut(image, over, 64, False), turned_over)


def test_outside_the_picture_its_border_goes_on() -> None:
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    crop = cut(image, Square(0, 0, 64, 0.0), 64, False)
    assert np.array_equal(crop[32:, 32:], image[:32, :32, ::-1])
    assert (crop[:32, 32:] == image[0, :32, ::-1]).all(), "the first row, again and again"
    assert (crop[32:, :32] == image[:32, :1, ::-1]).all() and (crop[:32, :32] == crop[32, 32]).all()
    assert np.ptp(cut(image, Square(-500, -500, 64, 0.3), 64, False), axis=(0, 1)).max() == 0


def inside(square: Square, size: int) -> np.ndarray:
    """bool (size, size): which of the crop's pixels lie in the picture."""
    wide = np.pad(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), ((400, 400), (400, 400), (0, 0)))
    moved = dataclasses.replace(square, x=square.x + 400, y=square.y + 400)
    return cut(wide, moved, size, False)[..., 0] == 255


@pytest.mark.parametrize("angle", ANGLES)
def test_turning_the_picture_turns_the_crop_back(angle: float) -> None:
    def turned_scene(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        plain = turned(np.column_stack([x.ravel(), y.ravel()]), -angle, (120, 90))
        return scene(plain[:, 0], plain[:, 1]).reshape(*x.shape, 3)

    upright = hand(centre=(118.2, 93.7))
    landmarks = turned(upright, angle, (120, 90))
    expected = cut(picture(), upright_square(upright), 96, False)
    got = cut(picture(turned_scene), upright_square(landmarks), 96, False)
    seen = inside(upright_square(landmarks), 96) & inside(upright_square(upright), 96)
    assert seen.mean() > 0.7 and expected[seen].std() > 20
    difference = np.abs(got.astype(int) - expected.astype(int))[seen]
    assert difference.max() <= 3 and difference.mean() < 0.6
    np.testing.assert_allclose(
        crop_landmarks(landmarks, upright_square(landmarks), False),
        crop_landmarks(upright, upright_square(upright), False),
        atol=1e-4,
    )


@pytest.mark.parametrize("angle", ANGLES)
def test_the_square_points_from_the_wrist_to_the_knuckles(angle: float) -> None:
    plain, square = upright_square(hand()), upright_square(hand(angle))
    difference = square.angle - plain.angle - angle
    assert math.remainder(difference, 2 * math.pi) == pytest.approx(0, abs=1e-4)
    assert square.width == pytest.approx(plain.width, rel=1e-4)
    centre = turned(np.array([[plain.x, plain.y]]), angle, (120, 100))[0]
    assert (square.x, square.y) == pytest.approx(tuple(centre), abs=0.01)
    inside = crop_landmarks(hand(angle), square, False)
    middle = (inside[5] + inside[13] + 2 * inside[9]) / 4
    assert middle[0] == pytest.approx(inside[0, 0], abs=1e-4) and middle[1] < inside[0, 1] - 0.2


def test_the_square_is_twice_the_palm_and_shifted_up() -> None:
    points = np.zeros((21, 3), np.float32)
    points[:, 0] = 100
    points[list(PALM_JOINTS), 1] = np.linspace(
        200, 140, len(PALM_JOINTS)
    )  # a thin hand, wrist at the bottom
    points[[4, 8, 12, 16, 20], 1] = 20  # fingertips don't count
    square = upright_square(points)
    assert square.angle == pytest.approx(0, abs=1e-9)
    assert (square.x, square.y, square.width) == pytest.approx((100, 170 - 6, 120))


def test_bending_fingers_does_not_zoom() -> None:
    tips = [4, 7, 8, 11, 12, 15, 16, 19, 20]
    points = hand()
    bent = points.copy()
    bent[tips] = points[0] + 7.0
    assert upright_square(bent) == upright_square(points)


def test_a_hand_of_one_point_still_has_a_square() -> None:
    square = upright_square(np.full((21, 3), 50.0))
    assert square.width == 1.0 and np.isfinite([square.x, square.y, square.angle]).all()
    assert np.isfinite(crop_landmarks(np.full((21, 3), 50.0), square, True)).all()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.8, -2.2])
def test_a_dot_on_a_joint_is_found_where_crop_landmarks_says(angle: float, mirror: bool) -> None:
    landmarks, size = hand(angle), 200
    square = upright_square(landmarks)
    expected = crop_landmarks(landmarks, square, mirror)
    assert expected.dtype == np.float32
    for joint in (0, 4, 5, 9, 17, 20):
        x, y = landmarks[joint, :2]

        def dot(px: np.ndarray, py: np.ndarray, x=x, y=y) -> np.ndarray:
            light = 250 * np.exp(-((px - x) ** 2 + (py - y) ** 2) / 8)
            return np.repeat(light[..., None], 3, axis=-1)

        crop = cut(picture(dot), square, size, mirror)[..., 0].astype(float)
        rows, columns = np.mgrid[:size, :size]
        found = (crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum()
        assert found == pytest.approx(tuple(expected[joint, :2] * size), abs=0.15)


def test_depth_is_in_crop_widths_too() -> None:
    landmarks = hand(0.4)
    square = upright_square(landmarks)
    inside = crop_landmarks(landmarks, square, False).astype(float)
    real = np.linalg.norm(landmarks[:, None] - landmarks[None], axis=-1) / square.width
    seen = np.linalg.norm(inside[:, None] - inside[None], axis=-1)
    np.testing.assert_allclose(seen, real, atol=1e-5)  # a similarity in all three axes


def test_a_left_hand_is_cut_as_the_right_one() -> None:
    image, right = picture(), hand(0.5)
    left = right * (-1, 1, 1) + np.array([WIDTH - 1, 0, 0], np.float32)
    flipped = np.ascontiguousarray(image[:, ::-1])
    expected = cut(image, upright_square(right), 96, False).astype(int)
    got = cut(flipped, upright_square(left), 96, True).astype(int)
    assert np.abs(got - expected).max() <= 1 and expected.std() > 20
    np.testing.assert_allclose(
        crop_landmarks(left, upright_square(left), True),
        crop_landmarks(right, upright_square(right), False),
        atol=1e-5,
    )
    world = joints(GESTURES["OK"])
    assert np.array_equal(canonical_world(mirror(world), True), world)
    assert np.array_equal(canonical_world(world, False), world)
    assert canonical_world(world, True).dtype == np.float32


def test_the_box_is_where_the_joints_are() -> None:
    landmarks = hand(1.0)
    x0, y0, x1, y1 = bounding_box(landmarks)
    assert bounding_box(landmarks).dtype == np.float32
    assert (x0, y0) == (min(landmarks[:, 0]), min(landmarks[:, 1]))
    assert (x1, y1) == (max(landmarks[:, 0]), max(landmarks[:, 1]))
