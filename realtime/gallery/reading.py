"""Reading a gallery that others change meanwhile: what has gone is skipped, what is damaged is
set aside with a warning, and neither stops the reader."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engines.errors import UserError, short_reason
from engines.files import explain_errors
from engines.say import warn
from realtime.gallery import files, gesture_file
from realtime.gallery.files import Stored
from realtime.gallery.labels import label_of_folder
from realtime.gallery.record import DamagedPicture, DamagedReference, NewerFormat, ReferenceRecord

T = TypeVar("T")
Stamp = tuple[str, int, int]  # a folder, its time of change in ns and how many files are in it
Records = list[tuple[Stored, ReferenceRecord]]
FRESH_NS = 2_000_000_000  # so coarse may a time of change be: two changes may share one


class GalleryReader:
    """What lies in a gallery's folder now. Threads may share it.

    It remembers what it has warned about, and the records of folders that don't change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warned: set[str] = set()
        self._records: dict[Stamp, Records] = {}

    def folders(self) -> list[tuple[Path, str]]:
        """The gestures' folders with their labels; two may have the same one. Raises UserError."""
        labelled = [(folder, self._label(folder)) for folder in self._gesture_folders()]
        return [(folder, label) for folder, label in labelled if label is not None]

    def names(self) -> set[str]:
        """All names in the gallery, of files too. Raises OSError."""
        try:
            return set(os.listdir(self.folder))
        except FileNotFoundError:
            return set()

    def places(self) -> list[Stored]:
        """Where each reference lies, sorted by label, then id; they aren't opened."""
        places = [place for folder, label in self.folders() for place in self._items(folder, label)]
        return sorted(places, key=_order)

    def records(self) -> Records:
        """Where each reference lies, with its record, sorted by label, then id.

        Only folders that have changed since the last call are opened.
        """
        now_ns = time.time_ns()
        kept: dict[Stamp, Records] = {}
        found: Records = []
        for folder in self._gesture_folders():
            stamp = _stamp(folder)
            records = None if stamp is None else self._records.get(stamp)
            if records is None:
                records, all_read = self._read_folder(folder)
                if not all_read or stamp is None or now_ns - stamp[1] < FRESH_NS:
                    stamp = None  # to be read again
            if stamp is not None:
                kept[stamp] = records
            found += records
        self._records = kept
        return sorted(found, key=lambda each: _order(each[0]))

    def read(self, place: Stored, how: Callable[[Stored], T]) -> T | None:
        """how(place), or None where the reference has gone, is damaged or can't be read."""
        try:
            return how(place)
        except DamagedPicture as error:
            damaged = place.folder / error.file
            if len(place.pictures()) > 1 and self._set_aside([damaged], str(error)):
                return self.read(place, how)  # of its other views
            self._set_aside_item(place, str(error))
        except FileNotFoundError:
            if place.json.exists():  # otherwise another program deleted it
                self._set_aside_item(place, "its picture is missing")
        except DamagedReference as error:
            self._set_aside_item(place, str(error))
        except NewerFormat:
            self._warn(f"{place.json} is of a newer version of this program and is left out.")
        except OSError as error:
            self._warn(f"{place.json} can't be read ({short_reason(error)}) and is left out.")
        return None

    def stamp(self) -> tuple[Stamp, ...]:
        """Each gesture's folder, its time of change in ns and how many files are in it."""
        stamps = [_stamp(folder) for folder in self._gesture_folders()]
        return tuple(stamp for stamp in stamps if stamp is not None)

    def _gesture_folders(self) -> list[Path]:
        with explain_errors(f"{self.folder} can't be read as a gallery"):
            folders = files.list_folders(self.folder)
            links = files.list_folders(self.folder, links=True)
        for link in links:
            self._warn(
                f"{link} is a link and is left out: a gallery holds the folders themselves. Copy "
                "it here, or name the gallery that it is in with --gallery."
            )
        return folders

    def _read_folder(self, folder: Path) -> tuple[Records, bool]:
        """A gesture's records, and whether all that is there could be read."""
        label = self._label(folder)
        places = [] if label is None else self._items(folder, label)
        read = [(place, self.read(place, files.read_record)) for place in places]
        records = [(place, record) for place, record in read if record is not None]
        return records, label is not None and len(records) == len(read)

    def _items(self, folder: Path, label: str) -> list[Stored]:
        try:
            return files.list_items(folder, label)
        except OSError as error:
            self._warn(f"{folder} can't be read ({short_reason(error)}) and is left out.")
        return []

    def _label(self, folder: Path) -> str | None:
        try:
            try:
                return gesture_file.read_label(folder)
            except DamagedReference as error:
                self._set_aside([folder / gesture_file.GESTURE], str(error))
                return label_of_folder(folder.name)
        except NewerFormat:
            self._warn(f"{folder} is of a newer version of this program and is left out.")
        except UserError as error:
            self._warn(f"{folder} is left out: {error}")
        except OSError as error:
            self._warn(f"{folder} can't be read ({short_reason(error)}) and is left out.")
        return None

    def _set_aside_item(self, place: Stored, why: str) -> None:
        try:
            pictures = place.pictures()
        except OSError:  # a folder that can't be listed keeps them
            pictures = []
        self._set_aside([place.json, *pictures], why)

    def _set_aside(self, damaged: list[Path], why: str) -> bool:
        """Move files out of the way, with a warning. Returns whether they are."""
        done = True
        try:
            moved = f"was set aside in {files.set_aside(self.folder, damaged)}"
        except OSError as error:  # a read-only gallery
            done, moved = False, f"is left out; it could not be set aside ({short_reason(error)})"
        self._warn(f"{damaged[0]} is damaged ({why}) and {moved}.")
        return done

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned:  # the gallery is read again and again while live
            self._warned.add(sentence)
            warn(sentence)


def _order(place: Stored) -> tuple[str, str, Path]:
    return place.label, place.id, place.folder


def _stamp(folder: Path) -> Stamp | None:
    """None where the folder can't be read."""
    with contextlib.suppress(OSError):
        # The number tells changes apart that a coarse file system gives one time.
        return folder.name, folder.stat().st_mtime_ns, len(os.listdir(folder))
    return None
