"""Folders of people's pictures: spellings, labels asked for, strays, large pictures, cores."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.encoder import Encoder, open_encoder
from engines.errors import UserError
from realtime import names
from realtime.commands.options import names as names_option
from realtime.hands.opening import open_detector
from realtime.measuring import folder
from realtime.measuring.evaluate import evaluate, spelt_alike
from realtime.measuring.folder import (
    embed_folder,
    label_embeddings,
    list_labelled,
    load_embeddings,
    save_embeddings,
    scan,
    subjects_and_labels,
)
from realtime.picture_files import write_picture
from tests.cli import hand_picture

engine = functools.partial(open_detector, "engine", video=False)
HANDS = {"fist": "Open hand", "L": "L", "V": "Victory"}


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    one = open_encoder("landmarks")
    yield one
    one.close()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sentences: list[str] = []
    monkeypatch.setattr(names, "warn_once", sentences.append)
    monkeypatch.setattr(folder, "warn", sentences.append)
    return sentences


def lay(root: Path, *paths: str, gesture: str = "L") -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_picture(root / path, hand_picture(gesture))
    return root


def test_two_spellings_of_a_label_are_one_gesture(said: list[str]) -> None:
    paths = ["ann/Zoë/1.png", "ann/Zoë/2.png", "bob/Zoe\u0308/1.png", "cid/zoë /1.png"]
    subjects, labels = subjects_and_labels([*paths, "Ann/B/1.png"])
    assert labels.tolist() == ["Zoë"] * 4 + ["B"]
    assert subjects.tolist() == ["ann", "ann", "bob", "cid", "ann"]
    assert "Taken for one label, 'Zoë'" in said[1] and "Taken for one person, 'ann'" in said[0]


def test_evaluate_joins_spellings_within_a_set_and_across_two(
    tmp_path: Path, encoder: Encoder, said: list[str]
) -> None:
    for spelling, person in (("Fist", "a"), ("fist", "b"), ("FIST ", "c")):
        lay(tmp_path / "set", f"{person}/{spelling}/1.png", gesture="Open hand")
        lay(tmp_path / "set", f"{person}/L/1.png", gesture="L")
    report = evaluate(tmp_path / "set", None, encoder, engine)
    assert (report.subjects, report.labels) == (3, 2)
    row = "across people: one-shot accuracy, all labels"
    assert report.rows[row]["landmarks-1"].value == 1
    lay(tmp_path / "references", "d/fISt/1.png", gesture="Open hand")
    lay(tmp_path / "references", "d/l/1.png", gesture="L")
    report = evaluate(tmp_path / "set", tmp_path / "references", encoder, engine)
    assert report.rows[row]["landmarks-1"].value == 1
    assert any("'FIST ', 'Fist', 'fist'" in sentence for sentence in said)


def test_spellings_are_joined_over_parts(said: list[str], tmp_path: Path, encoder: Encoder) -> None:
    hands = embed_folder(lay(tmp_path, "a/X/1.png", "b/x/1.png", "c/x/1.png"), [encoder], engine)
    everybody = label_embeddings(hands, 0)
    joined = spelt_alike([everybody.labels[:1], everybody.labels[1:], everybody.labels[:0]])
    assert [part.tolist() for part in joined] == [["x"], ["x", "x"], []]


def test_labels_asked_for_are_found_in_any_spelling(tmp_path: Path, said: list[str]) -> None:
    lay(tmp_path, "ann/A/1.png", "ann/Zoe\u0308/1.png", "bob/a /1.png", "bob/C/1.png")
    found = list_labelled(tmp_path, names_option(" a , zoë,Q,,"))
    assert [path.parent.name for path in found] == ["A", "Zoe\u0308", "a "]
    (sentence,) = said
    assert "No picture shows Q, which --labels names" in sentence and "A, C, Zoe" in sentence
    with pytest.raises(UserError, match="in folders named Q, R: .* shows A, C, Zoe\u0308, a"):
        list_labelled(tmp_path, ["Q", "R"])


def test_pictures_outside_any_labels_folder_are_named(
    tmp_path: Path, encoder: Encoder, said: list[str]
) -> None:
    lay(tmp_path, "ann/A/1.png", "overview.png", "a.jpg")
    assert [path.name for path in list_labelled(tmp_path)] == ["1.png"]
    assert said == [
        f"Left out of {tmp_path}, outside any label's folder: 2 × picture (a.jpg, overview.png)."
    ]
    hands = embed_folder(tmp_path, [encoder], engine)  # `embed` needs no labels
    assert hands.paths == ["a.jpg", "ann/A/1.png", "overview.png"]
    save_embeddings(hands, encoder, tmp_path / "e.npz")
    loaded = load_embeddings(tmp_path / "e.npz", encoder, ["a"])
    assert loaded.labels.tolist() == ["A"] and loaded.subjects.tolist() == ["ann"]
    said.clear()
    assert len(load_embeddings(tmp_path / "e.npz", encoder, ["A", "Q"])) == 1
    assert len(said) == 1 and "No picture shows Q" in said[0]
    with pytest.raises(UserError, match="in folders named Q: .*e.npz shows A"):
        load_embeddings(tmp_path / "e.npz", encoder, ["Q"])


@pytest.mark.skipif(sys.platform != "linux", reason="only there names are any bytes")
def test_names_of_any_bytes_are_kept_as_text(tmp_path: Path, encoder: Encoder) -> None:
    lay(tmp_path, "ann/x/1.png")
    os.rename(tmp_path / "ann" / "x", os.fsencode(tmp_path) + b"/ann/caf\xe9")
    hands = embed_folder(tmp_path, [encoder], engine)
    assert hands.paths == ["ann/café/1.png"] and hands.found.all()
    save_embeddings(hands, encoder, tmp_path / "e.npz")
    assert load_embeddings(tmp_path / "e.npz", encoder).labels.tolist() == ["café"]


def test_landmarks_are_in_the_pixels_of_the_file(tmp_path: Path, encoder: Encoder) -> None:
    small = hand_picture("L")
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    for name, image in (("1.png", small), ("2.png", large), ("3.jpg", large)):
        (tmp_path / "a" / "L").mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / "a" / "L" / name, image)
    (seen, *others) = scan(sorted((tmp_path / "a" / "L").iterdir()), engine)
    assert isinstance(seen, folder.SeenHand) and seen.scale == 1
    assert all(isinstance(o, folder.SeenHand) and max(o.image.shape) == 2048 for o in others)
    hands = embed_folder(tmp_path, [encoder], engine)
    for row in (1, 2):
        apart = np.abs(hands.landmarks[row] / 8 - hands.landmarks[0])[:, :2].max()
        assert apart < 0.03 * np.ptp(hands.landmarks[0][:, :2], axis=0).max()
        assert hands.embeddings[0][row] @ hands.embeddings[0][0] > 0.99


def test_pictures_come_in_order_and_few_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "cores", lambda: 2)
    paths = [tmp_path / f"{i:02}.png" for i in range(40)]
    for i, path in enumerate(paths):
        write_picture(path, np.full((8 + i, 8, 3), i, np.uint8))
    opened: list[Path] = []
    load = folder.load_picture

    def noting(path: Path) -> object:
        opened.append(path)
        return load(path)

    monkeypatch.setattr(folder, "load_picture", noting)
    results = scan([*paths, tmp_path / "missing.png"], engine)
    for number, result in enumerate(results):
        assert len(opened) <= number + 6  # two workers, two pictures ahead for each, and theirs
        last = result
    assert number == 40 and isinstance(last, str) and "There is no picture" in last
