"""Reading a gallery that others change meanwhile: what has gone is skipped, what is damaged is
set aside with a warning, and neither stops the reader."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engines.errors import UserError, short_reason
from engines.files import explain_errors
from engines.say import warn
from realtime.gallery import files
from realtime.gallery.files import Stored
from realtime.gallery.labels import label_of_folder
from realtime.gallery.record import DamagedPicture, DamagedReference, NewerFormat

T = TypeVar("T")


class GalleryReader:
    """What lies in a gallery's folder now. Remembers only what it has warned about."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warned: set[str] = set()

    def folders(self) -> list[tuple[Path, str]]:
        """The gestures' folders with their labels; two may have the same one. Raises UserError."""
        with explain_errors(f"{self.folder} can't be read as a gallery"):
            folders = files.list_folders(self.folder)
        labelled = [(folder, self._label(folder)) for folder in folders]
        return [(folder, label) for folder, label in labelled if label is not None]

    def names(self) -> set[str]:
        """All names in the gallery, of files too. Raises OSError."""
        try:
            return set(os.listdir(self.folder))
        except FileNotFoundError:
            return set()

    def places(self) -> list[Stored]:
        """Where each reference lies, sorted by label, then id; they aren't opened."""
        places: list[Stored] = []
        for folder, label in self.folders():
            try:
                places += files.list_items(folder, label)
            except OSError as error:
                self._warn(f"{folder} can't be read ({short_reason(error)}) and is left out.")
        return sorted(places, key=lambda place: (place.label, place.id, place.folder))

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

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Each gesture's folder, its time of change in ns and how many files are in it."""
        stamps = []
        with explain_errors(f"{self.folder} can't be read as a gallery"):
            folders = files.list_folders(self.folder)
        for folder in folders:
            with contextlib.suppress(OSError):
                # The number tells changes apart that a coarse file system gives one time.
                stamps.append((folder.name, folder.stat().st_mtime_ns, len(os.listdir(folder))))
        return tuple(stamps)

    def _label(self, folder: Path) -> str | None:
        try:
            try:
                return files.read_label(folder)
            except DamagedReference as error:
                self._set_aside([folder / files.GESTURE], str(error))
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
