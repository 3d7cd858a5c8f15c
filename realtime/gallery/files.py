"""How a gallery lies on disk: whole files or none, and damaged ones set aside.

<gallery>/<folder>/gesture.json holds the label, <id>.png and <id>.json each reference. The JSON
is the commit point: it is written last and removed first, so a reference is there iff its JSON
is. What starts with a dot is the gallery's own: temporary, damaged or a cache.
All functions raise OSError, with the file's own name in `filename`, unless they say otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from engines.errors import UserError
from engines.files import TEMPORARY, sync_folder, write_file
from realtime.gallery.labels import check_label, label_of_folder
from realtime.gallery.reference import (
    ID,
    LARGEST_JSON,
    VERSION,
    DamagedReference,
    Reference,
    ReferenceRecord,
    parse_json,
    parse_record,
    with_picture,
)

GESTURE = "gesture.json"
DAMAGED = ".damaged"
CACHE = ".cache"
NEW, DELETED = ".new-", ".deleted-"  # a gesture to be, a gesture that was
NAME_IS_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}
LEFTOVER_S = 3600.0  # a temporary file this old belongs to no running program


@dataclass(frozen=True)
class Stored:
    """Where a reference lies; the label is its folder's."""

    label: str
    folder: Path
    id: str

    @property
    def json(self) -> Path:
        return self.folder / f"{self.id}.json"

    @property
    def png(self) -> Path:
        return self.folder / f"{self.id}.png"


def write_label(folder: Path, label: str) -> None:
    """The label of a gesture's folder, from now on."""
    write_file(folder / GESTURE, label_json(label))


def label_json(label: str) -> bytes:
    """What gesture.json says of a label."""
    return json.dumps({"version": VERSION, "label": label}).encode()


def write_reference(folder: Path, id: str, png: bytes, record: bytes) -> None:
    """Both files, the JSON last; neither where one fails. FileNotFoundError: no such folder."""
    place = Stored("", folder, id)
    write_file(place.png, png)
    try:
        write_file(place.json, record)
    except BaseException:
        with contextlib.suppress(OSError):
            place.png.unlink()
        raise


def publish_gesture(folder: Path, label: str, id: str, png: bytes, record: bytes) -> bool:
    """A gesture's new folder with its first reference, there at once as a whole.

    False: something else by that name has come in between, and nothing was written.
    """
    temporary = folder.with_name(f"{NEW}{secrets.token_hex(8)}")
    temporary.mkdir(parents=True)
    try:
        write_label(temporary, label)
        write_reference(temporary, id, png, record)
        os.rename(temporary, folder)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # An empty folder gives way to a rename, a gesture's never does.
        if isinstance(error, OSError) and error.errno in NAME_IS_TAKEN:
            return False
        raise
    sync_folder(folder.parent)
    return True


def list_folders(gallery: Path) -> list[Path]:
    """The gestures' folders by name; none where there is no gallery."""
    try:
        with os.scandir(gallery) as entries:
            # A link could lead out of the gallery, and a deleted gesture's files with it.
            names = [
                e.name
                for e in entries
                if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    return [gallery / name for name in sorted(names)]


def list_ids(folder: Path) -> list[str]:
    """The ids of a gesture's references; none where the folder has gone."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    ids = (name[: -len(".json")] for name in names if name.endswith(".json"))
    return sorted(id for id in ids if ID.fullmatch(id))


def read_label(folder: Path) -> str:
    """The label of a gesture's folder: gesture.json's, or else the folder's name.

    Raises DamagedReference and NewerFormat about gesture.json, UserError about the name.
    """
    try:
        fields = parse_json(_read_bytes(folder / GESTURE))
    except FileNotFoundError:
        return label_of_folder(folder.name)
    label = fields.get("label")
    if not isinstance(label, str):
        raise DamagedReference("it holds no label")
    try:
        return check_label(label)
    except UserError as error:
        raise DamagedReference(str(error)) from None


def read_record(place: Stored) -> ReferenceRecord:
    """A reference's JSON, its PNG only looked for. Raises DamagedReference and NewerFormat."""
    record = parse_record(place.id, _read_bytes(place.json))
    if place.png.stat().st_size != record.picture_bytes:
        raise DamagedReference("its picture is not the one recorded")
    return record


def read_reference(place: Stored) -> Reference:
    """Both files, checked. Raises DamagedReference and NewerFormat."""
    record = read_record(place)
    return with_picture(record, place.label, place.png.read_bytes())


def read_files(place: Stored) -> tuple[Stored, bytes, bytes]:
    """The bytes of the PNG and the JSON, checked. Raises DamagedReference and NewerFormat."""
    record, png = _read_bytes(place.json), place.png.read_bytes()
    with_picture(parse_record(place.id, record), place.label, png)
    return place, png, record


def remove_if_empty(folder: Path, label: str) -> None:
    """Remove a gesture's folder that holds no reference any more."""
    try:
        if os.listdir(folder) != [GESTURE]:
            return
        (folder / GESTURE).unlink()
    except FileNotFoundError:  # another program was as quick
        return
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return
    except OSError:  # another program adds to it at this moment
        with contextlib.suppress(FileNotFoundError):
            write_label(folder, label)


def set_aside(gallery: Path, files: list[Path]) -> Path:
    """Move a folder's damaged files under .damaged, keeping their names. Returns their folder."""
    folder = gallery / DAMAGED / files[0].parent.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            os.replace(file, folder / file.name)
    return folder


def clean_leftovers(gallery: Path) -> None:
    """Remove what killed programs left behind. Never fails: the next recording tries again."""
    ours = (TEMPORARY, NEW, DELETED)
    for folder in [gallery, gallery / CACHE, *list_folders(gallery)]:
        with contextlib.suppress(OSError):
            for path in [folder / n for n in os.listdir(folder) if n.startswith(ours)]:
                if time.time() - path.stat().st_mtime > LEFTOVER_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _read_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        raise DamagedReference("it is too long")
    return data
