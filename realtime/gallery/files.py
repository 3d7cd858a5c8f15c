"""How a gallery lies on disk: whole files or none, and damaged ones set aside.

<gallery>/<folder>/gesture.json holds the label, an item's JSON and PNG files each reference (see
item.py). The JSON is the commit point: it is written last and removed first, so a reference is
there iff its JSON is. What starts with a dot is the gallery's own: temporary, damaged or a cache.
All functions raise OSError, with the file's own name in `filename`, unless they say otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engines.files import CANT_RENAME, TEMPORARY, move_file, sync_folder, write_file
from engines.say import how_many, warn_once
from realtime.gallery.gesture_file import GESTURE, read_far, write_label
from realtime.gallery.item import (
    JSON,
    NEGATIVE_NAME,
    PICTURE,
    Files,
    check_files,
    decode_picture,
    picture_names,
    to_views,
)
from realtime.gallery.record import (
    DamagedPicture,
    DamagedReference,
    ReferenceRecord,
    parse_record,
    read_json,
)
from realtime.gallery.reference import Reference, View

DAMAGED = ".damaged"
CACHE = ".cache"
NEW, DELETED = ".new-", ".deleted-"  # a gesture to be, a gesture that was
NAME_IS_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}
LEFTOVER_S = 3600.0  # a temporary file this old belongs to no running program


@dataclass(frozen=True)
class Stored:
    """Where a reference lies; the label is its folder's, `name` its JSON file's."""

    label: str
    folder: Path
    name: str

    @property
    def id(self) -> str:
        return self.name.partition(".")[0]

    @property
    def json(self) -> Path:
        return self.folder / self.name

    @property
    def negative(self) -> bool:
        return self.name.endswith(NEGATIVE_NAME)

    def pictures(self) -> list[Path]:
        """All pictures named by its id; none where the folder has gone."""
        found = [(PICTURE.fullmatch(name), name) for name in _names(self.folder)]
        return sorted(self.folder / name for own, name in found if own and own[1] == self.id)


def write_item(folder: Path, files: Files) -> None:
    """All files, the JSON last; none where one fails. FileNotFoundError: no such folder."""
    written: list[Path] = []
    try:
        for name, data in files.items():
            write_file(folder / name, data)
            written.append(folder / name)
    except BaseException:
        for path in reversed(written):
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def publish_gesture(folder: Path, label: str, files: Files, far: float | None = None) -> bool:
    """A gesture's new folder with its first reference, there at once as a whole.

    False: something else by that name has come in between, and nothing was written.
    """
    temporary = folder.with_name(f"{NEW}{secrets.token_hex(8)}")
    temporary.mkdir(parents=True)
    try:
        write_label(temporary, label, far)
        write_item(temporary, files)
        try:
            os.rename(temporary, folder)
        except OSError as error:
            if error.errno not in CANT_RENAME:
                raise
            _write_in_place(folder, label, files, far)
            shutil.rmtree(temporary, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # An empty folder gives way to a rename, a gesture's never does.
        if isinstance(error, OSError) and error.errno in NAME_IS_TAKEN:
            return False
        raise
    sync_folder(folder.parent)
    return True


def _write_in_place(folder: Path, label: str, files: Files, far: float | None) -> None:
    """For file systems that rename no folder. The label first: a gesture without items is none."""
    folder.mkdir()
    try:
        write_label(folder, label, far)
        write_item(folder, files)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_if_empty(folder, label)
        raise


def list_folders(gallery: Path, links: bool = False) -> list[Path]:
    """The gestures' folders by name, or the links to folders; none where there is no gallery.

    A link could lead out of the gallery, and a deleted gesture's files with it: it is no gesture.
    """
    try:
        with os.scandir(gallery) as entries:
            names = [
                e.name
                for e in entries
                if not e.name.startswith(".") and e.is_dir() and e.is_symlink() == links
            ]
    except FileNotFoundError:
        return []
    return [gallery / name for name in sorted(names)]


def list_items(folder: Path, label: str) -> list[Stored]:
    """Where a gesture's references lie, by their ids; none where the folder has gone."""
    return [Stored(label, folder, name) for name in sorted(filter(JSON.fullmatch, _names(folder)))]


def read_record(place: Stored) -> ReferenceRecord:
    """A reference's JSON, with the views whose PNGs are there; they are only looked for.

    Raises DamagedPicture, NewerFormat, and DamagedReference where there is no picture.
    """
    record = parse_record(place.id, read_json(place.json))
    there = {path.name for path in place.pictures()}
    views = tuple(view for view in record.views if view.file in there)
    for view in views:
        if (place.folder / view.file).stat().st_size != view.bytes:
            raise DamagedPicture("its picture is not the one recorded", view.file)
    if len(views) < len(record.views):
        place.json.stat()  # otherwise it was deleted meanwhile
        if not views:
            raise DamagedReference("its picture is missing")
        missing = how_many(len(record.views) - len(views), "picture")
        warn_once(f"{place.json} has lost {missing} of {len(record.views)}; it is used without.")
    return replace(record, views=views)


def read_reference(place: Stored) -> Reference:
    """All files, checked. Raises DamagedReference and NewerFormat."""
    record = read_record(place)
    views = tuple(_to_views(record, place).values())
    return Reference(record.id, place.label, views, record.recorded_at, record.kind)


def read_views(place: Stored) -> dict[int, View]:
    """A reference's views by their numbers. Raises DamagedReference and NewerFormat."""
    return _to_views(read_record(place), place)


def read_picture(place: Stored) -> np.ndarray:
    """The first view's picture, uint8 (K, K, 3) BGR. Raises DamagedReference and NewerFormat."""
    first = read_record(place).views[0]
    return decode_picture(first, (place.folder / first.file).read_bytes())


def read_files(place: Stored) -> Files:
    """All files as they are, also those of a format or kind unknown here.

    Raises DamagedReference about those that are known.
    """
    record = read_json(place.json)
    there = [path.name for path in place.pictures()]
    names = [name for name in picture_names(place.id, record, there) if name in there]
    files = {**_read_all(place, names), place.name: record}
    place.json.stat()  # otherwise it was deleted meanwhile, and maybe not all pictures were there
    check_files(place.id, files)
    return files


def remove_if_empty(folder: Path, label: str) -> None:
    """Remove a gesture's folder that holds no reference any more."""
    try:
        if os.listdir(folder) != [GESTURE]:
            return
        far = read_far(folder)
        (folder / GESTURE).unlink()
    except FileNotFoundError:  # another program was as quick
        return
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return
    except OSError:  # another program adds to it at this moment
        with contextlib.suppress(FileNotFoundError):
            write_label(folder, label, far)


def set_aside(gallery: Path, files: list[Path]) -> Path:
    """Move a folder's damaged files under .damaged, keeping their names. Returns their folder."""
    folder = gallery / DAMAGED / files[0].parent.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            move_file(file, folder / file.name)
    return folder


def clean_leftovers(gallery: Path) -> None:
    """Remove what killed programs left behind. Never fails: the next recording tries again."""
    ours = (TEMPORARY, NEW, DELETED)
    for folder in [gallery, gallery / CACHE, *list_folders(gallery)]:
        with contextlib.suppress(OSError):
            for path in [folder / n for n in os.listdir(folder) if n.startswith(ours)]:
                if time.time() - path.stat().st_mtime > LEFTOVER_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _read_all(place: Stored, names: Iterable[str]) -> Files:
    return {name: (place.folder / name).read_bytes() for name in names}


def _to_views(record: ReferenceRecord, place: Stored) -> dict[int, View]:
    return to_views(record, _read_all(place, (view.file for view in record.views)))
