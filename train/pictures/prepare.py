"""`run.py prepare`: run the live loop's detector and crops over people's pictures, for training.

Shards beside the output file keep finished pictures, so that an interrupted run can be resumed.
Needs no PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track
from rich.table import Table

from engines.errors import UserError
from engines.files import explain_errors, replace_file
from engines.say import console, plain, tell
from realtime.hands.detector import Detector
from realtime.hands.geometry import canonical_world, crop_landmarks, cut, upright_square
from realtime.measuring.folder import NO_HAND, scan, subjects_and_labels
from realtime.picture_files import list_pictures
from realtime.types import Detection
from train.pictures.prepared import (
    MARGIN,
    STORED_SIZE,
    VERSION,
    WITHOUT_HAND,
    StoredHand,
    from_arrays,
    to_arrays,
)

SHARD_SIZE = 256  # pictures: about half a minute of work
WEBP_QUALITY = 80
MAX_LOST_SHARE = 0.1  # of a label's pictures; the summary names labels that lose more
MAX_LISTED = 12  # labels, or unreadable pictures, in the summary


@dataclass(frozen=True)
class PictureFile:
    """A picture to prepare.

    Attributes:
        file: Its file.
        set: Name of its data set.
        path: Its path below the set's folder, with "/".
        subject: Who is in it.
        label: The gesture it shows.
        key: Identifies it in a shard; changes with the picture and with the detector.
    """

    file: Path
    set: str
    path: str
    subject: str
    label: str
    key: str


def prepare(
    folders: Sequence[Path],
    open_detector: Callable[[], Detector],
    seen_with: str,
    out: Path,
    shard_size: int = SHARD_SIZE,
) -> None:
    """Store the largest hand of each <folder>/<subject>/<label>/<image>, and print a summary.

    Args:
        folders: The data sets, each named after its folder.
        open_detector: Opens a detector of single pictures.
        seen_with: What identifies the detector and its networks.
        out: The .npz file to write.
        shard_size: Pictures per shard: the most that a killed run loses.

    Raises:
        UserError: No picture or no hand was found, or the file can't be written.
    """
    if out.suffix != ".npz" or out.is_dir():
        raise UserError(f"--out takes the name of a file that ends in .npz; got {out}.")
    pictures = _collect_pictures(folders, seen_with)
    shards = out.with_name(f".{out.name}.part")
    hands = _read_shards(shards)
    left = [picture for picture in pictures if picture.key not in hands]
    if len(left) < len(pictures):
        tell(f"Resuming: {len(pictures) - len(left)} of {len(pictures)} pictures are done already.")
    try:
        unreadable = _find_hands(left, open_detector, hands, shards, shard_size)
    except KeyboardInterrupt:
        tell("The pictures done so far are kept: the same command goes on from there.")
        raise
    results = [hands.get(picture.key, WITHOUT_HAND) for picture in pictures]
    found = np.array([hand.side != "" for hand in results])
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
        **to_arrays([hand for hand in results if hand.side]),
        "set": sets[found],
        "subject": np.array([picture.subject for picture in pictures])[found],
        "label": np.array([picture.label for picture in pictures])[found],
        "path": paths[found],
        "missing_set": sets[~found],
        "missing_path": paths[~found],
        "missing_reason": reasons[~found],
        "version": np.array(VERSION),
        "margin": np.array(MARGIN),
        "stored": np.array(STORED_SIZE),
    }
    whole = shards / "whole.npz"  # so that a kill leaves nothing outside the shards' folder
    _write(whole, arrays)
    with explain_errors(f"{out} can't be written"):
        os.replace(whole, out)
    shutil.rmtree(shards, ignore_errors=True)
    print_summary(out)


def _collect_pictures(folders: Sequence[Path], seen_with: str) -> list[PictureFile]:
    """List the pictures of all sets, sorted by path within each set."""
    sets: dict[str, Path] = {}
    pictures = []
    for folder in folders:
        whole = folder.resolve()
        name = whole.name
        if name in sets:
            raise UserError(
                f"{sets[name]} and {folder} would both be the set {name!r}: a set is named after "
                "its folder. Rename one of them."
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
            pictures.append(PictureFile(file, name, path, subject, label, key))
    return pictures


def _find_hands(
    pictures: Sequence[PictureFile],
    open_detector: Callable[[], Detector],
    hands: dict[str, StoredHand],
    shards: Path,
    shard_size: int,
) -> dict[str, str]:
    """Find each picture's hand and add it to `hands`, by the picture's key, and to a shard.

    Returns:
        Key → why the picture can't be read. These are in no shard, so that they are tried again.
    """
    unreadable: dict[str, str] = {}
    fresh: dict[str, StoredHand] = {}
    results = track(
        scan([picture.file for picture in pictures], open_detector),
        "hands",
        total=len(pictures),
        console=console,
        disable=not console.is_terminal,
    )
    try:
        for picture, result in zip(pictures, results, strict=True):
            if result == NO_HAND:
                fresh[picture.key] = WITHOUT_HAND
            elif isinstance(result, str):
                short = f"{picture.set}/{picture.path}"
                unreadable[picture.key] = result.replace(str(picture.file), short)
            else:
                fresh[picture.key] = encode_hand(*result)
            if len(fresh) == shard_size:
                _write_shard(fresh, shards)
                hands.update(fresh)
                fresh = {}
    finally:  # after the last picture, and at Ctrl-C
        if fresh:
            _write_shard(fresh, shards)
            hands.update(fresh)
    return unreadable


def encode_hand(image: np.ndarray, detection: Detection) -> StoredHand:
    """Cut a hand as the live loop does, but with a margin, out of its uint8 (H, W, 3) BGR image."""
    mirror = detection.side == "left"
    square = upright_square(detection.landmarks)
    crop = cut(image, replace(square, width=square.width * MARGIN), STORED_SIZE, mirror)
    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
    return StoredHand(
        detection.side,
        cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])[1].tobytes(),
        crop_landmarks(detection.landmarks, square, mirror).astype(np.float16),
        canonical_world(detection.world_landmarks, mirror).astype(np.float16),
        -square.angle if mirror else square.angle,
    )


def _write_shard(hands: Mapping[str, StoredHand], shards: Path) -> None:
    name = hashlib.sha256("".join(hands).encode()).hexdigest()[:16]
    arrays = {"key": np.array([*hands]), **to_arrays([*hands.values()])}
    _write(shards / f"{name}.shard.npz", arrays)


def _read_shards(shards: Path) -> dict[str, StoredHand]:
    """Read the hands of all shards, by the keys of their pictures."""
    hands: dict[str, StoredHand] = {}
    for shard in shards.glob("*.shard.npz"):
        try:
            with open(shard, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                hands.update(zip(file["key"].tolist(), from_arrays(file), strict=True))
        except Exception:  # a damaged shard, in any way: its pictures are done again
            continue
    return hands


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    remedy = "Make room, or give permission; the same command goes on from there."
    with explain_errors(f"{path.parent} can't be written to", remedy):
        path.parent.mkdir(exist_ok=True)
        with replace_file(path) as file:
            np.savez_compressed(file, **arrays)


def print_summary(file: Path) -> None:
    """Print to stderr what a file of `prepare` holds, and which pictures it lacks and why."""
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
        table.add_row(plain(name), *map(str, counts))
    console.print(table)
    places = np.char.add(np.char.add(sets, "/"), labels)
    total, lost = Counter(places.tolist()), Counter(places[~found].tolist())
    worst = sorted((-lost[place] / total[place], place) for place in lost)
    poor = [
        f"{place} {lost[place]} of {total[place]}"
        for share, place in worst
        if -share > MAX_LOST_SHARE
    ]
    if poor:
        rest = f" and {len(poor) - MAX_LISTED} more" if len(poor) > MAX_LISTED else ""
        listed = ", ".join(poor[:MAX_LISTED])
        tell(f"Labels that lose over {MAX_LOST_SHARE:.0%} of their pictures: {listed}{rest}.")
    unreadable = [reason for reason in reasons.tolist() if reason != NO_HAND]
    for reason in unreadable[:MAX_LISTED]:
        tell(f"Unreadable: {reason}")
    if len(unreadable) > MAX_LISTED:
        tell(f"Unreadable: {len(unreadable) - MAX_LISTED} more.")
    tell(f"Wrote {file}: {found.sum()} hands, {file.stat().st_size / 1e6:.1f} MB.")
