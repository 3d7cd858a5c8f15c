"""A gallery as one zip file, to carry elsewhere and to bring back.

The archive is laid out as the gallery is. Nothing in it is ever unpacked by its own name: files
named like an item's are read, checked as a reference, and stored like recordings. Items of a kind
that is unknown here are carried as they are.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from engines.errors import UserError
from engines.files import explain_errors, replace_file
from engines.say import how_many, warn
from realtime.gallery.gallery import Gallery
from realtime.gallery.gesture_file import GESTURE, label_json, parse_far, parse_label
from realtime.gallery.item import JSON, PICTURE, Files, picture_names
from realtime.gallery.labels import label_of_folder
from realtime.gallery.record import (
    LARGEST_JSON,
    LARGEST_PNG,
    DamagedPicture,
    DamagedReference,
    NewerFormat,
)

LARGEST_TOTAL = 1 << 30  # bytes, unpacked
# What zipfile raises about a broken archive or entry; an encrypted one is a RuntimeError.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)

Entries = dict[str, zipfile.ZipInfo]  # by file name


def export_zip(gallery: Gallery, path: Path) -> int:
    """Write all references to a zip file, whole or not at all. Returns how many.

    Raises UserError where there are none, or where the file can't be written.
    """
    if not path.name or path.is_dir():
        raise UserError(
            f"{path} can't be written: it is a folder. Name a file in it, such as a.zip."
        )
    with explain_errors(f"{path} can't be written"), replace_file(path) as file:
        return _write(gallery, file)


def import_zip(gallery: Gallery, path: Path) -> int:
    """Add an archive's references to those there are. Returns how many were new.

    Gestures of the same label become one; ids that the gallery has already are skipped, damaged
    references too, with a warning. Raises UserError for what is no archive of a gallery, for one
    with names or sizes that are not a gallery's (then nothing is added), and where writing fails.
    """
    count = 0
    with explain_errors(f"{path} can't be read"):
        try:
            archive = zipfile.ZipFile(path)
        except BROKEN:
            raise UserError(
                f"{path} is not a whole zip file: pass one that `gestures export` made."
            ) from None
        with archive:
            items = _items(archive, path)
            there = gallery.ids()
            for folder, id in sorted(items, key=lambda key: key[1]):
                its = items[folder, id]
                name = next(filter(JSON.fullmatch, sorted(its)), None)
                if name is None or id in there:
                    continue
                try:
                    label, far = _gesture(archive, items.get((folder, ""), {}), folder)
                    _add(gallery, label, far, id, _read_item(archive, id, name, its), path)
                except DamagedReference as error:
                    warn(f"{folder}/{name} in {path} is damaged ({error}) and was not imported.")
                except NewerFormat:
                    warn(f"{folder}/{name} in {path} needs a newer version of this program.")
                else:
                    there.add(id)
                    count += 1
    return count


def _write(gallery: Gallery, file: BinaryIO) -> int:
    count = total = 0
    folders: set[str] = set()
    fars = gallery.fars()
    with zipfile.ZipFile(file, "w") as archive:
        for place, files in gallery.read_all_files():
            if any(len(data) > _limit(name) for name, data in files.items()):
                warn(f"{place.json} is too large for an archive and is left out.")
                continue
            folder = place.folder.name
            if folder not in folders:
                folders.add(folder)
                _put(archive, f"{folder}/{GESTURE}", label_json(place.label, fars.get(place.label)))
            for name, data in files.items():
                _put(archive, f"{folder}/{name}", data)
            count += 1
            total += sum(map(len, files.values())) + 256  # gesture.json's share
            if total > LARGEST_TOTAL:
                raise UserError(
                    f"{gallery.folder} holds more than {LARGEST_TOTAL >> 20} MiB, more than an "
                    "import takes: copy the folder itself instead."
                )
    if not count:
        raise UserError(f"{gallery.folder} has no gestures to export: record one first.")
    return count


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name)  # with a fixed date: the same gallery gives the same file
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    pressed = name.endswith(".json")  # PNG is compressed already
    info.compress_type = zipfile.ZIP_DEFLATED if pressed else zipfile.ZIP_STORED
    archive.writestr(info, data)


def _items(archive: zipfile.ZipFile, path: Path) -> dict[tuple[str, str], Entries]:
    """What is named like a gallery's files, by folder and id; gesture.json has the id "".

    Raises UserError for what no export ever holds.
    """
    items: dict[tuple[str, str], Entries] = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        outside = name.startswith("/") or ".." in parts or re.match("[A-Za-z]:", name)
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(
                f"{path} was not imported: {info.filename!r} in it leads out of the gallery's "
                "folder. Pass a zip file that `gestures export` made."
            )
        own = JSON.fullmatch(parts[-1]) or PICTURE.fullmatch(parts[-1]) if parts else None
        hidden = name.endswith("/") or any(part.startswith((".", "__MACOSX")) for part in parts)
        if (own or parts[-1:] == (GESTURE,)) and not hidden and len(parts) > 1:
            item = items.setdefault(("/".join(parts[:-1]), own[1] if own else ""), {})
            item[parts[-1]] = info
    if not any(id for _, id in items):
        raise UserError(
            f"{path} has no recorded gestures in it: pass a zip file that `gestures export` made."
        )
    entries = [entry for item in items.values() for entry in item.values()]
    large = any(entry.file_size > _limit(entry.filename) for entry in entries)
    if large or sum(entry.file_size for entry in entries) > LARGEST_TOTAL:
        raise UserError(
            f"{path} was not imported: it unpacks to more than recorded gestures take. Pass a zip "
            "file made by exporting a gallery."
        )
    return items


def _limit(name: str) -> int:
    return LARGEST_PNG if name.endswith(".png") else LARGEST_JSON


def _gesture(archive: zipfile.ZipFile, entries: Entries, folder: str) -> tuple[str, float | None]:
    """The label of the archive's folder, as in a gallery, and its false-accept rate if it has one.

    Raises DamagedReference, NewerFormat.
    """
    try:
        if GESTURE not in entries:
            return label_of_folder(folder.rsplit("/", 1)[-1]), None
        data = _read(archive, entries[GESTURE])
        return parse_label(data), parse_far(data)
    except UserError:
        raise DamagedReference("its gesture has no name") from None


def _read_item(archive: zipfile.ZipFile, id: str, name: str, entries: Entries) -> Files:
    """The files of the item whose JSON is `name`. Raises DamagedReference."""
    record = _read(archive, entries[name])
    pictures = picture_names(id, record, [other for other in entries if PICTURE.fullmatch(other)])
    there = [picture for picture in pictures if picture in entries]
    if pictures and not there:
        raise DamagedReference("its picture is missing")
    if lost := len(pictures) - len(there):
        warn(f"{name} in the archive has lost {how_many(lost, 'picture')} of {len(pictures)}.")
    return {picture: _read(archive, entries[picture]) for picture in there} | {name: record}


def _add(gallery: Gallery, label: str, far: float | None, id: str, item: Files, path: Path) -> None:
    """Store an item without its damaged pictures, as long as one is whole."""
    try:
        gallery.add_files(label, id, item, far)
    except DamagedPicture as error:
        rest = {name: data for name, data in item.items() if name != error.file}
        if not any(map(PICTURE.fullmatch, rest)):
            raise
        _add(gallery, label, far, id, rest, path)
        warn(f"{error.file} in {path} is damaged ({error}) and was not imported.")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # Other methods than an export's fail in other ways; asking for no more bytes than declared
    # keeps a bomb from unpacking.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DamagedReference("it is compressed in an unknown way")
    try:
        with archive.open(entry) as file:
            return file.read(entry.file_size)
    except BROKEN as error:
        raise DamagedReference(str(error)) from None
