"""Hands to calibrate with and to measure on: from what `prepare` wrote, or from a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from calibration.int8.crops import HandCrops
from engines.errors import UserError
from engines.say import console, warn
from realtime.hands.detector import cut_hand, encoder_inputs
from realtime.measuring.evaluate import subjects_and_labels
from realtime.measuring.folder import NO_HAND, scan
from realtime.picture_files import list_pictures
from train.pictures.augment import as_stored
from train.pictures.prepared import Prepared, load_prepared


@dataclass(frozen=True)
class Source:
    """N pictures, not yet looked at. labels, subjects and names str (N,); fetch: rows → the hands
    in them, fewer where there is none in a picture."""

    labels: np.ndarray
    subjects: np.ndarray
    names: np.ndarray
    fetch: Callable[[np.ndarray], HandCrops]


def source(pictures: Path, crop_size: int, hand_model: Callable[[], Path]) -> Source:
    """pictures: FILE.npz of `prepare`, or a folder <subject>/<label>/<image>; hand_model: gives
    MediaPipe's, asked only for a folder. Raises UserError where there is nothing of the kind."""
    if pictures.suffix == ".npz":
        return prepared_source(load_prepared([pictures]), crop_size)
    if pictures.is_dir():
        return _folder_source(pictures, crop_size, hand_model)
    raise UserError(
        f"--pictures takes a folder of pictures, <subject>/<label>/<image>, or FILE.npz of "
        f"`run.py prepare`; {pictures} is neither."
    )


def prepared_source(data: Prepared, crop_size: int) -> Source:
    """Labels are "set/label": what two sets call alike need mean nothing in common."""
    labels = np.char.add(np.char.add(data.sets, "/"), data.labels)
    names = np.char.add(np.char.add(data.sets, "/"), data.paths)

    def fetch(rows: np.ndarray) -> HandCrops:
        crops = np.empty((len(rows), crop_size, crop_size, 3), np.uint8)
        for i, row in enumerate(rows.tolist()):
            crop = as_stored(data.crop(row), crop_size)
            crops[i] = np.rint(crop.transpose(1, 2, 0) * 255)
        points, world = data.landmarks[rows], data.world_landmarks[rows]
        return HandCrops(crops, points, world, labels[rows], data.subjects[rows], names[rows])

    return Source(labels, data.subjects, names, fetch)


def _folder_source(folder: Path, crop_size: int, hand_model: Callable[[], Path]) -> Source:
    paths = list_pictures(folder, recursive=True)
    if not paths:
        raise UserError(f"There are no pictures (jpg, png, …) in or below {folder}.")
    names = [path.relative_to(folder).as_posix() for path in paths]
    subjects, labels = subjects_and_labels(names)

    def fetch(rows: np.ndarray) -> HandCrops:
        chosen = [paths[row] for row in rows.tolist()]
        hands, found = [], []
        seen = zip(rows.tolist(), scan(chosen, hand_model()), strict=True)
        quiet = not console.is_terminal
        for row, what in track(seen, "hands", len(rows), console=console, disable=quiet):
            if isinstance(what, str):
                if what != NO_HAND:
                    warn(what)
                continue
            hands.append(cut_hand(*what, crop_size, True))
            found.append(row)
        if not hands:
            raise UserError(
                f"No hand is found in any of {len(chosen)} pictures in {folder}. Name a folder of "
                "pictures that show hands: <subject>/<label>/<image>."
            )
        return HandCrops(
            *encoder_inputs(hands), labels[found], subjects[found], np.array(names)[found]
        )

    return Source(labels, subjects, np.array(names), fetch)
