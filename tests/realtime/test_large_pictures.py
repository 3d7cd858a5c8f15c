"""Pictures larger than OpenCV's warps take: they would abort the process."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from engines.encoder import open_encoder
from realtime.hands.detector import MOST_PADDED, Detector, detect_all, detect_picture
from realtime.hands.geometry import MOST_WARPED, cut, thin
from realtime.hands.opening import open_detector
from realtime.types import Detection, Frame, Square
from tests.cli import hand_picture

engine = functools.partial(open_detector, "engine", video=False)


class Noting:
    """A detector that notes the sizes that it is shown, and finds nothing."""

    engine, stages_ms, skip_still = "test", dict[str, float](), False

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        self.shapes.append(image.shape)
        return []

    def detect(self, frame: Frame) -> list:
        raise AssertionError("single pictures go another way")

    def close(self) -> None: ...

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("shape", [(17000, 1080), (1080, 17000), (40000, 4), (6000, 8000), (1, 1)])
def test_what_is_looked_at_is_bounded_with_its_border(shape: tuple[int, int]) -> None:
    noting = Noting()
    assert detect_all(noting, np.zeros((*shape, 3), np.uint8)) == []
    assert len(noting.shapes) == 5
    assert max(max(each) for each in noting.shapes) <= MOST_PADDED + 4  # each side is rounded


@pytest.mark.parametrize("one_pass", [False, True])
@pytest.mark.parametrize("border", [0.0, 0.5, 1.0])
def test_a_hand_is_found_where_it_is_in_a_large_picture(one_pass: bool, border: float) -> None:
    small = hand_picture("L")
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    encoder = open_encoder("default") if one_pass else None
    with open_detector("engine", encoder, video=False) as detector:
        (expected,) = detect_all(detector, small, (border,))
        (found,) = detect_all(detector, large, (border,))
    hand = float(np.ptp(expected.landmarks[:, :2], axis=0).max())
    assert np.abs(found.landmarks / 8 - expected.landmarks).max() < 0.04 * hand
    if one_pass:
        assert expected.look is not None and found.look is not None
        squares = found.look.square, expected.look.square
        for name in ("x", "y", "width"):
            one, other = (getattr(square, name) for square in squares)
            assert one / 8 == pytest.approx(other, abs=0.04 * hand)
        assert found.look.embedding @ expected.look.embedding > 0.98


@pytest.mark.parametrize("shape", [(40000, 300), (300, 40000)])
def test_frames_and_pictures_of_any_length_are_looked_at(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    with engine() as detector:
        assert detect_picture(detector, image) is None
        assert detector.detect(Frame(image, 0, 0.0)) == []
    with open_detector("engine", video=True) as tracking:
        assert tracking.detect(Frame(image, 0, 0.0)) == []


def test_a_crop_of_a_very_long_picture_shows_its_part() -> None:
    side = 3 * MOST_WARPED
    image = np.zeros((64, side, 3), np.uint8)
    image[:, side // 2 :] = 200
    assert thin(image)[1] == 3 and thin(image[:, :MOST_WARPED])[1] == 1
    for width in (40.0, 4.0 * side):  # a part of it, and all of it
        crop = cut(image, Square(side / 2, 32, width, 0.0), 64, mirror=False)
        assert (crop[32, :28] == 0).all() and (crop[32, 36:] == 200).all()
