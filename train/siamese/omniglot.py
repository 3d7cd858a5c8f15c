"""Reader for Omniglot (Lake, Salakhutdinov, Tenenbaum, Science 2015) in its authors' files.

images_background.zip and images_evaluation.zip hold alphabets of characters, each drawn once by
20 people. all_runs.zip holds the paper's 20 one-shot tests ("runs") of 20 characters each. They
come from https://github.com/brendenlake/omniglot (folder python).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.say import warn
from realtime.names import enumerate_names
from train.siamese.files import Files, open_files
from train.siamese.pictures import Pictures

SIZE = 105  # px
DRAWERS = 20
RUNS = 20
WAYS = 20  # characters of a run, and its queries
DRAWING_NAME = re.compile(r"(.*?)([^/]+)/(character\d+)/(\d+)_(\d\d)\.png")
ANSWER_LINE = re.compile(r"run\d\d/test/item(\d\d)\.png\s+run\d\d/training/class(\d\d)\.png")


def find_part(data: Path, name: str) -> Path:
    """A part of Omniglot in a folder: NAME.zip, or the folder NAME that it unpacks to."""
    packed = data / f"{name}.zip"
    return data / name if (data / name).is_dir() and not packed.exists() else packed


@dataclass(frozen=True)
class LakeRun:
    """One of the paper's 20-way one-shot tests, within one alphabet. Ink is 255 on 0.

    Attributes:
        support: uint8 (20, 105, 105), one drawing of each character: class01 … class20.
        query: uint8 (20, 105, 105), the drawings to recognise: item01 … item20.
        answers: int64 (20,), the row of `support` for each query.
    """

    support: np.ndarray
    query: np.ndarray
    answers: np.ndarray


def load_part(zip_path: Path) -> Pictures:
    """Load images_background.zip or images_evaluation.zip, or the folder that it unpacks to.

    Returns:
        105 × 105 pictures with ink 255 on 0. Labels are "Alphabet/character01", groups the
        alphabets, subjects the drawers "01" … "20", order the drawer from 0.

    Raises:
        UserError: The file is missing, damaged, another one or holds both parts; or a character
            has fewer than 20 drawings.
    """
    with open_files(zip_path) as files:
        pictures = files.pictures()
        matches = {name: DRAWING_NAME.fullmatch(name) for name in pictures}
        found = {name: match for name, match in matches.items() if match is not None}
        strays = [name for name in pictures if name not in found]
        if not found:
            raise UserError(
                f"{zip_path} isn't Omniglot's images_background.zip or images_evaluation.zip: "
                "expected pictures like Greek/character01/0394_01.png, but it has "
                f"{strays[0] if strays else 'none'}. Name the right file."
            )
        if strays:
            warn(
                f"{len(strays)} of {len(pictures)} pictures in {zip_path} are no drawings of "
                f"Omniglot's and are left out: {enumerate_names(strays)}."
            )
        parts = sorted({match[1] for match in found.values()})
        if len(parts) > 1:
            raise UserError(
                f"{zip_path} holds several parts ({parts[0] or '.'}, {parts[1]}): background and "
                "evaluation must be kept apart, so name one of them."
            )
        fields = [(m[2], f"{m[2]}/{m[3]}", m[5]) for m in found.values()]
        groups, labels, subjects = (np.array(column) for column in zip(*fields, strict=True))
        _check_drawers(zip_path, labels, subjects)
        images = _read_ink(files, list(found))
    return Pictures(images, labels, groups, subjects, subjects.astype(np.int64) - 1)


def load_runs(zip_path: Path) -> list[LakeRun]:
    """Load the 20 runs of all_runs.zip, or of the folder that it unpacks to, in their order.

    Raises:
        UserError: The file is missing, damaged or another one; a run or a picture is missing; or
            answers can't be read.
    """
    with open_files(zip_path) as files:
        tails = [name for name in files.names if name.endswith("run01/class_labels.txt")]
        if not tails:
            raise UserError(
                f"{zip_path} isn't Omniglot's all_runs.zip: expected run01/class_labels.txt in it. "
                "Name the right file."
            )
        root = tails[0].removesuffix("run01/class_labels.txt")
        return [_read_run(files, f"{root}run{number:02}") for number in range(1, RUNS + 1)]


def _read_run(files: Files, folder: str) -> LakeRun:
    support = [f"{folder}/training/class{number:02}.png" for number in range(1, WAYS + 1)]
    query = [f"{folder}/test/item{number:02}.png" for number in range(1, WAYS + 1)]
    listed = f"{folder}/class_labels.txt"
    there = set(files.names)
    missing = [name for name in (listed, *support, *query) if name not in there]
    if missing:
        raise UserError(f"{files.path} is incomplete: {missing[0]} is missing. Get it again.")
    lines = files.read(listed).decode("ascii", "replace").split("\n")
    found = [ANSWER_LINE.fullmatch(line.strip()) for line in lines if line.strip()]
    answers = {int(match[1]): int(match[2]) for match in found if match}
    complete = sorted(answers) == list(range(1, WAYS + 1)) and len(found) == WAYS
    if not complete or not all(1 <= answer <= WAYS for answer in answers.values()):
        raise UserError(
            f"{listed} in {files.path} is damaged: expected {WAYS} lines like "
            "run01/test/item01.png run01/training/class08.png, one for each item. Get it again."
        )
    rows = np.array([answers[item] - 1 for item in sorted(answers)])
    return LakeRun(_read_ink(files, support), _read_ink(files, query), rows)


def _read_ink(files: Files, names: list[str]) -> np.ndarray:
    """Read pictures of black ink on white and invert them: uint8 (N, 105, 105), ink 255 on 0."""
    images = np.empty((len(names), SIZE, SIZE), np.uint8)
    for image, name in zip(images, names, strict=True):
        grey = files.grey(name)
        if grey.shape != image.shape:
            height, width = grey.shape
            raise UserError(
                f"{name} in {files.path} is {width} × {height} px: expected Omniglot's own "
                f"{SIZE} × {SIZE}. Get the file again."
            )
        if np.median(grey) < 128:
            raise UserError(
                f"{name} in {files.path} is bright on dark: expected Omniglot's own black ink on "
                "white. Get the file again."
            )
        np.subtract(255, grey, out=image)
    return images


def _check_drawers(path: Path, labels: np.ndarray, subjects: np.ndarray) -> None:
    wanted = [f"{number:02}" for number in range(1, DRAWERS + 1)]
    for label in np.unique(labels).tolist():
        drawers = sorted(subjects[labels == label].tolist())
        if drawers != wanted:
            raise UserError(
                f"{path} is incomplete: {label} has {len(drawers)} drawings where one by each of "
                f"{DRAWERS} people is expected. Get it again."
            )
