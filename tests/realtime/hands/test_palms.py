"""Anchors, boxes and their suppression against slow versions, and where a palm's square lies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.hand_networks import PALM
from realtime.hands.palms import (
    ANCHORS,
    TILT,
    Palm,
    box_overlap,
    decode,
    in_picture,
    letterbox,
    palm_square,
    suppress,
)


def slow_anchors() -> list[tuple[float, float]]:
    """Cell by cell; the second map has three pairs of anchors, one for each of its layers."""
    centres = []
    for stride, layers in ((8, 1), (16, 3)):
        cells = PALM.size // stride
        for row in range(cells):
            for column in range(cells):
                for _ in range(2 * layers):
                    centres.append(((column + 0.5) / cells, (row + 0.5) / cells))
    return centres


def test_the_anchors_are_the_networks() -> None:
    assert ANCHORS.shape == (2016, 2)
    np.testing.assert_allclose(ANCHORS, slow_anchors(), atol=1e-7)


def test_boxes_are_measured_from_their_anchors() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.normal(0, 30, (2016, 18)).astype(np.float32)
    scores = rng.normal(-3, 2, 2016).astype(np.float32)
    found = decode(boxes, scores, 0.5)
    expected = sorted(
        ((1 / (1 + math.exp(-score)), i) for i, score in enumerate(scores) if score >= 0),
        key=lambda pair: -pair[0],
    )
    assert len(found) == len(expected) > 50
    for palm, (score, i) in zip(found, expected, strict=True):
        assert palm.score == pytest.approx(score)
        ax, ay = slow_anchors()[i] if i < 3 else ANCHORS[i]
        x, y, w, h = boxes[i, :4] / 192
        edges = [ax + x - w / 2, ay + y - h / 2, ax + x + w / 2, ay + y + h / 2]
        assert palm.box == pytest.approx(edges, abs=1e-5)
        for k in range(7):
            place = ax + boxes[i, 4 + 2 * k] / 192, ay + boxes[i, 5 + 2 * k] / 192
            assert palm.joints[k] == pytest.approx(place, abs=1e-5)


def test_extreme_scores_and_none() -> None:
    boxes = np.zeros((2016, 18), np.float32)
    assert decode(boxes, np.full(2016, -1e9, np.float32), 0.5) == []
    assert suppress([]) == []
    sure = decode(boxes, np.full(2016, 1e9, np.float32), 0.5)
    assert len(sure) == 2016 and len(suppress(sure[:5])) == 5  # boxes without an area


def some_palms(seed: int, count: int = 30) -> list[Palm]:
    rng = np.random.default_rng(seed)
    palms = []
    for score in sorted(rng.uniform(0.5, 1, count), reverse=True):
        centre, size = rng.choice([0.3, 0.7], 2) + rng.normal(0, 0.03, 2), rng.uniform(0.1, 0.3)
        box = np.concatenate([centre - size / 2, centre + size / 2])
        palms.append(Palm(box, rng.uniform(0, 1, (7, 2)), float(score)))
    return palms


def slow_suppress(palms: list[Palm]) -> list[Palm]:
    left, result = list(palms), []
    while left:
        first = left[0]
        group: list[Palm] = []
        rest: list[Palm] = []
        for palm in left:
            a, b = first.box, palm.box
            width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
            height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
            same = width * height / (areas - width * height) > 0.3
            (group if same else rest).append(palm)
        total = sum(palm.score for palm in group)
        box, joints = np.zeros(4), np.zeros((7, 2))
        for palm in group:
            box += palm.score / total * palm.box
            joints += palm.score / total * palm.joints
        result.append(Palm(box, joints, first.score))
        left = rest
    return result


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_the_slow_one(seed: int) -> None:
    palms = some_palms(seed)
    found, expected = suppress(palms), slow_suppress(palms)
    assert 3 <= len(found) == len(expected) < len(palms)
    for ours, slow in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.box, slow.box, atol=1e-12)
        np.testing.assert_allclose(ours.joints, slow.joints, atol=1e-12)
        assert ours.score == slow.score


def test_overlap() -> None:
    box = np.array([0.0, 0, 2, 2])
    assert box_overlap(box, box) == 1
    assert box_overlap(box, box + 1) == pytest.approx(1 / 7)
    assert box_overlap(box, box + 2) == box_overlap(box, box + 9) == 0
    assert box_overlap(box * 0, box * 0) == 0


@pytest.mark.parametrize("height, width", [(480, 640), (640, 480), (300, 300), (90, 1300)])
def test_the_letterbox_and_back(height: int, width: int) -> None:
    """A dot is where it was after a palm in picture widths is put into the picture."""
    y, x = np.mgrid[:height, :width]
    place = np.array([0.7 * width, 0.4 * height])
    size = min(height, width) / 10
    light = 250 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / size**2)
    image = np.repeat(light[..., None], 3, axis=2).astype(np.uint8)
    picture, side, corner = letterbox(image)
    assert picture.shape == (1, 3, 192, 192) and picture.dtype == np.float32
    assert 0.7 < picture.max() <= 1 and picture.min() == 0
    rows, columns = np.mgrid[:192, :192]
    weight = picture[0, 0] / picture[0, 0].sum()
    middle = np.array([(weight * columns).sum(), (weight * rows).sum()]) / 192
    palm = Palm(np.tile(middle, 2), np.tile(middle, (7, 1)), 1.0)
    back = in_picture(palm, side, corner)
    assert np.abs(back.joints - place).max() < max(height, width) / 192 / 4
    assert np.abs(back.box - np.tile(place, 2)).max() < max(height, width) / 192 / 4


def test_the_colours_change_their_order() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:] = (10, 20, 30)  # BGR
    picture, _, _ = letterbox(image)
    assert (picture[0, :, 96, 96] * 255) == pytest.approx([30, 20, 10], abs=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0, math.pi])
def test_the_square_of_a_palm(angle: float) -> None:
    """Its middle is half a box towards the fingers; it is turned by MediaPipe's tilt as well."""
    joints = np.zeros((7, 2))
    joints[2] = 50 * np.array([math.sin(angle), -math.cos(angle)])
    square = palm_square(Palm(np.array([-40.0, -30, 40, 30]), joints, 1.0))
    assert math.remainder(square.angle - angle - TILT, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    assert square.width == pytest.approx(2.6 * 80)
    up = np.array([math.sin(angle + TILT), -math.cos(angle + TILT)])
    assert (square.x, square.y) == pytest.approx(tuple(30 * up))
    assert 0.46 < TILT < 0.47
