"""Hands for calibration and measurement, from a file of `run.py prepare` or a picture folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from calibration.int8.crops import HandCrops
from engines.errors import UserError
from engines.say import console, warn
from engines.spec import EncoderInputs
from realtime.hands.cutting import cut_hand, encoder_inputs
from realtime.hands.detector import Detector
from realtime.hands.geometry import turns_of
from realtime.measuring.folder import (
    NO_HAND,
    list_labelled,
    relative_names,
    scan,
    subjects_and_labels,
)
from train.pictures.augment import centre_crop
from train.pictures.prepared import Prepared, load_prepared


@dataclass(frozen=True)
class HandSource:
    """N labelled pictures whose hands are loaded on demand.

    Attributes:
        labels: str (N,), the gestures.
        subjects: str (N,), the people.
        names: str (N,), the picture files.
        fetch: Loads the hands of the given rows, int (R,); pictures without a hand are left out.
    """

    labels: np.ndarray
    subjects: np.ndarray
    names: np.ndarray
    fetch: Callable[[np.ndarray], HandCrops]


def open_source(
    pictures: Path, crop_size: int, open_detector: Callable[[], Detector]
) -> HandSource:
    """Open a file of `run.py prepare` or a folder of pictures.

    Args:
        pictures: FILE.npz, or a folder <subject>/<label>/<image>.
        crop_size: Width of the crops, px.
        open_detector: Opens a detector of single pictures; called only for a folder.

    Raises:
        UserError: `pictures` is neither, or holds no pictures.
    """
    if pictures.suffix == ".npz":
        return open_prepared(load_prepared([pictures]), crop_size)
    if pictures.is_dir():
        return _open_folder(pictures, crop_size, open_detector)
    raise UserError(
        f"--pictures takes a folder of pictures, <subject>/<label>/<image>, or FILE.npz of "
        f"`run.py prepare`; {pictures} is neither."
    )


def open_prepared(data: Prepared, crop_size: int) -> HandSource:
    """Serve prepared hands. Labels are "set/label": a name may mean two gestures in two sets."""
    labels = np.char.add(np.char.add(data.sets, "/"), data.labels)
    names = np.char.add(np.char.add(data.sets, "/"), data.paths)

    def fetch(rows: np.ndarray) -> HandCrops:
        crops = np.empty((len(rows), crop_size, crop_size, 3), np.uint8)
        for i, row in enumerate(rows.tolist()):
            crop = centre_crop(data.crop(row), crop_size)
            crops[i] = np.rint(crop.transpose(1, 2, 0) * 255)
        points, world = data.landmarks[rows], data.world_landmarks[rows]
        inputs = EncoderInputs(crops, points, world, turns_of(data.angles[rows]))
        return HandCrops(*inputs, labels[rows], data.subjects[rows], names[rows])

    return HandSource(labels, data.subjects, names, fetch)


def _open_folder(folder: Path, crop_size: int, open_detector: Callable[[], Detector]) -> HandSource:
    paths = list_labelled(folder)
    names = relative_names(paths, folder)
    subjects, labels = subjects_and_labels(names)

    def fetch(rows: np.ndarray) -> HandCrops:
        chosen = [paths[row] for row in rows.tolist()]
        hands, found = [], []
        scanned = zip(rows.tolist(), scan(chosen, open_detector), strict=True)
        quiet = not console.is_terminal
        for row, result in track(scanned, "hands", len(rows), console=console, disable=quiet):
            if isinstance(result, str):
                if result != NO_HAND:
                    warn(result)
                continue
            hands.append(cut_hand(result.image, result.detection, crop_size, True))
            found.append(row)
        if not hands:
            raise UserError(
                f"No hand is found in any of {len(chosen)} pictures in {folder}. Name a folder of "
                "pictures that show hands: <subject>/<label>/<image>."
            )
        return HandCrops(
            *encoder_inputs(hands), labels[found], subjects[found], np.array(names)[found]
        )

    return HandSource(labels, subjects, np.array(names), fetch)
