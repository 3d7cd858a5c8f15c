"""The gallery: recorded references on disk, shared by programs that may run at the same time.

Pictures, landmarks and sides are the truth; embeddings are only a cache of them. Programs don't
lock each other out: each step is one rename, and a step whose folder has gone is tried again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from engines.encoder import Encoder
from engines.errors import UserError, short_reason
from engines.files import explain_errors
from engines.say import how_many
from realtime.gallery import files, gesture_file, trash
from realtime.gallery.cache import Cache, cache_name
from realtime.gallery.files import CACHE, Stored
from realtime.gallery.index import GalleryIndex, Vectors, build_index, content_of, view_keys
from realtime.gallery.item import Files, check_files, to_files
from realtime.gallery.labels import check_label, folder_key, free_name
from realtime.gallery.reading import GalleryReader
from realtime.gallery.reference import NEGATIVE, Reference, View, make_reference, new_id

__all__ = ["Gallery", "GalleryIndex", "Reference", "View", "make_reference"]

TRIES = 50  # of a step that another program got in the way of; one is nearly always enough


class Gallery:
    """The references in a folder, read afresh at each call; the first recording makes it.

    Raises UserError where the folder is a file or can't be read; so do all methods. What is
    damaged in it is no error: it is moved to .damaged in it, with a warning.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        _check_links(self.folder)
        self._reader = GalleryReader(self.folder)
        self._vectors: dict[str, tuple[Vectors, Cache]] = {}  # by fingerprint and cache name
        self.stamp()  # fails where nothing can be read

    def references(self) -> list[Reference]:
        """All references, sorted by label, then id (as they were recorded)."""
        read = self._reader.read
        loaded = [read(place, files.read_reference) for place in self._reader.places()]
        return [reference for reference in loaded if reference is not None]

    def pictures(self, ids: Collection[str]) -> dict[str, np.ndarray]:
        """References' first pictures by id, uint8 (K, K, 3) BGR; without what has gone."""
        places = [place for place in self._reader.places() if place.id in ids]
        read = {place.id: self._reader.read(place, files.read_picture) for place in places}
        return {id: picture for id, picture in read.items() if picture is not None}

    def read_all_files(self) -> Iterator[tuple[Stored, Files]]:
        """Where each reference lies, with its files, checked; also those of an unknown kind."""
        for place in self._reader.places():
            if (found := self._reader.read(place, files.read_files)) is not None:
                yield place, found

    def labels(self) -> dict[str, int]:
        """How many references each gesture has, sorted by label; counted without opening them."""
        return dict(Counter(place.label for place in self._reader.places() if not place.negative))

    def negatives(self) -> dict[str, int]:
        """How many negative references each gesture has that has some."""
        return dict(Counter(place.label for place in self._reader.places() if place.negative))

    def fars(self) -> dict[str, float]:
        """The false-accept rates of the gestures that have one of their own."""
        found = [(label, gesture_file.read_far(folder)) for folder, label in self._reader.folders()]
        return {label: far for label, far in found if far is not None}

    def views(self) -> dict[str, int]:
        """How many views the references of each gesture have together; their pictures, counted."""
        counts: dict[str, int] = {}
        for place in self._reader.places():
            if not place.negative:
                counts[place.label] = counts.get(place.label, 0) + len(place.pictures())
        return counts

    def describe(self) -> str:
        """How many gestures are recorded where: a sentence for people."""
        return f"{how_many(len(self.labels()), 'recorded gesture')} in {self.folder}"

    def ids(self) -> set[str]:
        """The ids of all references."""
        return {place.id for place in self._reader.places()}

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Cheap, and different once any program has changed a gesture."""
        return self._reader.stamp()

    def add(self, reference: Reference, replace: bool = False) -> Reference:
        """Store a reference; on the disk when this returns, whole or not at all.

        Args:
            replace: the gesture's other references go to the trash, once this one is there; of a
                negative reference, its other negative ones.
        Returns:
            The reference as stored: its label in NFC, and with a new id where its own doesn't sort
            behind all that there were, as after the clock was set back.
        """
        label = check_label(reference.label)
        places = self._reader.places()
        id = self._id_behind({place.id for place in places}, reference.id)
        reference = dataclasses.replace(reference, label=label, id=id)
        negative = reference.kind == NEGATIVE
        replaced = [p for p in places if replace and (p.label, p.negative) == (label, negative)]
        with self._deletion(why=id) if replaced else contextlib.nullcontext() as entry:
            self._write(label, id, to_files(reference))
            if entry is not None:
                trash.put_references(entry, replaced)
        return reference

    def add_files(self, label: str, id: str, item: Files, far: float | None = None) -> None:
        """Store a reference as its files, byte for byte, `label` as check_label gives it.

        Args:
            far: the gesture's own false-accept rate, where the gesture isn't there yet.
        Raises:
            DamagedReference: they hold no reference; those of an unknown kind may hold any.
        """
        check_files(id, item)
        self._write(label, id, item, far)

    def _write(self, label: str, id: str, item: Files, far: float | None = None) -> None:
        files.clean_leftovers(self.folder)
        taken: set[str] = set()
        path = self.folder
        try:
            for _ in range(TRIES):
                # Names first: a folder that comes in after them is found by its label, or else
                # is in the way of publishing.
                names = taken | self._reader.names()
                folder = next((f for f, there in self._reader.folders() if there == label), None)
                path = folder or self.folder / free_name(label, names)
                try:
                    if folder is not None:
                        files.write_item(path, item)
                        return
                    if files.publish_gesture(path, label, item, far):
                        return
                    taken.add(path.name)
                except FileNotFoundError:  # deleted or renamed by another program: once more
                    continue
        except OSError as error:
            file = path / Path(error.filename or id).name
            raise UserError(
                f"{file} can't be written ({short_reason(error)}) and nothing was recorded: free "
                "some space, or choose a --gallery folder you may write to."
            ) from None
        raise UserError(f"{path} can't be written: other programs keep changing it. Try again.")

    def rename(self, old: str, new: str) -> None:
        """Give a gesture another label. UserError where `old` isn't there or `new` is already."""
        old, new = check_label(old), check_label(new)
        folders = self._folders_of(old)
        if new in self.labels():
            raise UserError(
                f"{old!r} can't be renamed to {new!r}: there is a gesture of that name already. "
                "Choose another name, or delete that one first."
            )
        for folder in folders:
            with explain_errors(f"{folder} can't be renamed"):
                far = gesture_file.read_far(folder)
                gesture_file.write_label(folder, new, far)  # from here on it has the new label
                names = self._reader.names()
            others = {n for n in names if folder_key(n) != folder_key(folder.name)}
            with contextlib.suppress(OSError):  # the folder's name is only for people to read
                os.rename(folder, self.folder / free_name(new, others))

    def delete(self, label: str) -> None:
        """Move a gesture to the trash. UserError where there is none, naming those there are."""
        label = check_label(label)
        folders = self._folders_of(label)
        with self._deletion() as entry:
            for folder in folders:
                trash.put_gesture(entry, folder, label)

    def delete_reference(self, id: str) -> None:
        """Move one reference to the trash; the gesture goes with its last.

        Raises UserError where there is none.
        """
        everything = self._reader.places()
        places = [place for place in everything if place.id == id]
        if not places:
            raise UserError(f"{self.folder} has no recording {id!r}: it may be deleted already.")
        own = [place for place in everything if place.label == places[0].label]
        if all(place.negative or place.id == id for place in own):
            places = own
        with self._deletion() as entry:
            trash.put_references(entry, places)

    def check_there(self, label: str) -> None:
        """Raise UserError where a gesture isn't there, naming those there are."""
        self._folders_of(check_label(label))

    def clear_negatives(self, label: str) -> int:
        """Move a gesture's negative references to the trash. Returns how many. Raises UserError."""
        label = check_label(label)
        places = [p for p in self._reader.places() if p.label == label and p.negative]
        if not places:
            self.check_there(label)
            raise UserError(f"Nothing was taught that isn't {label!r}.")
        with self._deletion() as entry:
            trash.put_references(entry, places)
        return len(places)

    def set_far(self, label: str, far: float | None) -> None:
        """Give a gesture a false-accept rate of its own; None: none. Raises UserError."""
        label = check_label(label)
        if far is not None and not 0.0 < far < 1.0:
            raise UserError(f"A false-accept rate lies between 0 and 1, such as 0.001; got {far}.")
        for folder in self._folders_of(label):
            with explain_errors(f"{folder} can't be changed"):
                gesture_file.write_label(folder, label, far)

    def undo(self) -> str:
        """Bring back what was deleted last. Returns its label. Raises UserError.

        What was replaced changes places with what replaced it. What is damaged is set aside with a
        warning; where nothing is left of a deletion, the one before it comes back.
        """
        with explain_errors(f"{self.folder / trash.TRASH} can't be read"):
            deletions = trash.list_deletions(self.folder)
        for deletion in deletions:
            places = deletion.places
            restored = [place for place in places if self._restore(place)]
            with explain_errors(f"{places[0].folder} can't be emptied"):
                trash.forget(places)
            if restored:
                self._put_away(deletion.replaced_by, restored[0].label)
                return restored[0].label
        raise UserError(f"Nothing was deleted from {self.folder} that could be brought back.")

    def embeddings(
        self,
        encoder: Encoder,
        mirror_hands: bool = True,
        *,
        newest: int | None = None,
        last: GalleryIndex | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> GalleryIndex:
        """The embeddings of all references; pictures are opened only where the cache lacks them.

        Threads may call it at the same time. What one has embedded is there for all.

        Args:
            mirror_hands: either hand may show a gesture.
            newest: only so many references are embedded, the newest, and the cache's file isn't
                looked at; of the others, those that aren't embedded yet are left out. None: all.
            last: an index, given back where it is still the right one.
            progress: called with the number of references embedded, and how many are to be. What
                it raises ends it.
        """
        records, load = [], []
        for place, record in self._reader.records():
            records.append((place.label, record))
            load.append(functools.partial(self._reader.read, place, files.read_views))
        fars = tuple(sorted(self.fars().items()))
        if last is not None and (last.content, last.fars) == (content_of(records), fars):
            return last
        # Kept in memory too: a gallery on a read-only disk has no other cache.
        name = cache_name(encoder, mirror_hands)
        new: tuple[Vectors, Cache] = {}, Cache(self.folder / CACHE / name)
        known, cache = self._vectors.setdefault(encoder.fingerprint + name, new)
        if newest is None:
            known.update(cache.read(encoder))
        index = build_index(records, load, encoder, mirror_hands, known, newest, progress)
        if newest is None:
            keys = [k for _, record in records for k in view_keys(record, encoder, mirror_hands)]
            cache.write(encoder, {key: known[key] for key in keys if key in known})
        return dataclasses.replace(index, fars=fars)

    def _id_behind(self, there: set[str], id: str) -> str:
        """The id, or one made anew where it doesn't sort behind those here and in the trash.

        Who deletes the newest reference means the one that was recorded last.
        """
        trashed: set[str] = set()
        with contextlib.suppress(OSError):  # a trash that can't be read
            trashed = trash.ids(self.folder)
        last = all(other < id for other in there | trashed)
        return id if last or id in trashed - there else new_id(behind=there | trashed)

    def _put_away(self, id: str, label: str) -> None:
        """Take a reference out of the gallery that an undo brings the older ones back for."""
        places = [p for p in self._reader.places() if (p.id, p.label) == (id, label)]
        if places:
            with self._deletion(why=trash.UNDONE) as entry:
                trash.put_references(entry, places)

    @contextlib.contextmanager
    def _deletion(self, why: str = "") -> Iterator[Path]:
        """A new entry of the trash, for the files of one deletion; `why` as in trash.py."""
        trash_folder = self.folder / trash.TRASH
        with explain_errors(f"{trash_folder} can't be written, so nothing was deleted"):
            entry = trash.new_entry(self.folder, why)
        try:
            with explain_errors(f"{self.folder} can't be changed"):
                yield entry
        finally:
            trash.prune(self.folder, entry)

    def _restore(self, place: Stored) -> bool:
        """Bring one reference back from the trash. False where it is damaged or has gone."""
        if (found := self._reader.read(place, files.read_files)) is None:
            return False
        if place.id not in self.ids():
            self.add_files(place.label, place.id, found, gesture_file.read_far(place.folder))
        return True

    def _folders_of(self, label: str) -> list[Path]:
        """The folders of a gesture that has references. Raises UserError where it has none."""
        labels = self.labels()
        if label not in labels:
            there = "it holds " + ", ".join(map(repr, labels)) if labels else "it is empty"
            raise UserError(f"{self.folder} has no gesture {label!r}: {there}.")
        return [folder for folder, its in self._reader.folders() if its == label]


def _check_links(folder: Path) -> None:
    """Raise UserError where a folder is, or lies behind, a link that leads nowhere."""
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            raise UserError(
                f"The gallery {folder} can't be used: {path} is a link to {os.readlink(path)}, "
                "which isn't there. Connect the disk that it is on, or name another --gallery."
            )
