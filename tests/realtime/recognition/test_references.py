"""A gallery that changes under a running loop: nothing waits, and what comes in is whole."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.spec import EncoderInputs
from realtime.gallery.gallery import Gallery
from realtime.live.burst import Shot
from realtime.live.enrol import enrol
from realtime.recognition import references as beside
from realtime.recognition.recognizer import Recognizer
from realtime.recognition.references import References
from realtime.settings import Settings
from realtime.types import Frame
from tests.cli import PATIENCE_S, hand_picture, teach
from tests.realtime.gallery.fixtures import CountingEncoder, a_reference

HAND = hand_picture("Victory")


class Slow(CountingEncoder):
    """On the thread beside the loop it embeds nothing until `gate` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.asked = threading.Event(), threading.Event()
        self.batches: list[tuple[bool, int]] = []  # whether beside the loop, and how many views

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        is_beside = threading.current_thread() is not threading.main_thread()
        self.batches.append((is_beside, len(hands.crops)))
        if is_beside:
            self.asked.set()
            assert self.gate.wait(PATIENCE_S)
        return super().encode(hands)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(beside, "LOOK_AGAIN_S", 0.0)
    encoder = Slow()
    yield encoder
    encoder.gate.set()


def until_another(references: References) -> tuple[str, ...]:
    """The ids of the next index that poll gives."""
    pause = threading.Event()
    while (index := references.poll()) is None:
        pause.wait(0.001)
    return index.ids


def test_poll_returns_while_the_thread_embeds(tmp_path: Path, encoder: Slow) -> None:
    mine, other = Gallery(tmp_path), Gallery(tmp_path)
    references = References(mine, encoder, mirror_hands=True)
    first = mine.add(a_reference("first"))
    assert references.read().ids == (first.id,)
    added = [other.add(a_reference(f"label {i % 7}", i)).id for i in range(40)]
    while not encoder.asked.is_set():
        assert references.poll() is None
    assert references.poll() is None is references.poll()  # it stands still, the loop doesn't
    encoder.gate.set()
    assert sorted(until_another(references)) == sorted([first.id, *added])  # all at once
    assert encoder.encoded == 41 and not any(is_beside for is_beside, _ in encoder.batches[:1])
    references.close()


def test_a_recording_is_in_at_once_while_the_thread_embeds(tmp_path: Path, encoder: Slow) -> None:
    mine, other = Gallery(tmp_path), Gallery(tmp_path)
    references = References(mine, encoder, mirror_hands=True)
    first = mine.add(a_reference("first"))
    references.read()
    many = [other.add(a_reference("many", i, views=3)).id for i in range(10)]
    while not encoder.asked.is_set():
        references.poll()
    newest = mine.add(a_reference("recorded", 77, views=5))
    assert sorted(set(references.read(newest=1).ids)) == [first.id, newest.id]
    assert encoder.batches[-1] == (False, 5)
    mine.delete_reference(first.id)
    assert set(references.read(newest=1).ids) == {newest.id}
    assert references.poll() is None
    encoder.gate.set()
    # What the thread was at when the first was deleted doesn't bring it back.
    assert Counter(until_another(references)) == Counter({newest.id: 5} | dict.fromkeys(many, 3))
    assert encoder.encoded == 1 + 5 + 30  # nothing twice
    references.close()


def test_only_folders_that_changed_are_read(
    tmp_path: Path, encoder: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.gallery.reading.FRESH_NS", 0)
    gallery = Gallery(tmp_path)
    for i in range(6):
        gallery.add(a_reference("abc"[i % 3], i))
    first = gallery.embeddings(encoder)
    opened: list[str] = []
    read = gallery._reader._read_folder

    def noting(folder: Path) -> object:
        opened.append(folder.name)
        return read(folder)

    monkeypatch.setattr(gallery._reader, "_read_folder", noting)
    assert gallery.embeddings(encoder, last=first) is first and opened == []
    Gallery(tmp_path).add(a_reference("b", 9))
    assert len(gallery.embeddings(encoder, last=first).ids) == 7 and opened == ["b"]
    assert encoder.encoded == 7


def test_closing_leaves_the_rest_unembedded(tmp_path: Path, encoder: Slow) -> None:
    gallery = Gallery(tmp_path)
    references = References(gallery, encoder, mirror_hands=True)
    references.read()
    for i in range(60):
        gallery.add(a_reference("many", i))
    while not encoder.asked.is_set():
        references.poll()
    closing = threading.Thread(target=references.close)
    closing.start()
    while not references._closed.is_set():
        pass
    encoder.gate.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive() and len(encoder.batches) == 1


def test_a_large_gallery_says_that_it_is_embedded(
    tmp_path: Path, encoder: Slow, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = Gallery(tmp_path)
    for i in range(beside.MANY + 1):
        gallery.add(a_reference("many", i))
    for said in (1, 0):
        References(Gallery(tmp_path), encoder, mirror_hands=True).read()
        assert capsys.readouterr().err.count("Embedding 33 references") == said


def test_the_loop_goes_on_while_references_are_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real networks: both threads use one encoder."""
    monkeypatch.setattr(beside, "LOOK_AGAIN_S", 0.0)
    teach(tmp_path / "others", "Victory", "Fist")
    gate, asked = threading.Event(), threading.Event()
    with Recognizer(Settings(gallery=str(tmp_path / "mine"))) as recognizer:
        embed = recognizer.encoder.encode

        def slowly(hands: EncoderInputs) -> np.ndarray:
            if threading.current_thread() is not threading.main_thread():
                asked.set()
                assert gate.wait(PATIENCE_S)
            return embed(hands)

        monkeypatch.setattr(recognizer.encoder, "encode", slowly)
        frames = (Frame(HAND, i, i / 30) for i in range(100_000))
        assert recognizer.step(next(frames)).matches[0].nearest is None
        for reference in Gallery(tmp_path / "others").references():
            recognizer.gallery.add(reference)
        while not asked.is_set():
            result = recognizer.step(next(frames))
        for _ in range(5):
            assert recognizer.step(next(frames)).matches[0].nearest is None
        enrol(recognizer, [Shot(result.frame, result.hands[0])], "Mine")
        assert recognizer.step(next(frames)).matches[0].label == "Mine"
        gate.set()
        while len(set(recognizer.index.labels)) < 3:
            recognizer.step(next(frames))
        assert set(recognizer.index.labels) == {"Mine", "Victory", "Fist"}
