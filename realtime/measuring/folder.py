"""Hands and embeddings of a folder of pictures; each picture is treated like a live query.

The layout of people's pictures is <subject>/<label>/<image>; all folders above the label are the
subject.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from rich.progress import track

from calibration.episodes import LabelledEmbeddings
from calibration.finite import check_finite
from calibration.showings import APART_S
from engines.cpu import cores
from engines.encoder import Encoder
from engines.errors import UserError, no_arrays
from engines.files import explain_errors, replace_file
from engines.say import console, warn
from realtime.folders import list_pictures
from realtime.hands.cutting import broken_embeddings, cut_hand, encoder_inputs
from realtime.hands.detector import Detector, detect_picture, scaled
from realtime.hands.geometry import bounding_box
from realtime.names import enumerate_names, join_spellings, readable, spelling_key
from realtime.picture_files import load_picture
from realtime.types import Detection

NO_HAND = "no hand is found in it, even with a border"
OUTSIDE = (
    "Pictures are expected as <subject>/<label>/<image>; some lie outside any label's folder. Name "
    "the folder that holds the subjects."
)
MOST_WORKERS = 16  # each has a detector, which takes 70 MB


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
    labelled: bool = False,
) -> PictureHands:
    """Find the largest hand in every picture below a folder and embed it with each encoder.

    Unreadable pictures count as pictures without a hand, with a warning.

    Args:
        folder: The folder.
        encoders: The encoders.
        open_detector: Opens a detector of single pictures.
        mirror_hands: Whether hands are cut as the one that `shown` names.
        only: Labels of the pictures to use; None uses all.
        shown: "left" or "right".
        labelled: Whether pictures outside any label's folder are left out.

    Raises:
        UserError: There are no pictures.
    """
    if labelled or only is not None:
        paths = list_labelled(folder, only)
    else:
        paths = list_pictures(folder, recursive=True)
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
        in_file = scaled(seen.detection, seen.scale)
        landmarks[i], world[i] = in_file.landmarks, in_file.world_landmarks
        boxes[i], sides[i] = bounding_box(in_file.landmarks), in_file.side
        for encoder, rows in zip(encoders, embeddings, strict=True):
            size = encoder.spec.crop_size
            hand = cut_hand(seen.image, seen.detection, size, mirror_hands, shown=shown)
            found = encoder.encode(encoder_inputs([hand]))[0]
            rows[i] = check_finite(found, *broken_embeddings(encoder))
    return PictureHands(
        relative_names(paths, folder), sides != "", sides, landmarks, world, boxes, embeddings
    )


def list_labelled(folder: Path, only: Sequence[str] | None = None) -> list[Path]:
    """List the pictures below a folder that lie in a label's folder, sorted by path.

    Warns of those that don't, and of labels asked for that no picture shows.

    Args:
        folder: The folder.
        only: Labels to list, in any spelling; None lists all.

    Raises:
        UserError: There are none.
    """
    found = list_pictures(folder, recursive=True)
    paths = [path for path in found if path.parent != folder]
    loose = [path.name for path in found if path.parent == folder]
    if not paths:
        raise UserError(f"{folder}: {OUTSIDE}")
    if loose:
        warn(
            f"Left out of {folder}, outside any label's folder: {len(loose)} × picture "
            f"({enumerate_names(loose)})."
        )
    wanted = _keys_of(only, [path.parent.name for path in paths], folder)
    return [path for path in paths if wanted is None or spelling_key(path.parent.name) in wanted]


def _keys_of(only: Sequence[str] | None, labels: Sequence[str], place: Path) -> set[str] | None:
    """The spelling keys of the labels asked for, None for all; warns of those that aren't there.

    Raises UserError where none is.
    """
    if only is None:
        return None
    there = {spelling_key(label) for label in labels}
    missing = [label for label in only if spelling_key(label) not in there]
    shown = f"{place} shows {enumerate_names(sorted(set(labels)))}"
    if len(missing) == len(only):
        raise UserError(
            f"There are no pictures (jpg, png, …) in or below {place} in folders named "
            f"{', '.join(only)}: {shown}."
        )
    if missing:
        warn(f"No picture shows {', '.join(missing)}, which --labels names: {shown}.")
    return {spelling_key(label) for label in only}


def relative_names(paths: Sequence[Path], folder: Path) -> list[str]:
    """The paths of pictures below a folder as text, with "/"."""
    return [readable(path.relative_to(folder).as_posix()) for path in paths]


@dataclass(frozen=True)
class SeenHand:
    """The largest hand of a picture.

    Attributes:
        image: The picture as it was looked at, uint8 (H, W, 3) BGR.
        detection: The hand, in its pixels.
        scale: Pixels of the file along one of its pixels.
    """

    image: np.ndarray
    detection: Detection
    scale: float


def scan(paths: Sequence[Path], open_detector: Callable[[], Detector]) -> Iterator[SeenHand | str]:
    """Find the largest hand of each picture, in order, with one detector per core.

    Args:
        paths: The pictures.
        open_detector: Opens a detector of single pictures.

    Yields:
        The hand; or, as text, NO_HAND or why the picture can't be read.
    """
    local = threading.local()
    detectors = []

    def look(path: Path) -> SeenHand | str:
        if not hasattr(local, "detector"):
            local.detector = open_detector()
            detectors.append(local.detector)
        try:
            picture = load_picture(path)
        except UserError as error:
            return str(error)
        detection = detect_picture(local.detector, picture.image)
        return NO_HAND if detection is None else SeenHand(picture.image, detection, picture.scale)

    workers = min(cores(), MOST_WORKERS)
    with ThreadPoolExecutor(workers) as pool:
        try:
            waiting: deque[Future[SeenHand | str]] = deque()
            for path in paths:
                waiting.append(pool.submit(look, path))
                if len(waiting) > 2 * workers:  # limits the pictures in memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
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
            f"{path} isn't what `run.py embed` writes ({no_arrays(error)}). Make it with: "
            "python run.py embed DIR --out FILE.npz"
        ) from None
    if mark != encoder.fingerprint:
        raise UserError(
            f"{path} was embedded by another encoder. Make it again with: python run.py embed "
            f"DIR --out {path.name} --encoder …"
        )
    found &= np.array(["/" in name for name in names], bool)  # in a label's folder
    labels = [PurePosixPath(name).parent.name for name in names]
    wanted = _keys_of(only, [label for label in labels if label], path)
    if wanted is not None:
        found &= np.array([spelling_key(label) in wanted for label in labels], bool)
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
    subjects, labels = subjects_and_labels([paths[row] for row in np.flatnonzero(found)])
    times = None if fps is None else picture_times(paths, fps)[found]
    return LabelledEmbeddings(embeddings[found], labels, subjects, times)


def subjects_and_labels(paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Split relative paths <subject…>/<label>/<image> into subjects and labels, str (N,) each.

    Names that differ only in how they are spelt become one, with a warning.

    Raises:
        UserError: A picture lies outside a label's folder.
    """
    parents = [PurePosixPath(path).parent for path in paths]
    if any(parent.name == "" for parent in parents):
        raise UserError(OUTSIDE)
    subjects = join_spellings([parent.parent.as_posix() for parent in parents], "person")
    labels = join_spellings([parent.name for parent in parents], "label")
    return np.array(subjects, str), np.array(labels, str)


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
