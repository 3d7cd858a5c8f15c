"""What was deleted, kept for a while: `.trash/<number>-<token>/<gesture's folder>/`.

Each deletion is one entry, laid out as the gallery is. The last KEPT entries stay. The name of an
entry whose references were replaced ends in the id of the one that took their place, as in
`000007-1a2b3c4d.20260102-030405-678901-0a1b2c3d`; that of an entry with what an undo put away, in
UNDONE, and nothing in it is brought back. Functions raise OSError.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import UserError
from engines.files import CANT_RENAME, move_file, sync_folder, write_file
from realtime.gallery import files, gesture_file
from realtime.gallery.files import Stored
from realtime.gallery.gesture_file import GESTURE
from realtime.gallery.labels import label_of_folder
from realtime.gallery.record import DamagedReference, NewerFormat

TRASH = ".trash"
KEPT = 50  # deletions
UNDONE = "undone"


@dataclass(frozen=True)
class Deletion:
    """What one deletion put into the trash.

    Attributes:
        places: where its references lie.
        replaced_by: the id of the reference that took their place; "" where none did.
    """

    places: list[Stored]
    replaced_by: str


def new_entry(gallery: Path, why: str = "") -> Path:
    """Make room for one deletion. Entries are numbered: clocks may be set back.

    Args:
        why: "", UNDONE, or the id of the reference that replaces what comes in.
    """
    numbers = [int(entry.name.split("-")[0]) for entry in _entries(gallery)]
    name = f"{max(numbers, default=0) + 1:06d}-{secrets.token_hex(4)}{f'.{why}' if why else ''}"
    entry = gallery / TRASH / name
    entry.mkdir(parents=True)
    return entry


def put_gesture(entry: Path, folder: Path, label: str) -> None:
    """Move a gesture's folder into an entry: at once, where the file system can do that."""
    try:
        os.rename(folder, entry / folder.name)
    except FileNotFoundError:
        return  # another program was as quick
    except OSError as error:
        if error.errno not in CANT_RENAME:
            raise
        put_references(entry, files.list_items(folder, label))
    else:
        _ensure_label(entry / folder.name, label)


def put_references(entry: Path, places: Sequence[Stored]) -> None:
    """Move references into an entry. Each is in the gallery or in the entry at any time."""
    for place in places:
        there = Stored(place.label, entry / place.folder.name, place.name)
        there.folder.mkdir(exist_ok=True)
        _ensure_label(there.folder, place.label, gesture_file.read_far(place.folder))
        pictures = place.pictures()
        try:
            for path in pictures:
                _link_or_copy(path, there.folder / path.name)
            move_file(place.json, there.json)  # from here on it is deleted
        except FileNotFoundError:  # another program was as quick
            _unlink(there.pictures())
            continue
        sync_folder(there.folder)
        sync_folder(place.folder)
        _unlink(pictures)
        files.remove_if_empty(place.folder, place.label)


def list_deletions(gallery: Path) -> list[Deletion]:
    """The deletions that hold references, the last one first.

    Raises UserError where a newer version of this program wrote one.
    """
    deletions = []
    for entry in reversed(_entries(gallery)):
        why = entry.name.partition(".")[2]
        places = [
            place
            for folder in files.list_folders(entry)
            if why != UNDONE
            for place in files.list_items(folder, _read_label(folder))
        ]
        deletions.append(Deletion(places, why))
    return [deletion for deletion in deletions if deletion.places]


def ids(gallery: Path) -> set[str]:
    """The ids of all references in the trash."""
    return {
        place.id
        for entry in _entries(gallery)
        for folder in files.list_folders(entry)
        for place in files.list_items(folder, "")
    }


def forget(places: Sequence[Stored]) -> None:
    """Remove references from the trash, and entries that hold none any more."""
    for place in places:
        _unlink([place.json, *place.pictures()])
    for folder in {place.folder for place in places}:
        if not files.list_items(folder, ""):
            (folder / GESTURE).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # what else is in it stays
                folder.rmdir()
                folder.parent.rmdir()


def prune(gallery: Path, entry: Path) -> None:
    """After a deletion: drop its entry if nothing came into it, and the oldest beyond KEPT."""
    with contextlib.suppress(OSError):
        entry.rmdir()  # not while it holds anything
    for old in _entries(gallery)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a second name of a file, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except (OSError, NotImplementedError):
        write_file(target, source.read_bytes())


def _read_label(folder: Path) -> str:
    try:
        return gesture_file.read_label(folder)
    except DamagedReference:
        return label_of_folder(folder.name)
    except NewerFormat:
        raise UserError(
            f"{folder} is of a newer version of this program: undo the deletion with that version."
        ) from None


def _ensure_label(folder: Path, label: str, far: float | None = None) -> None:
    """A folder may have been named by hand and have no gesture.json."""
    if not (folder / GESTURE).exists():
        gesture_file.write_label(folder, label, far)


def _entries(gallery: Path) -> list[Path]:
    """The entries, oldest first."""
    try:
        names = os.listdir(gallery / TRASH)
    except FileNotFoundError:
        return []
    return [gallery / TRASH / name for name in sorted(names) if name.split("-")[0].isdecimal()]
