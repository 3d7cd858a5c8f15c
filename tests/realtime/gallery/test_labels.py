"""Any label is a gesture, and none leaves the gallery or takes another one's folder."""

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import UserError
from realtime.gallery.gallery import Gallery
from realtime.gallery.labels import LONGEST_BYTES, free_name, safe_name
from tests.realtime.gallery.fixtures import (
    a_reference,
    files_in,
)

STRANGE = [
    *("../../etc", "a/b", "a\\b", "CON", "con.txt", "COM¹", ".", "..", "...", ".hidden", " x"),
    *(
        "dot.",
        "space ",
        "x. . ",
        "👍🏽",
        "👨‍👩‍👧",
        "שלום",
        "مرحبا",
        "Ꝺ",
        "e\u0301te",
        "x" * 500,
        "🙂" * 500,
    ),
    *(
        "gesture.json",
        ".damaged",
        "-rf",
        "~",
        "a\x00b",
        "tab\there",
        'q"<>|?*:',
        "a~2",
        "\u202eabc",
    ),
]


@pytest.mark.parametrize("label", STRANGE)
def test_strange_labels(tmp_path: Path, label: str) -> None:
    folder = tmp_path / "gallery"
    Gallery(folder).add(a_reference(label))
    gallery = Gallery(folder)
    assert gallery.labels() == {unicodedata.normalize("NFC", label): 1}
    assert len(gallery.references()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["gallery"]
    assert len(files_in(folder)) == 4  # the folder, gesture.json, PNG and JSON
    gallery.rename(label, "plain")
    gallery.rename("plain", label)
    assert gallery.labels() == {unicodedata.normalize("NFC", label): 1}
    gallery.delete(label)
    assert files_in(folder) == set()


@settings(max_examples=300, deadline=None)
@given(label=st.text(max_size=200))
def test_folder_names_are_safe_everywhere(label: str) -> None:
    name = safe_name(label)
    if not label:
        return
    assert name and not set(name) & set('<>:"/\\|?*')
    assert not name.startswith((".", " ")) and not name.endswith((".", " "))
    assert all(unicodedata.category(c) != "Cc" for c in name)
    assert len(name.encode()) <= LONGEST_BYTES + 1
    assert safe_name(name) == name


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(labels=st.sets(st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=4))
def test_any_labels_live_side_by_side(
    tmp_path_factory: pytest.TempPathFactory, labels: set[str]
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    gallery = Gallery(outer / "gallery")
    for label in labels:
        gallery.add(a_reference(label))
    wanted = {unicodedata.normalize("NFC", label) for label in labels}
    assert set(gallery.labels()) == wanted == {r.label for r in gallery.references()}
    assert [p.name for p in outer.iterdir()] == ["gallery"]
    assert len({p.name.casefold() for p in gallery.folder.iterdir()}) == len(wanted)


@pytest.mark.parametrize("label", ["CON", "con.txt", "Aux .x", "lpt1", "COM¹.tar.gz", "NUL"])
def test_windows_devices_are_no_folders(label: str) -> None:
    assert safe_name(label) == "_" + label
    assert safe_name("CONE") == "CONE" and safe_name("x.CON") == "x.CON"


def test_names_that_clash_are_numbered(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    for label in ["A", "a", "a/b", "a_b", "A_B", "caf\u00e9", "cafe\u0301", "A~2"]:
        gallery.add(a_reference(label))
    assert gallery.labels()["caf\u00e9"] == 2  # NFC = NFD: the same label
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"A", "a~2", "a_b", "a_b~2", "A_B~3", "caf\u00e9", "A~2~2"}
    assert free_name("ß", {"SS"}) == "ß~2"


@pytest.mark.parametrize("label", ["", " ", "\t\n", "\u3000", "x\ud800"])
def test_labels_that_are_none(tmp_path: Path, label: str) -> None:
    reference = dataclasses.replace(a_reference("x"), label=label)
    with pytest.raises(UserError):
        Gallery(tmp_path / "g").add(reference)
    with pytest.raises(UserError):
        a_reference(label)
    assert not (tmp_path / "g").exists()


def test_a_folder_made_by_hand_is_called_as_its_folder(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("x"))
    (tmp_path / "x" / "gesture.json").unlink()
    (tmp_path / "x").rename(tmp_path / "mine")
    (tmp_path / "notes.txt").write_text("not a gesture")
    assert gallery.labels() == {"mine": 1}
    gallery.add(a_reference("mine"))
    gallery.rename("mine", "../up")
    assert gallery.labels() == {"../up": 2} == Gallery(tmp_path).labels()
