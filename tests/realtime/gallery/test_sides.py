"""References as either hand: which there are for which encoder, and what is embedded of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.spec import NO_POINTS, EncoderInputs, EncoderSpec
from realtime.gallery.cache import cache_name
from realtime.gallery.gallery import Gallery
from realtime.gallery.index import view_keys
from realtime.gallery.item import to_files
from realtime.gallery.record import parse_record
from realtime.hands.geometry import cut, turns_of, upright_square
from tests.realtime.gallery.fixtures import CROP, CountingEncoder, a_reference, with_twins


class OnePass(CountingEncoder):
    """Embeds crop and turn, and keeps what it was given."""

    def __init__(self, fingerprint: str = "e" * 64) -> None:
        super().__init__(fingerprint)
        self.spec = EncoderSpec("seeing-1", ("crop", "turn"), 2 * CROP + 2, crop_size=CROP)
        self.crops: list[np.ndarray] = []
        self.turns: list[np.ndarray] = []

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        self.encoded += len(hands.crops)
        self.crops += [*hands.crops]
        self.turns += [*hands.turns]
        grey = hands.crops.mean(axis=3, dtype=np.float32)
        rows = np.concatenate([grey.mean(axis=1), grey.mean(axis=2), hands.turns], axis=1)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("twin", [False, True])
def test_a_one_pass_encoder_has_each_reference_as_either_hand(
    tmp_path: Path, side: str, twin: bool
) -> None:
    reference = a_reference("A", 3, side)
    gallery, encoder = Gallery(tmp_path), OnePass()
    kept = gallery.add(with_twins(reference) if twin else reference)
    index = gallery.embeddings(encoder)
    assert index.labels == ("A", "A") and index.ids == (kept.id,) * 2
    assert sorted(index.sides) == ["left", "right"]
    assert encoder.encoded == 2 and index.embeddings.shape == (2, encoder.spec.dim)
    # Each as its own picture shows it, unmirrored, with the turn of its own square.
    (own,) = kept.views
    for view, one in ((own, side), (own.mirror(), {"left": "right", "right": "left"}[side])):
        square = upright_square(view.landmarks)
        crop = cut(view.picture, square, CROP, mirror=False)
        expected = OnePass().encode(EncoderInputs(crop[None], *NO_POINTS, turns_of([square.angle])))
        row = index.embeddings[index.sides.index(one)]
        np.testing.assert_allclose(row, expected[0], atol=1e-6)
    assert not np.allclose(index.embeddings[0], index.embeddings[1], atol=1e-3)


def test_without_a_twin_the_other_hand_is_the_mirror_image(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), OnePass()
    gallery.add(a_reference("A", 3))
    gallery.embeddings(encoder)
    one, other = encoder.crops
    # A mirrored crop starts at the square's other corner: one pixel is of each alone.
    away = one[:, 1:].astype(int) - other[:, ::-1][:, :-1]
    assert np.abs(away).max() <= 1 and one.std() > 10
    np.testing.assert_allclose(encoder.turns[0] * (1, -1), encoder.turns[1], atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_hands_that_are_kept_apart_are_there_once(tmp_path: Path, side: str) -> None:
    gallery, encoder = Gallery(tmp_path), OnePass()
    gallery.add(with_twins(a_reference("A", 3, side)))
    both, one = gallery.embeddings(encoder), gallery.embeddings(encoder, mirror_hands=False)
    assert one.labels == ("A",) and one.sides == (side,)
    assert np.array_equal(one.embeddings[0], both.embeddings[both.sides.index(side)])


def test_what_other_encoders_have_says_whose_hand_it_is(tmp_path: Path) -> None:
    """Those see left hands as right ones; the twin's side is the other all the same."""
    gallery = Gallery(tmp_path)
    gallery.add(with_twins(a_reference("A", 1, "left")))
    gallery.add(a_reference("B", 2, "right"))
    index = gallery.embeddings(CountingEncoder())
    assert index.labels == ("A", "A", "B") and sorted(index.sides[:2]) == ["left", "right"]
    assert index.sides[2] == "right"
    assert gallery.embeddings(CountingEncoder(), mirror_hands=False).sides == ("left", "right")


@pytest.mark.parametrize("twin", [False, True])
def test_views_are_known_by_what_they_show(twin: bool) -> None:
    reference = a_reference("A", 3)
    *_, json_file = to_files(with_twins(reference) if twin else reference).values()
    record = parse_record(reference.id, json_file)
    own, other = (record.id, f"{record.digest}-0"), (record.id, f"{record.digest}-0-twin")
    for encoder, both in ((OnePass(), True), (CountingEncoder(), twin)):
        wanted = {own: (0, False), other: (0, True)} if both else {own: (0, False)}
        assert view_keys(record, encoder, True) == wanted
        assert view_keys(record, encoder, False) == {own: (0, False)}


def test_views_are_cached_for_each_encoder_and_way(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), OnePass()
    gallery.add(a_reference("A", 1))
    first = gallery.embeddings(encoder)
    assert encoder.encoded == 2
    gallery.embeddings(encoder, mirror_hands=False)
    assert encoder.encoded == 3
    gallery.embeddings(CountingEncoder())
    gallery.add(a_reference("B", 2))
    again = OnePass()
    index = Gallery(tmp_path).embeddings(again)
    assert again.encoded == 2, "only the new one, as either hand"
    assert np.array_equal(index.embeddings[:2], first.embeddings)
    names = {cache_name(OnePass(), True), cache_name(OnePass(), False)}
    names.add(cache_name(CountingEncoder(), True))
    assert {path.name for path in (tmp_path / ".cache").iterdir()} == names and len(names) == 3


def test_a_reference_of_before_is_there_as_either_hand(tmp_path: Path) -> None:
    """Recorded for an encoder that saw left hands as right ones: the picture is the truth."""
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("A", 1, "left"))
    assert gallery.embeddings(CountingEncoder()).sides == ("left",)
    assert sorted(gallery.embeddings(OnePass()).sides) == ["left", "right"]
