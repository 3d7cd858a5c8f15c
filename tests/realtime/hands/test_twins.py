"""A gesture taught with one hand, known on the other: a reference's twin."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.gallery.gallery import Gallery, Reference
from realtime.hands.cutting import cut_hand, encoder_inputs
from realtime.hands.detector import detect_picture
from realtime.hands.mediapipe_detector import HandDetector
from realtime.live.demo import teach
from realtime.live.enrol import add_twins
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.sources import demo
from realtime.types import Frame
from tests.realtime.gallery.fixtures import (
    CROP,
    CountingEncoder,
    a_hand,
    a_reference,
    reference_of,
)


def a_twin(seed: int = 0, label: str = "A") -> Reference:
    reference = a_reference(label, seed)
    (view,) = reference.views
    rng = np.random.default_rng(seed + 100)
    size = len(view.picture)
    points = rng.normal(size / 2, size / 8, (21, 3)).astype(np.float32)
    world = rng.normal(0, 0.04, (21, 3)).astype(np.float32)
    return dataclasses.replace(reference, views=(dataclasses.replace(view, twin=(points, world)),))


def test_a_twin_survives_the_disk(tmp_path: Path) -> None:
    (kept,) = Gallery(tmp_path).add(a_twin()).views
    (reference,) = Gallery(tmp_path).references()
    (read,) = reference.views
    assert kept.twin is not None and read.twin is not None
    for before, after in zip(kept.twin, read.twin, strict=True):
        assert np.array_equal(before, after)
    assert read.mirror().side == "left"
    assert np.array_equal(read.mirror().picture, cv2.flip(read.picture, 1))


@pytest.mark.parametrize("side", ["left", "right"])
def test_without_a_twin_the_mirror_image_gives_the_same_crop(side: str) -> None:
    (view,) = a_reference("A", 3, side).views
    other = view.mirror()
    assert other.side != side and other.twin is None
    hands = [cut_hand(each.picture, each.detection(), CROP, True) for each in (view, other)]
    crops, landmarks, world, turns = encoder_inputs(hands)
    assert np.abs(crops[0].astype(int) - crops[1]).max() <= 1 and crops[0].std() > 10
    for both in (landmarks, world, turns):
        np.testing.assert_allclose(both[0], both[1], atol=1e-5)


def test_the_index_has_both_hands_only_where_they_are_one(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(a_twin(1, "A"))
    gallery.add(a_reference("B", 2))
    encoder = CountingEncoder()
    assert gallery.embeddings(encoder).labels == ("A", "A", "B")
    assert gallery.embeddings(encoder, mirror_hands=False).labels == ("A", "B")
    assert gallery.labels() == {"A": 1, "B": 1}
    index = gallery.embeddings(encoder)
    assert not np.allclose(index.embeddings[0], index.embeddings[1])


def test_both_views_are_cached(tmp_path: Path) -> None:
    Gallery(tmp_path).add(a_twin(1, "A"))
    first = Gallery(tmp_path).embeddings(CountingEncoder())
    again = CountingEncoder()
    assert np.array_equal(Gallery(tmp_path).embeddings(again).embeddings, first.embeddings)
    assert again.encoded == 0


def test_a_damaged_twin_is_set_aside(tmp_path: Path) -> None:
    Gallery(tmp_path).add(a_twin())
    (path,) = tmp_path.glob("A/2*.json")
    fields = json.loads(path.read_text())
    fields["views"][0]["twin"] = {"landmarks": [[0, 0, 0]]}
    path.write_text(json.dumps(fields))
    assert Gallery(tmp_path).references() == []


def test_a_picture_without_a_hand_gets_no_twin(hand_model_path: Path) -> None:
    reference = reference_of("noise", a_hand())
    (view,) = reference.views
    with HandDetector(hand_model_path, video=False) as detector:
        assert detect_picture(detector, view.picture) is None
        assert add_twins(reference, detector).views[0].twin is None


@pytest.mark.parametrize("encoder", ["default", "landmarks"])
def test_the_other_hand_is_known(tmp_path: Path, encoder: str) -> None:
    """The demo's performer, mirrored: a left hand, where the teacher showed the right one.

    The default encoder knows the drawn hands without twins, too; geometry alone doesn't.
    """
    settings = Settings(camera="demo", gallery=str(tmp_path), encoder=encoder)
    known = {True: 0, False: 0}  # with twins, without
    held = [i for i in range(0, 294) if demo.demo_label(i) and i % 42 in (18, 22, 26, 30)]
    with Recognizer(settings) as recognizer:
        teach(recognizer)
        bare = Gallery(tmp_path / "bare")
        for reference in recognizer.gallery.references():
            views = tuple(dataclasses.replace(view, twin=None) for view in reference.views)
            bare.add(dataclasses.replace(reference, views=views))
        without = Recognizer(dataclasses.replace(settings, gallery=str(tmp_path / "bare")))
        with without:
            for i in held:
                image = np.ascontiguousarray(demo.demo_image(i)[:, ::-1])
                (hand,) = recognizer.detector.detect(Frame(image, i, i / 30))
                assert hand.side == "left"
                known[True] += recognizer.match(hand).label == demo.demo_label(i)
                known[False] += without.match(hand).label == demo.demo_label(i)
    gain = {"default": 0, "landmarks": 10}[encoder]  # of 28
    assert known[True] - known[False] >= gain
    assert known[True] >= 0.8 * len(held)
