"""Hands and embeddings of a folder of pictures; each picture is treated like a live query.

The layout of people's pictures is <subject>/<label>/<image>; all folders above the label are the
subject.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from rich.progress import track

from calibration.episodes import LabelledEmbeddings
from calibration.finite import check_finite
from calibration.showings import APART_S
from engines.encoder import Encoder
from engines.errors import UserError
from engines.files import explain_errors, replace_file
from engines.say import console, warn
from realtime.hands.cutting import broken_embeddings, cut_hand, encoder_inputs
from realtime.hands.detector import Detector, detect_picture
from realtime.hands.geometry import bounding_box
from realtime.picture_files import list_pictures, read_picture
from realtime.types import Detection

NO_HAND = "no hand is found in it, even with a border"


@dataclass(frozen=True)
class PictureHands:
    """The hands of N pictures; numbers are NaN where no hand was found.

    Attributes:
        paths: The N pictures, relative to their folder, with "/".
        found: bool (N,), whether a hand was found.
        sides: str (N,), the person's own hand, "left" or "right"; "" if none was found.
        landmarks: float32 (N, 21, 3), px.
        world_landmarks: float32 (N, 21, 3), metres.
        boxes: float32 (N, 4), x0 y0 x1 y1, px.
        embeddings: float32 (N, D) for each encoder.
    """

    paths: list[str]
    found: np.ndarray
    sides: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    boxes: np.ndarray
    embeddings: list[np.ndarray]


def embed_folder(
    folder: Path,
    encoders: Sequence[Encoder],
    open_detector: Callable[[], Detector],
    mirror_hands: bool = True,
    only: Sequence[str] | None = None,
    shown: str = "right",
) -> PictureHands:
    """Find the largest hand in every picture below a folder and embed it with each encoder.

    Unreadable pictures count as pictures without a hand, with a warning.

    Args:
        folder: The folder.
        encoders: The encoders.
        open_detector: Opens a detector of single pictures.
        mirror_hands: Whether hands are cut as the one that `shown` names.
        only: Names of the pictures' folders to use; None uses all.
        shown: "left" or "right".

    Raises:
        UserError: There are no pictures.
    """
    paths = list_pictures(folder, recursive=True)
    if only is not None:
        paths = [path for path in paths if path.parent.name in only]
    if not paths:
        among = f" in folders named {', '.join(only)}" if only is not None else ""
        raise UserError(f"There are no pictures (jpg, png, …) in or below {folder}{among}.")
    count = len(paths)
    landmarks = np.full((count, 21, 3), np.nan, np.float32)
    world = np.full((count, 21, 3), np.nan, np.float32)
    boxes = np.full((count, 4), np.nan, np.float32)
    sides = np.full(count, "", "<U5")
    embeddings = [np.full((count, e.spec.dim), np.nan, np.float32) for e in encoders]
    scanned = enumerate(scan(paths, open_detector))
    bar = track(scanned, "hands", total=count, console=console, disable=not console.is_terminal)
    for i, seen in bar:
        if isinstance(seen, str):
            if seen != NO_HAND:
                warn(seen)
            continue
        image, detection = seen
        landmarks[i], world[i] = detection.landmarks, detection.world_landmarks
        boxes[i], sides[i] = bounding_box(detection.landmarks), detection.side
        for encoder, rows in zip(encoders, embeddings, strict=True):
            size = encoder.spec.crop_size
            hand = cut_hand(image, detection, size, mirror_hands, shown=shown)
            found = encoder.encode(encoder_inputs([hand]))[0]
            rows[i] = check_finite(found, *broken_embeddings(encoder))
    names = [path.relative_to(folder).as_posix() for path in paths]
    return PictureHands(names, sides != "", sides, landmarks, world, boxes, embeddings)


def scan(
    paths: Sequence[Path], open_detector: Callable[[], Detector]
) -> Iterator[tuple[np.ndarray, Detection] | str]:
    """Find the largest hand of each picture, in order, with one detector per core.

    Args:
        paths: The pictures.
        open_detector: Opens a detector of single pictures.

    Yields:
        The picture, uint8 (H, W, 3) BGR, and its hand; or, as text, NO_HAND or why the picture
        can't be read.
    """
    local = threading.local()
    detectors = []

    def look(path: Path) -> tuple[np.ndarray, Detection] | str:
        if not hasattr(local, "detector"):
            local.detector = open_detector()
            detectors.append(local.detector)
        try:
            image = read_picture(path)
        except UserError as error:
            return str(error)
        detection = detect_picture(local.detector, image)
        return NO_HAND if detection is None else (image, detection)

    workers = max(os.cpu_count() or 1, 1)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(paths), 64):  # limits the pictures in memory
                yield from pool.map(look, paths[start : start + 64])
        finally:
            pool.shutdown(cancel_futures=True)
            for detector in detectors:
                detector.close()


def save_embeddings(hands: PictureHands, encoder: Encoder, out: Path) -> None:
    """Write the .npz of `run.py embed` atomically, without object arrays.

    Args:
        hands: Hands embedded by one encoder.
        encoder: That encoder.
        out: The file.

    Raises:
        UserError: The file can't be written.
    """
    remedy = "Name a file in a folder that exists, with room, with --out."
    with explain_errors(f"{out} can't be written", remedy), replace_file(out) as file:
        np.savez_compressed(
            file,
            path=np.array(hands.paths),
            found=hands.found,
            side=hands.sides,
            embedding=hands.embeddings[0],
            landmarks=hands.landmarks,
            world_landmarks=hands.world_landmarks,
            box=hands.boxes,
            fingerprint=np.array(encoder.fingerprint),
        )


def load_embeddings(
    path: Path, encoder: Encoder, only: Sequence[str] | None = None, fps: float | None = None
) -> LabelledEmbeddings:
    """Read what `save_embeddings` wrote, pictures with a hand only.

    Args:
        path: The file.
        encoder: The encoder that the embeddings must be of.
        only: Labels to use; None uses all.
        fps: See `picture_times`; None where pictures aren't frames of recordings.

    Raises:
        UserError: The file is something else, or of another encoder.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            names, found = [str(p) for p in file["path"]], file["found"].astype(bool)
            embeddings, mark = file["embedding"], str(file["fingerprint"])
        if found.shape != (len(names),) or embeddings.shape[:1] != found.shape:
            raise ValueError("its parts don't fit each other")
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        raise UserError(
            f"{path} isn't what `run.py embed` writes ({error}). Make it with: "
            "python run.py embed DIR --out FILE.npz"
        ) from None
    if mark != encoder.fingerprint:
        raise UserError(
            f"{path} was embedded by another encoder. Make it again with: python run.py embed "
            f"DIR --out {path.name} --encoder …"
        )
    if only is not None:
        found &= np.isin(subjects_and_labels(names)[1], only)
    check_finite(
        embeddings[found],
        f"Embeddings in {path}, of pictures that show a hand",
        "Make it again with: python run.py embed DIR --out FILE.npz",
    )
    return _label(names, found, embeddings, fps)


