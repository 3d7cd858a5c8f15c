"""The gallery where nothing goes wrong: what is recorded is what comes back."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from engines.encoder import ENCODERS, open_encoder
from engines.errors import UserError
from engines.spec import EncoderInputs
from realtime.gallery import reference as gallery_reference
from realtime.gallery.gallery import Gallery
from realtime.gallery.item import to_files
from realtime.hands.cutting import cut_hand
from realtime.hands.geometry import canonical_world, upright_square
from tests.realtime.gallery.fixtures import (
    CROP,
    CountingEncoder,
    a_hand,
    a_reference,
    files_in,
    reference_of,
    same,
)


def test_a_recording_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "new" / "gallery")
    assert gallery.references() == [] and gallery.labels() == {} and not gallery.folder.exists()
    added = [gallery.add(a_reference(label, i)) for i, label in enumerate(["b", "a", "b"])]
    read = Gallery(gallery.folder).references()
    assert [r.label for r in read] == ["a", "b", "b"]
    assert same(read[0], added[1]) and same(read[1], added[0]) and same(read[2], added[2])
    view = read[1].views[0]
    assert view.picture.dtype == np.uint8 and view.landmarks.dtype == np.float32
    assert gallery.labels() == {"a": 1, "b": 2}
    assert (gallery.folder / "b" / f"{added[0].id}.png").is_file()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("size", [0.5, 12, 60, 150])
@pytest.mark.parametrize("centre", [(160.3, 121.7), (20.9, 100.2), (310, 235)])
def test_the_stored_picture_gives_the_crop_of_the_frame(
    tmp_path: Path, side: str, size: float, centre: tuple[float, float]
) -> None:
    image, hand = a_hand(3, side, size, centre)
    gallery = Gallery(tmp_path)
    gallery.add(reference_of("x", (image, hand)))
    (view,) = gallery.references()[0].views
    again = cut_hand(view.picture, view.detection(), CROP, True)
    difference = np.abs(again.crop.astype(int) - hand.crop.astype(int))
    assert difference.max() <= 1 and again.mirrored == (side == "left")
    assert hand.crop.std() > 10  # not merely one colour


def test_the_picture_is_the_frame_unmirrored(tmp_path: Path) -> None:
    image, hand = a_hand(1, "left")
    (view,) = reference_of("x", (image, hand)).views
    square = upright_square(view.landmarks)
    half = len(view.picture) / 2
    assert half == math.ceil(square.width)
    assert max(abs(square.x - half), abs(square.y - half)) <= 0.501
    shift = (hand.landmarks - view.landmarks)[0]
    assert shift[0] == round(shift[0]) and shift[1] == round(shift[1]) and shift[2] == 0
    x, y, k = int(shift[0]), int(shift[1]), len(view.picture)
    y1, x1 = min(y + k, 240), min(x + k, 320)
    y0, x0 = max(y, 0), max(x, 0)
    assert np.array_equal(view.picture[y0 - y : y1 - y, x0 - x : x1 - x], image[y0:y1, x0:x1])


def test_large_hands_are_shrunk_with_their_landmarks(tmp_path: Path) -> None:
    image, hand = a_hand(2, size=700, centre=(800, 700), frame=(1400, 1600))
    reference = Gallery(tmp_path).add(reference_of("x", (image, hand)))
    (view,) = reference.views
    assert view.picture.shape == (1024, 1024, 3)
    again = cut_hand(view.picture, view.detection(), CROP, True)
    # The noise is averaged, but what is where stays: compare with the frame shrunk by cut.
    assert abs(float(again.crop.mean()) - float(hand.crop.mean())) < 2
    span = np.ptp(hand.landmarks, axis=0) / np.ptp(view.landmarks, axis=0)
    assert np.allclose(span, span[0], rtol=1e-4) and span[0] > 1
    assert same(Gallery(tmp_path).references()[0], reference)


def test_replacing_keeps_the_new_one_only(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    for label in ["x", "x", "y"]:
        gallery.add(a_reference(label))
    added = gallery.add(a_reference("x", 9), replace=True)
    assert gallery.labels() == {"x": 1, "y": 1} and same(gallery.references()[0], added)
    assert len(list((tmp_path / "x").iterdir())) == 3


def test_an_id_is_given_once(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    reference = gallery.add(a_reference("x"))
    again = gallery.add(dataclasses.replace(reference, label="y"))
    assert again.id != reference.id and len(gallery.ids()) == 2
    gallery.delete_reference(reference.id)
    assert gallery.add(reference).id == reference.id  # undoing a deletion keeps it


def test_the_newest_is_the_newest_whatever_the_clock_says(tmp_path: Path) -> None:
    """References of a day to come, as after the clock was set back; some are in the trash."""
    gallery = Gallery(tmp_path)
    ahead = dataclasses.replace(a_reference("x"), id="21260102-030405-678901-0a1b2c3d")
    further = dataclasses.replace(a_reference("x"), id="21270102-030405-678901-0a1b2c3d")
    gallery.add_files("x", ahead.id, to_files(ahead))
    gallery.add_files("x", further.id, to_files(further))
    gallery.delete_reference(further.id)
    recorded = [gallery.add(a_reference("y", seed)) for seed in range(2)]
    gallery.undo()
    assert max(gallery.ids()) == recorded[1].id
    again = Gallery(tmp_path)  # another start of the program
    assert again.add(a_reference("z")).id == max(again.ids())
    assert all(r.recorded_at < "2126" for r in recorded)


@pytest.mark.parametrize("moment", ["99991231-235959-999999", "99999999-999999-999999"])
def test_ids_behind_the_end_of_time(tmp_path: Path, moment: str) -> None:
    gallery = Gallery(tmp_path)
    ahead = dataclasses.replace(a_reference("x"), id=f"{moment}-0a1b2c3d")
    gallery.add_files("x", ahead.id, to_files(ahead))
    assert gallery.add(a_reference("x")).id != ahead.id and len(gallery.references()) == 2


def test_ids_sort_as_recorded() -> None:
    ids = [gallery_reference.new_id() for _ in range(500)]
    assert ids == sorted(ids) and len(set(ids)) == 500


def test_renaming_and_deleting(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    first, second = gallery.add(a_reference("x")), gallery.add(a_reference("x"))
    gallery.add(a_reference("y"))
    gallery.rename("x", "X")  # only the case differs: the same folder on some systems
    assert gallery.labels() == {"X": 2, "y": 1}
    assert {p.name for p in tmp_path.iterdir()} == {"X", "y"}
    for old, new in [("x", "z"), ("X", "y"), ("X", "X"), ("X", " ")]:
        with pytest.raises(UserError):
            gallery.rename(old, new)
    with pytest.raises(UserError, match="'X', 'y'"):
        gallery.delete("nothing")
    gallery.delete_reference(first.id)
    assert gallery.labels() == {"X": 1, "y": 1}
    gallery.delete_reference(second.id)
    assert gallery.labels() == {"y": 1} and not (tmp_path / "X").exists()
    with pytest.raises(UserError):
        gallery.delete_reference(second.id)
    gallery.delete("y")
    with pytest.raises(UserError, match="empty"):
        gallery.delete("y")
    assert files_in(tmp_path) == set()


def test_the_stamp_tells_every_change(tmp_path: Path) -> None:
    mine, theirs = Gallery(tmp_path / "g"), Gallery(tmp_path / "g")
    stamps = [mine.stamp()]

    def changed() -> bool:
        stamps.append(mine.stamp())
        return stamps[-1] not in stamps[:-1]

    reference = theirs.add(a_reference("x"))
    assert changed()
    theirs.add(a_reference("x"))
    assert changed()
    theirs.add(a_reference("y"))
    assert changed()
    theirs.rename("y", "z")
    assert changed()
    theirs.delete_reference(reference.id)
    assert changed()
    theirs.delete("z")
    assert changed()
    mine.embeddings(CountingEncoder())
    assert not changed()  # a cache is no change


def test_embeddings_are_those_of_the_live_hands(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    hands = []
    for seed, side in enumerate(["left", "right", "left"]):
        image, hand = a_hand(seed, side)
        gallery.add(reference_of(f"g{seed}", (image, hand)))
        hands.append(hand)
    index = gallery.embeddings(encoder)
    assert index.labels == ("g0", "g1", "g2") and index.sides == ("left", "right", "left")
    assert index.ids == tuple(r.id for r in gallery.references())
    seen = EncoderInputs(
        np.stack([h.crop for h in hands]),
        np.zeros((3, 21, 3), np.float32),
        np.stack([canonical_world(h.world_landmarks, h.mirrored) for h in hands]),
        np.zeros((3, 2), np.float32),
    )
    live = encoder.encode(seen)
    assert index.embeddings.dtype == np.float32 and np.allclose(index.embeddings, live, atol=1e-2)
    straight = gallery.embeddings(encoder, mirror_hands=False).embeddings
    assert np.array_equal(straight[1], index.embeddings[1])
    assert not np.allclose(straight[0], index.embeddings[0], atol=1e-2)


def test_nothing_is_encoded_twice(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    assert gallery.embeddings(encoder).embeddings.shape == (0, 8) and not list(tmp_path.iterdir())
    for seed in range(20):
        gallery.add(a_reference("xy"[seed % 2], seed))
    first = gallery.embeddings(encoder)
    assert encoder.encoded == 20
    again = Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 20 and np.array_equal(first.embeddings, again.embeddings)
    gallery.rename("x", "z")
    gallery.delete_reference(first.ids[-1])
    gallery.add(a_reference("z", 99))
    changed = Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 21 and changed.labels == ("y",) * 9 + ("z",) * 11
    other = CountingEncoder(fingerprint="f" * 16 + "0" * 48)  # the same file name, another encoder
    assert len(Gallery(tmp_path).embeddings(other).ids) == 20 and other.encoded == 20


@pytest.mark.skipif(not ENCODERS["landmarks"].is_file(), reason="the encoder isn't exported yet")
def test_embeddings_of_the_shipped_encoder(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("x", 1))
    gallery.add(a_reference("y", 2))
    encoder = open_encoder("landmarks")
    index = gallery.embeddings(encoder)
    assert index.embeddings.shape == (2, encoder.spec.dim)
    assert np.array_equal(Gallery(tmp_path).embeddings(encoder).embeddings, index.embeddings)
