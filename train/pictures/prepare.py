"""`run.py prepare`: pictures through the live loop's own detector and crops, once, for training.

What was seen is kept in shards beside the file to write, so that a run that was cut off goes on
where it was. Needs no PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track
from rich.table import Table
from rich.text import Text

from engines.errors import UserError
from engines.files import explain_errors, replace_file
from engines.say import console, tell
from realtime.hands.geometry import canonical_world, crop_landmarks, cut, upright_square
from realtime.measuring.evaluate import subjects_and_labels
from realtime.measuring.folder import NO_HAND, scan
from realtime.picture_files import list_pictures
from realtime.types import Detection
from train.pictures.prepared import (
    MARGIN,
    NOTHING,
    STORED,
    VERSION,
    StoredHand,
    from_arrays,
    to_arrays,
)

SHARD = 256  # pictures, about half a minute's work
QUALITY = 80  # WebP's
LOST = 0.1  # share of a label's pictures without a hand from which on it is named
NAMED = 12  # labels, or unreadable pictures, at most


@dataclass(frozen=True)
class Picture:
    """file; its set; path below the set's folder, with /; subject; label; key: what a shard knows
    it by, which changes with the picture and with the hand model."""

    file: Path
    set: str
    path: str
    subject: str
    label: str
    key: str


def prepare(folders: Sequence[Path], model: Path, out: Path, shard_size: int = SHARD) -> None:
    """The largest hand of each <folder>/<subject>/<label>/<image> → one .npz, and a summary.

    Each folder is one set, named as the folder is; model: MediaPipe's; shard_size: pictures that
    a kill can cost. Raises UserError where there is nothing to write, or no place for it.
    """
    if out.suffix != ".npz" or out.is_dir():
        raise UserError(f"--out takes the name of a file that ends in .npz; got {out}.")
    pictures = _pictures(folders, model)
    shards = out.with_name(f".{out.name}.part")
    hands = _kept(shards)
    left = [picture for picture in pictures if picture.key not in hands]
    if len(left) < len(pictures):
        tell(f"Going on: {len(pictures) - len(left)} of {len(pictures)} pictures were seen before.")
    try:
        unreadable = _look(left, model, hands, shards, shard_size)
    except KeyboardInterrupt:
        tell("What was seen is kept: the same command goes on from there.")
        raise
    seen = [hands.get(picture.key, NOTHING) for picture in pictures]
    found = np.array([hand.side != "" for hand in seen])
    if not found.any():
        shutil.rmtree(shards, ignore_errors=True)
        raise UserError(
            f"No hand is found in any of the {len(pictures)} pictures ({len(unreadable)} can't be "
            "read): there is nothing to write."
        )
    sets = np.array([picture.set for picture in pictures])
    paths = np.array([picture.path for picture in pictures])
    reasons = np.array([unreadable.get(picture.key, NO_HAND) for picture in pictures])
    arrays = {
        **to_arrays([hand for hand in seen if hand.side]),
        "set": sets[found],
        "subject": np.array([picture.subject for picture in pictures])[found],
        "label": np.array([picture.label for picture in pictures])[found],
        "path": paths[found],
        "missing_set": sets[~found],
        "missing_path": paths[~found],
        "missing_reason": reasons[~found],
        "version": np.array(VERSION),
        "margin": np.array(MARGIN),
        "stored": np.array(STORED),
    }
    whole = shards / "whole.npz"  # so that a kill leaves nothing outside the shards' folder
    _write(whole, arrays)
    with explain_errors(f"{out} can't be written"):
        os.replace(whole, out)
    shutil.rmtree(shards, ignore_errors=True)
    print_summary(out)


def _pictures(folders: Sequence[Path], model: Path) -> list[Picture]:
    """All of all sets, in a steady order."""
    with explain_errors(f"The hand model {model} can't be read"):
        seen_with = hashlib.sha256(model.read_bytes()).hexdigest()
    sets: dict[str, Path] = {}
    pictures = []
    for folder in folders:
        whole = folder.resolve()
        name = whole.name
        if name in sets:
            raise UserError(
                f"{sets[name]} and {folder} would both be the set {name!r}: a set is named as its "
                "folder is. Rename one of them."
            )
        sets[name] = folder
        files = list_pictures(whole, recursive=True)
        if not files:
            raise UserError(f"There are no pictures (jpg, png, …) in or below {folder}.")
        paths = [file.relative_to(whole).as_posix() for file in files]
        try:
            subjects, labels = subjects_and_labels(paths)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
        rows = zip(files, paths, subjects.tolist(), labels.tolist(), strict=True)
        for file, path, subject, label in rows:
            state = file.stat()
            known_by = [VERSION, seen_with, str(file), state.st_size, state.st_mtime_ns]
            key = hashlib.sha256(json.dumps(known_by).encode()).hexdigest()
            pictures.append(Picture(file, name, path, subject, label, key))
    return pictures


def _look(
    pictures: Sequence[Picture],
    model: Path,
    hands: dict[str, StoredHand],
    shards: Path,
    shard_size: int,
) -> dict[str, str]:
    """Add each picture's hand to `hands` by its key, and to a shard; → key → why a picture can't
    be read. Such a one is in no shard: the reason may be gone the next time."""
    unreadable: dict[str, str] = {}
    fresh: dict[str, StoredHand] = {}
    seen = track(
        scan([picture.file for picture in pictures], model),
        "hands", total=len(pictures), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    try:
        for picture, view in zip(pictures, seen, strict=True):
            if view == NO_HAND:
                fresh[picture.key] = NOTHING
            elif isinstance(view, str):
                short = f"{picture.set}/{picture.path}"
                unreadable[picture.key] = view.replace(str(picture.file), short)
            else:
                fresh[picture.key] = stored_hand(*view)
            if len(fresh) == shard_size:
                _keep(fresh, shards)
                hands.update(fresh)
                fresh = {}
    finally:  # the rest, or what there is at Ctrl-C
        if fresh:
            _keep(fresh, shards)
            hands.update(fresh)
    return unreadable


def stored_hand(image: np.ndarray, detection: Detection) -> StoredHand:
    """A hand in its picture, uint8 (H, W, 3) BGR, as a live one is cut, but with a margin."""
    mirror = detection.side == "left"
    square = upright_square(detection.landmarks)
    crop = cut(image, replace(square, width=square.width * MARGIN), STORED, mirror)
    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
    return StoredHand(
        detection.side,
        cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes(),
        crop_landmarks(detection.landmarks, square, mirror).astype(np.float16),
        canonical_world(detection.world_landmarks, mirror).astype(np.float16),
    )


def _keep(hands: Mapping[str, StoredHand], shards: Path) -> None:
    name = hashlib.sha256("".join(hands).encode()).hexdigest()[:16]
    arrays = {"key": np.array([*hands]), **to_arrays([*hands.values()])}
    _write(shards / f"{name}.shard.npz", arrays)


def _kept(shards: Path) -> dict[str, StoredHand]:
    """Hands by key from whatever shards there are."""
    hands: dict[str, StoredHand] = {}
    for shard in shards.glob("*.shard.npz"):
        try:
            with open(shard, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                hands.update(zip(file["key"].tolist(), from_arrays(file), strict=True))
        except Exception:  # damaged, in a dozen ways: its pictures are looked at again
            continue
    return hands


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    remedy = "Make room, or give permission; the same command goes on from there."
    with explain_errors(f"{path.parent} can't be written to", remedy):
        path.parent.mkdir(exist_ok=True)
        with replace_file(path) as file:
            np.savez_compressed(file, **arrays)


def print_summary(file: Path) -> None:
    """What is in a file that `prepare` wrote, and what isn't and why, to stderr."""
    with np.load(file, allow_pickle=False) as data:
        sets = np.concatenate([data["set"], data["missing_set"]])
        paths = data["path"].tolist() + data["missing_path"].tolist()
        reasons = data["missing_reason"]
    subjects, labels = subjects_and_labels(paths)
    found = np.arange(len(paths)) < len(paths) - len(reasons)
    no_hand = np.concatenate([np.zeros(found.sum(), bool), reasons == NO_HAND])
    table = Table("set", "pictures", "people", "labels", "hands", "no hand", "unreadable")
    for name in dict.fromkeys(sets.tolist()):
        here = sets == name
        pictures, hands, without = (int((here & those).sum()) for those in (here, found, no_hand))
        people, shown = len(np.unique(subjects[here])), len(np.unique(labels[here]))
        counts = (pictures, people, shown, hands, without, pictures - hands - without)
        table.add_row(Text(name), *map(str, counts))
    console.print(table)
    places = np.char.add(np.char.add(sets, "/"), labels)
    total, lost = Counter(places.tolist()), Counter(places[~found].tolist())
    worst = sorted((-lost[place] / total[place], place) for place in lost)
    named = [f"{place} {lost[place]} of {total[place]}" for share, place in worst if -share > LOST]
    if named:
        rest = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        tell(f"Labels of which over {LOST:.0%} is lost: {', '.join(named[:NAMED])}{rest}.")
    unreadable = [reason for reason in reasons.tolist() if reason != NO_HAND]
    for reason in unreadable[:NAMED]:
        tell(f"Unreadable: {reason}")
    if len(unreadable) > NAMED:
        tell(f"Unreadable: {len(unreadable) - NAMED} more.")
    tell(f"Wrote {file}: {found.sum()} hands, {file.stat().st_size / 1e6:.1f} MB.")
