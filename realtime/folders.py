"""List files below a folder: one rule for the whole program.

Links are followed, and each folder is listed once, so that loops of links end. What the system and
other programs keep for themselves is left out. What is left out is counted and named.
"""

from __future__ import annotations

import os
import zipfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import UserError
from engines.files import explain_errors
from engines.say import warn_once
from realtime.names import enumerate_names, readable
from realtime.picture_files import reads_heic
from realtime.picture_header import HEAD, format_of

# Files with these suffixes are meant to be pictures, whatever is in them.
PICTURES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff"}
PICTURES |= {".gif", ".avif", ".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".heic", ".heif"}
HEIC = {".heic", ".heif"}
FILMS = {".mjpeg", ".mjpg"}  # begin as a JPEG file does
# Names, without regard to case, that file managers, archives, notebooks and network disks use.
HOUSEKEEPING = {"__macosx", "__pycache__", "@eadir", "#recycle", "@recycle", "$recycle.bin"}
HOUSEKEEPING |= {"recycler", "system volume information", "lost+found", "thumbnails", "trash"}
HOUSEKEEPING |= {"thumbs.db", "desktop.ini"}
HIDDEN = "hidden or kept by a program"
FILE, FOLDER = "file", "folder"


@dataclass
class Listing:
    """What was found below a folder, by names relative to it, with "/".

    Attributes:
        files: Files.
        folders: Folders.
        skipped: Why something was left out → its names.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, name: str, why: str) -> None:
        """Note that a name was left out."""
        self.skipped.setdefault(why, []).append(name)


def list_folder(folder: Path, recursive: bool = True) -> Listing:
    """List the files in a folder, and below it if `recursive`; names are sorted.

    Raises:
        OSError: `folder` can't be listed.
    """
    found = Listing()
    # Linked folders come last, so that a folder is listed by its own name, not by a link's.
    waiting, links = deque([""]), deque[str]()
    seen = set()
    while waiting or links:
        name = waiting.popleft() if waiting else links.popleft()
        place = os.path.realpath(folder / name)
        if place in seen:
            found.skip(name, "link to a folder that is listed already")
            continue
        seen.add(place)
        try:
            with os.scandir(folder / name) as entries:
                here = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if not name:
                raise
            found.skip(name, "folder that can't be read")
            continue
        if name:
            found.folders.append(name)
        for entry in here:
            path = f"{name}/{entry.name}" if name else entry.name
            kind = _kind(entry)
            if is_housekeeping(entry.name):
                if kind == FOLDER or _is_own_picture(entry.name):
                    found.skip(path, HIDDEN)
            elif kind == FILE:
                found.files.append(path)
            elif kind != FOLDER:
                found.skip(path, kind)
            elif recursive:
                (links if entry.is_symlink() else waiting).append(path)
    found.files.sort(key=_parts)
    found.folders.sort(key=_parts)
    return found


def list_zip(archive: zipfile.ZipFile) -> Listing:
    """The same of an archive."""
    found = Listing()
    hidden: dict[str, None] = {}  # an ordered set
    for name in archive.namelist():
        parts = name.split("/")
        first = next((i for i, part in enumerate(parts) if part and is_housekeeping(part)), None)
        if first is None:
            (found.folders if name.endswith("/") else found.files).append(name.rstrip("/"))
        elif first < len(parts) - 1 or _is_own_picture(parts[first]):
            hidden["/".join(parts[: first + 1])] = None
    for name in hidden:
        found.skip(name, HIDDEN)
    found.files.sort(key=_parts)
    found.folders.sort(key=_parts)
    return found


def is_housekeeping(name: str) -> bool:
    """Whether a file or folder of that name belongs to the system or another program."""
    return name.startswith(".") or name.lower() in HOUSEKEEPING


def choose_pictures(found: Listing, head_of: Callable[[str], bytes]) -> list[str]:
    """The pictures among the files; the others are noted as left out.

    Args:
        found: The files.
        head_of: Reads the first HEAD bytes of a file; called where the suffix doesn't decide.
    """
    pictures = []
    for name in found.files:
        suffix = os.path.splitext(name)[1].lower()
        if suffix in HEIC and not reads_heic():
            found.skip(name, "HEIC picture, which takes one more package: pip install pi-heif")
        elif suffix in PICTURES or (suffix not in FILMS and format_of(head_of(name))):
            pictures.append(name)
        else:
            found.skip(name, "no picture")
    return pictures


def list_pictures(folder: str | Path, recursive: bool = False, advice: str = "") -> list[Path]:
    """List the pictures in a folder, and below it if `recursive`, sorted by path.

    A file is a picture if its name says so or if it begins as a picture does. A warning counts and
    names what was left out.

    Args:
        folder: The folder.
        recursive: Whether to list the folders in it, too.
        advice: Sentences for the error where there are none.

    Raises:
        UserError: `folder` is no folder, can't be listed or holds no pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: expected a folder with pictures.")
    with explain_errors(f"The folder {folder} can't be listed"):
        found = list_folder(folder, recursive)
    pictures = choose_pictures(found, lambda name: head_of(folder / name))
    if not pictures:
        place = "There are no pictures (jpg, png, …) in or below {}"
        if not recursive:
            place = "The folder {} holds no picture (those in its folders don't count)"
        left_out = f"; left out: {describe_skipped(found)}" if found.skipped else ""
        raise UserError(f"{place.format(folder)}{left_out}. {advice}".rstrip())
    warn_skipped(folder, found)
    return [folder / name for name in pictures]


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name, or because it begins as a picture does."""
    suffix = path.suffix.lower()
    return suffix in PICTURES or (suffix not in FILMS and format_of(head_of(path)) is not None)


def head_of(path: Path) -> bytes:
    """The first HEAD bytes of a file; none where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return b""


def warn_skipped(folder: Path, found: Listing) -> None:
    """Say once what was left out of a folder."""
    if found.skipped:
        warn_once(f"Left out of {readable(str(folder))}: {describe_skipped(found)}.")


def describe_skipped(found: Listing) -> str:
    """What was left out: "2 × no picture (a.txt, b.txt), 1 × …"."""
    return ", ".join(
        f"{len(names)} × {why} ({enumerate_names(names)})" for why, names in found.skipped.items()
    )


def _kind(entry: os.DirEntry[str]) -> str:
    """FILE, FOLDER, or what it is instead."""
    try:
        if entry.is_dir():
            return FOLDER
        if entry.is_file():
            return FILE
    except OSError:  # a link to itself
        return "link that leads nowhere"
    return "link that leads nowhere" if entry.is_symlink() else "no regular file"


def _is_own_picture(name: str) -> bool:
    """Whether a hidden file is somebody's picture, and not what a system adds to each file."""
    return os.path.splitext(name)[1].lower() in PICTURES and not name.startswith("._")


def _parts(name: str) -> list[str]:
    return name.split("/")
