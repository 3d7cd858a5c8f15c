"""`evaluate --hand left` and `embed --hand left`: either hand, as the encoder sees that one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.hands.cutting import cut_hand, encoder_inputs
from realtime.types import Detection
from tests.cli import fine, hand_picture, main_py, write_png

SIDES = ("left", "right")


def detection(side: str) -> tuple[np.ndarray, Detection]:
    """A noise picture and a made-up hand in it."""
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 2)
    points = rng.normal((160, 120, 0), 20, (21, 3)).astype(np.float32)
    return image, Detection(points, points / 1000, side, 0.9)


def mirrored(image: np.ndarray, hand: Detection) -> tuple[np.ndarray, Detection]:
    flip = np.array([-1, 1, 1], np.float32)
    points = hand.landmarks * flip + np.array([image.shape[1], 0, 0], np.float32)
    other = SIDES[hand.side == "left"]
    return cv2.flip(image, 1), Detection(points, hand.world_landmarks * flip, other, hand.score)


@pytest.mark.parametrize("shown", SIDES)
@pytest.mark.parametrize("side", SIDES)
def test_a_hand_shown_as_the_other_is_its_mirror_image(side: str, shown: str) -> None:
    """Whether the picture is mirrored first or the crop afterwards."""
    image, hand = detection(side)
    seen = cut_hand(image, hand, 96, True, shown=shown)
    assert seen.mirrored == (side != shown)
    view = (image, hand) if side == shown else mirrored(image, hand)
    expected = encoder_inputs([cut_hand(*view, 96, False)])
    found = encoder_inputs([seen])
    assert np.abs(found.crops.astype(int) - expected.crops).mean() < 3  # half a pixel apart
    for name in ("landmarks", "world_landmarks", "turns"):
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)


def test_embed(tmp_path: Path) -> None:
    """All pictures as one hand: a left and a right hand are alike, in either of the two."""
    for side in SIDES:
        write_png(tmp_path / "people" / "L" / f"{side}.png", hand_picture("L", side))
    rows = {}
    for name, words in {"right": [], "left": ["--hand", "left"], "": ["--no-mirror-hands"]}.items():
        options = ("--encoder", "landmarks", "--detector", "engine", "--out", "x.npz", *words)
        fine(main_py("embed", "people", *options, cwd=tmp_path))
        with np.load(tmp_path / "x.npz") as file:
            assert list(file["side"]) == list(SIDES)
            rows[name] = file["embedding"]
    left, right = range(2)
    alike = {name: float(both[left] @ both[right]) for name, both in rows.items()}
    assert min(alike["left"], alike["right"]) > alike[""] + 0.1
    assert rows["left"][left] @ rows[""][left] == pytest.approx(1, abs=1e-5)
    assert rows["right"][right] @ rows[""][right] == pytest.approx(1, abs=1e-5)


def test_one_or_the_other(tmp_path: Path) -> None:
    words = ("evaluate", ".", "--hand", "left", "--no-mirror-hands")
    run = main_py(*words, cwd=tmp_path)
    assert run.returncode == 2 and "not allowed with argument --hand" in run.stderr