def label_embeddings(
    hands: PictureHands, encoder: int, fps: float | None = None
) -> LabelledEmbeddings:
    """Label the pictures with a hand by their paths.

    Args:
        hands: The pictures.
        encoder: Index of the encoder whose embeddings to take.
        fps: See `picture_times`; None where pictures aren't frames of recordings.
    """
    return _label(hands.paths, hands.found, hands.embeddings[encoder], fps)


def _label(
    paths: list[str], found: np.ndarray, embeddings: np.ndarray, fps: float | None
) -> LabelledEmbeddings:
    subjects, labels = subjects_and_labels(paths)
    times = None if fps is None else picture_times(paths, fps)[found]
    return LabelledEmbeddings(embeddings[found], labels[found], subjects[found], times)


def subjects_and_labels(paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Split relative paths <subject…>/<label>/<image> into subjects and labels, str (N,) each.

    Raises:
        UserError: A picture lies outside a label's folder.
    """
    parents = [PurePosixPath(path).parent for path in paths]
    if any(parent.name == "" for parent in parents):
        raise UserError(
            "Pictures are expected as <subject>/<label>/<image>; some lie outside any label's "
            "folder. Name the folder that holds the subjects."
        )
    subjects = [parent.parent.as_posix() for parent in parents]
    return np.array(subjects), np.array([parent.name for parent in parents])


def picture_times(paths: Sequence[str], fps: float) -> np.ndarray:
    """When frames of recordings were taken, by the numbers that end their names.

    Pictures of one folder whose names differ in that number only are one recording.

    Args:
        paths: The N pictures, with "/".
        fps: How many numbers make a second.

    Returns:
        Seconds, float64 (N,), on a time line on which recordings lie APART_S apart.
    """
    stems = [PurePosixPath(path).with_suffix("").as_posix() for path in paths]
    takes = np.array([stem.rstrip("0123456789") for stem in stems])
    numbers = [stem[len(take) :] for stem, take in zip(stems, takes.tolist(), strict=True)]
    takes = np.where(np.array(numbers) == "", paths, takes)  # alone, without a number
    times = np.array([float(number or 0) for number in numbers]) / fps
    start = 0.0
    for take in np.unique(takes):
        rows = takes == take
        times[rows] += start - times[rows].min()
        start = times[rows].max() + 2 * APART_S  # rounding must not bring them nearer than one
    return times
