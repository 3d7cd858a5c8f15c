"""Prepared hands: labels of any bytes, one spelling of each label and person, damaged crops."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from realtime import names
from realtime.hands.opening import open_detector
from realtime.picture_files import write_picture
from tests.cli import hand_picture
from train.pictures.prepare import prepare
from train.pictures.prepared import load_prepared
from train.pictures.sources import open_source

engine = functools.partial(open_detector, "engine", video=False)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only there names are any bytes")


def lay(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_picture(root / path, hand_picture("L"))
    return root


@LINUX
def test_labels_people_and_sets_of_any_bytes(tmp_path: Path) -> None:
    lay(tmp_path / "set", "ann/x/1.png")
    os.rename(tmp_path / "set" / "ann" / "x", os.fsencode(tmp_path) + b"/set/ann/caf\xe9")
    os.rename(tmp_path / "set" / "ann", os.fsencode(tmp_path) + b"/set/Zo\xeb")
    os.rename(tmp_path / "set", os.fsencode(tmp_path) + b"/s\xe9t")
    folder = tmp_path / os.fsdecode(b"s\xe9t")
    prepare([folder], engine, "mark", tmp_path / "a.npz")
    data = load_prepared([tmp_path / "a.npz"])
    assert (data.sets[0], data.subjects[0], data.labels[0]) == ("sét", "sét/Zoë", "café")
    shown = open_source(folder, 224, engine)
    assert shown.names.tolist() == ["Zoë/café/1.png"] == data.paths.tolist()
    assert shown.fetch(np.array([0])).labels.tolist() == ["café"]


def test_two_files_spell_a_label_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(names, "warn_once", said.append)
    lay(tmp_path / "one", "ann/Fist/1.png", "ann/L/1.png", "Ann /Fist/1.png")
    lay(tmp_path / "two", "bob/fist/1.png")
    files = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for file in files:
        prepare([file.with_suffix("")], engine, "mark", file)
    data = load_prepared(files)
    assert sorted(zip(data.subjects.tolist(), data.labels.tolist(), strict=True)) == [
        ("one/ann", "Fist"),
        ("one/ann", "Fist"),
        ("one/ann", "L"),
        ("two/bob", "Fist"),
    ]
    assert any(sentence.startswith("Taken for one label, 'Fist'") for sentence in said)
    assert any(sentence.startswith("Taken for one person, 'ann'") for sentence in said)


def test_a_damaged_crop_is_told(tmp_path: Path) -> None:
    prepare([lay(tmp_path / "set", "ann/L/1.png")], engine, "mark", tmp_path / "a.npz")
    data = load_prepared([tmp_path / "a.npz"])
    assert data.crop(0).shape == (280, 280, 3)
    broken = dataclasses.replace(data, webp=np.zeros_like(data.webp))
    with pytest.raises(UserError, match="The crop of set/ann/L/1.png can't be read"):
        broken.crop(0)
