"""What was deleted can be brought back."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import UserError
from engines.files import move_file
from realtime.gallery import trash
from realtime.gallery.gallery import Gallery
from tests.realtime.gallery.fixtures import a_reference, files_in


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    gallery = Gallery(tmp_path / "gallery")
    for seed, label in enumerate(["A", "A", "B"]):
        gallery.add(a_reference(label, seed))
    return gallery


def contents(gallery: Gallery) -> dict[str, bytes]:
    paths = [path for path in files_in(gallery.folder) if (gallery.folder / path).is_file()]
    return {path: (gallery.folder / path).read_bytes() for path in paths}


def test_a_gesture_comes_back_as_it_was(gallery: Gallery) -> None:
    before = contents(gallery)
    gallery.delete("A")
    assert gallery.labels() == {"B": 1}
    assert gallery.undo() == "A"
    assert contents(gallery) == before and gallery.labels() == {"A": 2, "B": 1}
    with pytest.raises(UserError, match="Nothing was deleted"):
        gallery.undo()


def test_a_reference_comes_back_as_it_was(gallery: Gallery) -> None:
    before = contents(gallery)
    gallery.delete_reference(gallery.references()[0].id)
    assert gallery.labels() == {"A": 1, "B": 1}
    assert gallery.undo() == "A" and contents(gallery) == before


def test_the_last_deletion_comes_back_first(gallery: Gallery) -> None:
    gallery.delete("A")
    gallery.delete("B")
    assert (gallery.undo(), gallery.labels()) == ("B", {"B": 1})
    assert (gallery.undo(), gallery.labels()) == ("A", {"A": 2, "B": 1})


def test_what_was_replaced_comes_back_in_its_place(gallery: Gallery) -> None:
    before = contents(gallery)
    new = gallery.add(a_reference("A", 7), replace=True)
    assert gallery.labels() == {"A": 1, "B": 1}
    gallery.delete("B")
    assert (gallery.undo(), gallery.undo()) == ("B", "A") and contents(gallery) == before
    assert trashed(gallery, f"A/{new.id}.png").exists()  # not lost, but no undo brings it back
    with pytest.raises(UserError, match="Nothing was deleted"):
        gallery.undo()


def test_what_replaced_others_stays_under_another_name(gallery: Gallery) -> None:
    gallery.add(a_reference("B", 7), replace=True)
    gallery.rename("B", "C")
    assert gallery.undo() == "B" and gallery.labels() == {"A": 2, "B": 1, "C": 1}


def test_replacing_twice_is_undone_twice(gallery: Gallery) -> None:
    before = contents(gallery)
    for seed in (7, 8):
        gallery.add(a_reference("B", seed), replace=True)
    gallery.undo()
    assert gallery.labels() == {"A": 2, "B": 1} and contents(gallery) != before
    assert gallery.undo() == "B" and contents(gallery) == before


def test_it_joins_a_gesture_that_was_recorded_anew(gallery: Gallery) -> None:
    gallery.delete("B")
    gallery.add(a_reference("B", 9))
    assert gallery.undo() == "B" and gallery.labels() == {"A": 2, "B": 2}


def test_another_program_brings_it_back(gallery: Gallery) -> None:
    gallery.delete("B")
    assert Gallery(gallery.folder).undo() == "B" and gallery.labels() == {"A": 2, "B": 1}


def test_the_last_fifty_are_kept(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trash, "KEPT", 3)
    for seed in range(5):
        gallery.add(a_reference(f"gesture {seed}", seed))
        gallery.delete(f"gesture {seed}")
    assert [gallery.undo() for _ in range(3)] == ["gesture 4", "gesture 3", "gesture 2"]
    with pytest.raises(UserError):
        gallery.undo()


def test_where_folders_can_not_be_renamed(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """overlayfs renames files, and refuses folders of its lower layer."""
    before, rename = contents(gallery), os.rename

    def refusing(old: Path, new: Path) -> None:
        if Path(old).is_dir() and trash.TRASH in Path(new).parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(old, new)

    monkeypatch.setattr(os, "rename", refusing)
    gallery.delete("A")
    assert gallery.labels() == {"B": 1}
    assert gallery.undo() == "A" and contents(gallery) == before


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EBUSY])
@pytest.mark.parametrize("whole", [True, False], ids=["a gesture", "a reference"])
def test_where_nothing_can_be_moved_to_another_folder(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, number: int, whole: bool
) -> None:
    """Layers and mounts: each folder may be on a file system of its own, or rename nothing."""

    def refuse_others(move: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def moved(old: Path, new: Path) -> None:
            if Path(old).is_dir() or Path(old).parent != Path(new).parent:
                raise OSError(number, os.strerror(number))
            move(old, new)

        return moved

    before = contents(gallery)
    for name in ("rename", "replace", "link"):
        monkeypatch.setattr(os, name, refuse_others(getattr(os, name)))
    reference = next(r for r in gallery.references() if r.label == "B")
    if whole:
        gallery.delete("B")
    else:
        gallery.delete_reference(reference.id)
    assert gallery.labels() == {"A": 2}
    assert gallery.undo() == "B" and contents(gallery) == before
    gallery.rename("B", "C")
    assert gallery.labels() == {"A": 2, "C": 1}
    next((gallery.folder / "A").glob("*.png")).write_bytes(b"rubbish")
    assert len(gallery.references()) == 2
    assert len(list((gallery.folder / ".damaged" / "A").iterdir())) == 2


def test_a_file_that_can_not_be_taken_from_its_folder_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    (tmp_path / "a").write_text("a")
    with monkeypatch.context() as patch:
        real = os.replace
        patch.setattr(os, "replace", lambda a, b: refuse() if Path(a).name == "a" else real(a, b))
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(OSError):
            move_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == "a"


@pytest.mark.parametrize("step", ["link", "replace", "unlink"])
def test_a_deletion_cut_short_loses_nothing(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Stopped at any step, the reference is in the gallery or comes back."""
    before = gallery.ids()
    home = {"link": os, "replace": os, "unlink": Path}[step]
    real = getattr(home, step)

    def stopped(path: object, *rest: object, **named: object) -> object:
        if str(path).endswith((".json", ".png")):
            raise KeyboardInterrupt
        return real(path, *rest, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(home, step, stopped)
        gallery.delete_reference(max(before))
    if gallery.ids() != before:
        gallery.undo()
    assert gallery.ids() == before and len(gallery.references()) == 3


def test_a_deletion_of_several_views_cut_short_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before any step, it leaves the reference as a whole, here or in the trash."""
    reference, left = a_reference("x", 1, views=3), 0

    def stopping(do: Callable[..., object]) -> Callable[..., object]:
        def stopped(*arguments: object, **named: object) -> object:
            nonlocal left
            if str(arguments[0]).endswith((".json", ".png")):
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
            return do(*arguments, **named)

        return stopped

    for steps in range(20):
        gallery = Gallery(tmp_path / str(steps))
        gallery.add(reference)
        before, left = contents(gallery), steps
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            for home, name in ((os, "link"), (os, "replace"), (Path, "unlink")):
                patch.setattr(home, name, stopping(getattr(home, name)))
            gallery.delete_reference(reference.id)
        if not gallery.ids():
            gallery.undo()
        assert contents(gallery) == before and len(gallery.references()) == 1
        if left >= 0:
            break
    assert left >= 0 and steps > 6


def test_a_gesture_without_gesture_json_keeps_its_name(gallery: Gallery) -> None:
    (gallery.folder / "B" / "gesture.json").unlink()
    gallery.delete("B")
    assert gallery.undo() == "B" and gallery.labels() == {"A": 2, "B": 1}


def test_undo_tells_what_can_not_be_written(gallery: Gallery) -> None:
    gallery.delete("B")
    (gallery.folder / "B").write_text("a file in the way")
    assert gallery.undo() == "B"  # under another folder's name
    assert gallery.labels() == {"A": 2, "B": 1}


def trashed(gallery: Gallery, name: str) -> Path:
    [path] = gallery.folder.glob(f".trash/*/{name}")
    return path


def test_a_damaged_deletion_is_passed_over(gallery: Gallery) -> None:
    """What is damaged is set aside, and what was deleted before it can still be brought back."""
    gallery.delete("A")
    gallery.delete("B")
    trashed(gallery, "B/2*.png").write_bytes(b"rubbish")
    assert gallery.undo() == "A" and gallery.labels() == {"A": 2}
    assert len(list((gallery.folder / ".damaged" / "B").iterdir())) == 2


def test_half_of_a_deletion_comes_back(gallery: Gallery) -> None:
    gallery.delete("A")
    next(gallery.folder.glob(".trash/*/A/2*.json")).write_text("{")
    assert gallery.undo() == "A" and gallery.labels() == {"A": 1, "B": 1}


def test_a_deletion_whose_label_is_damaged_has_its_folders_name(gallery: Gallery) -> None:
    gallery.delete("B")
    trashed(gallery, "B/gesture.json").write_text("no JSON")
    assert gallery.undo() == "B" and gallery.labels() == {"A": 2, "B": 1}


def test_a_deletion_by_a_newer_version_is_told(gallery: Gallery) -> None:
    gallery.delete("B")
    trashed(gallery, "B/gesture.json").write_text('{"version": 99, "label": "B"}')
    with pytest.raises(UserError, match="newer version"):
        gallery.undo()


def test_deletions_that_fail_push_no_other_out(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "KEPT", 3)
    gallery.delete("B")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(trash, "put_gesture", full)
        for _ in range(5):
            with pytest.raises(UserError, match="No space left"):
                gallery.delete("A")
    assert gallery.undo() == "B" and gallery.labels() == {"A": 2, "B": 1}


def test_a_trash_that_can_not_be_written_is_told_before_anything_is_stored(
    gallery: Gallery,
) -> None:
    (gallery.folder / ".trash").write_text("a file in the way")
    with pytest.raises(UserError, match="nothing was deleted"):
        gallery.add(a_reference("A", 7), replace=True)
    assert gallery.labels() == {"A": 2, "B": 1}


def test_where_there_are_no_links(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    before = contents(gallery)
    monkeypatch.setattr(os, "link", unsupported)
    gallery.delete_reference(gallery.references()[0].id)
    assert gallery.undo() == "A" and contents(gallery) == before
