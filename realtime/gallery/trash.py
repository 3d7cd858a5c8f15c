"""What was deleted, kept for a while: `.trash/<number>-<token>/<gesture's folder>/`.

Each deletion is one entry, laid out as the gallery is. The last KEPT entries stay. Functions raise
OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from realtime.gallery import files
from realtime.gallery.files import GESTURE, Stored

TRASH = ".trash"
KEPT = 50  # deletions
OTHER_PLACE = {errno.EXDEV, errno.EPERM, errno.EACCES}  # a folder that can't be renamed as a whole


def new_entry(gallery: Path) -> Path:
    """Make room for one deletion. Entries are numbered: clocks may be set back."""
    numbers = [int(entry.name.split("-")[0]) for entry in _entries(gallery)]
    entry = gallery / TRASH / f"{max(numbers, default=0) + 1:06d}-{secrets.token_hex(4)}"
    entry.mkdir(parents=True)
    for old in _entries(gallery)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return entry


def put_gesture(entry: Path, folder: Path, label: str) -> None:
    """Move a gesture's folder into an entry: at once, where the file system can do that."""
    try:
        os.rename(folder, entry / folder.name)
    except FileNotFoundError:
        return  # another program was as quick
    except OSError as error:
        if error.errno not in OTHER_PLACE:
            raise
        for id in files.list_ids(folder):
            put_reference(entry, Stored(label, folder, id))
        files.remove_if_empty(folder, label)
    else:
        _ensure_label(entry / folder.name, label)


def put_reference(entry: Path, place: Stored) -> None:
    """Move a reference into an entry. It is in the gallery or in the entry, never in neither."""
    there = Stored(place.label, entry / place.folder.name, place.id)
    there.folder.mkdir(exist_ok=True)
    _ensure_label(there.folder, place.label)
    try:
        shutil.copyfile(place.png, there.png)
        os.replace(place.json, there.json)  # from here on it is deleted
    except FileNotFoundError:  # another program was as quick
        there.png.unlink(missing_ok=True)
        return
    files.sync_folder(place.folder)
    place.png.unlink(missing_ok=True)


def newest(gallery: Path) -> list[Stored]:
    """The references of the last deletion; none where nothing was deleted."""
    for entry in reversed(_entries(gallery)):
        places = [
            Stored(files.read_label(folder), folder, id)
            for folder in files.list_folders(entry)
            for id in files.list_ids(folder)
        ]
        if places:
            return places
    return []


def forget(places: list[Stored]) -> None:
    """Remove references from the trash, and entries that hold none any more."""
    for place in places:
        place.json.unlink(missing_ok=True)
        place.png.unlink(missing_ok=True)
    for folder in {place.folder for place in places}:
        if not files.list_ids(folder):
            (folder / GESTURE).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # what else is in it stays
                folder.rmdir()
                folder.parent.rmdir()


def _ensure_label(folder: Path, label: str) -> None:
    """A folder may have been named by hand and have no gesture.json."""
    if not (folder / GESTURE).exists():
        files.write_label(folder, label)


def _entries(gallery: Path) -> list[Path]:
    """The entries, oldest first."""

    def numbered() -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(gallery / TRASH):
                if name.split("-")[0].isdecimal():
                    yield gallery / TRASH / name

    return sorted(numbered(), key=lambda entry: entry.name)
