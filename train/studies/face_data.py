"""The data of the faces study, always described by lists of pairs in LFW's form.

It comes from LFW-a (both lists beside the folder of pictures), or from a folder of pictures per
person, for which such lists are drawn and written first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from engines.errors import UserError
from engines.files import explain_errors
from realtime.folders import is_housekeeping
from realtime.names import readable, spelling_key
from train.reports.report import plain
from train.siamese.batches import Task
from train.siamese.class_folders import load_class_folders
from train.siamese.class_index import index_classes
from train.siamese.files import open_files
from train.siamese.pair_lists import (
    PICTURE_NAME,
    NamedPair,
    PairList,
    check_disjoint,
    load_pair_pictures,
    name_pairs,
    read_pair_list,
    write_pair_list,
)
from train.siamese.pairs import Pairs, draw_pairs
from train.siamese.people_split import split_people
from train.siamese.pictures import Pictures

SIZE = 105  # px, of the published networks
LIST_NAMES = ("pairsDevTrain.txt", "pairsDevTest.txt")
PICTURE_FOLDERS = ("lfw2", "lfwa", "lfw2.zip", "lfwa.zip")  # common names of LFW-a's folder
VALIDATION_SHARES = (0.2, 0.1)  # of the pairs, or of the people
TEST_SHARE = 0.3  # of a folder's people
MIN_PEOPLE = 8  # two each for test, both validations and training
SEED = 0


@dataclass(frozen=True)
class Faces:
    """The data of the study; pictures are SIZE × SIZE.

    Attributes:
        tasks: Share of validation → task.
        test: Test pictures, of people who are in no task.
        test_pairs: Pairs of the test pictures.
        lfw: Whether the lists are LFW's own.
        about: Description in Markdown.
    """

    tasks: dict[float, Task]
    test: Pictures
    test_pairs: Pairs
    lfw: bool
    about: str

    @property
    def people(self) -> int:
        """The number of people in the test."""
        return len(np.unique(self.test.labels))


def load_faces(data: Path, out: Path, pairs: tuple[int, int]) -> Faces:
    """Load the data of the study.

    Args:
        data: A folder with LIST_NAMES and LFW-a's pictures, or a folder or .zip with a folder of
            pictures per person.
        out: Where lists are written if none are given.
        pairs: Pairs of each kind to draw for training and for the test if no lists are given.

    Raises:
        UserError: Lists, pictures or people are missing, or somebody is in both lists.
    """
    if data.is_dir() and any((data / name).exists() for name in (*LIST_NAMES, *PICTURE_FOLDERS)):
        return _load_lfw(data)
    return _load_folder(data, out, pairs)


def pictures_folder(data: Path) -> Path:
    """Find the pictures in LFW-a's folder.

    Returns:
        One of PICTURE_FOLDERS, else the first sub-folder with a folder of pictures per person, else
        the folder itself.

    Raises:
        UserError: There are no pictures.
    """
    for name in PICTURE_FOLDERS:
        if (data / name).exists():
            return data / name
    inner = [path for path in data.iterdir() if path.is_dir() and not is_housekeeping(path.name)]
    for folder in [*sorted(inner), data]:
        with open_files(folder) as files:
            if any(PICTURE_NAME.fullmatch(name) for name in files.pictures()):
                return folder
    raise UserError(
        f"{data} has lists of pairs but no pictures: expected a folder lfw2 with a folder of "
        "pictures per person in it, as lfw2/Ann_Lee/Ann_Lee_0001.jpg. Unpack LFW-a there."
    )


def _load_lfw(data: Path) -> Faces:
    for name in LIST_NAMES:
        if not (data / name).is_file():
            raise UserError(
                f"{data} has no {name}: expected {' and '.join(LIST_NAMES)} beside the folder of "
                "pictures. Get them from LFW's page."
            )
    folder = pictures_folder(data)
    training, test = (read_pair_list(data / name, folder) for name in LIST_NAMES)
    check_disjoint(training, test)
    tasks, losses = {}, []
    for share in VALIDATION_SHARES:
        train, validation, lost = split_people(training, share, SEED)
        tasks[share] = _load_task(train, validation)
        kept = f"{len(train)} and {len(validation)}"
        losses.append(f"{_format_split(share)} leaves {kept} ({lost} lost)")
    about = (
        f"LFW's own lists: {_describe_list(training)} for training, {_describe_list(test)} for the "
        "test, and nobody in both. Validation holds out people, too, which loses the pairs with a "
        f"person on either side: {', '.join(losses)}."
    )
    return Faces(tasks, load_pair_pictures(test, SIZE), test.pairs, True, about)


def _load_folder(data: Path, out: Path, counts: tuple[int, int]) -> Faces:
    pictures = load_class_folders(data, SIZE)
    people = np.unique(pictures.labels)
    if len(people) < MIN_PEOPLE:
        raise UserError(
            f"{data} holds {len(people)} people: expected {MIN_PEOPLE} or more, so that training, "
            "validation and test have people of their own. Add people."
        )
    _check_numbered(data, pictures)
    people = np.random.default_rng(SEED).permutation(people)
    parts = _count_parts(len(people))
    test, small, large, rest = np.split(people, np.cumsum(parts)[:-1])
    lists = _draw_lists(out, pictures, counts, test, (small, large, rest))
    for name, named in lists.items():
        write_pair_list(out / name, named)
    training, tested = (read_pair_list(out / name, data) for name in LIST_NAMES)
    check_disjoint(training, tested)
    splits = ([rest], [small, large]), ([rest, large], [small])
    tasks = {
        share: _load_task(*(_select_people(training, part) for part in split))
        for share, split in zip(VALIDATION_SHARES, splits, strict=True)
    }
    large_split, small_split = map(_format_split, VALIDATION_SHARES)
    about = (
        f"A folder per person of {plain(readable(data.name))}, {len(people)} people with "
        f"{len(pictures)} pictures. {len(test)} random people are tested on, the others trained "
        f"on. Pairs were drawn and written in LFW's form: {_describe_list(training)} in "
        f"{LIST_NAMES[0]}, {_describe_list(tested)} in {LIST_NAMES[1]}. Validation holds out "
        f"people before pairs are drawn, so that no pair is lost: {len(small) + len(large)} people "
        f"for {large_split}, {len(small)} for {small_split}."
    )
    return Faces(tasks, load_pair_pictures(tested, SIZE), tested.pairs, False, about)


def _count_parts(people: int) -> tuple[int, int, int, int]:
    """Count the people of the test, of both validations, of the larger one only, and of neither."""
    test = max(2, round(TEST_SHARE * people))
    small = max(2, round(min(VALIDATION_SHARES) * (people - test)))
    large = max(2, round(max(VALIDATION_SHARES) * (people - test)) - small)
    return test, small, large, people - test - small - large


def _draw_lists(
    out: Path,
    pictures: Pictures,
    counts: tuple[int, int],
    test: np.ndarray,
    parts: tuple[np.ndarray, ...],
) -> dict[str, list[NamedPair]]:
    """Draw the pairs of both lists.

    The people of a training pair are always in the same part, so that any part can be held out.
    """
    with explain_errors(f"--out {out} can't be written"):
        out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    large, small = (round(share * counts[0]) for share in VALIDATION_SHARES)
    each = (small, large - small, counts[0] - large)

    def draw(people: np.ndarray, count: int) -> list[NamedPair]:
        theirs = pictures.take(np.isin(pictures.labels, people))
        return name_pairs(theirs, draw_pairs(rng, index_classes(theirs.labels), 2 * count))

    drawn = [pair for part, count in zip(parts, each, strict=True) for pair in draw(part, count)]
    return {LIST_NAMES[0]: drawn, LIST_NAMES[1]: draw(test, counts[1])}


def _check_numbered(data: Path, pictures: Pictures) -> None:
    """Raise UserError if pictures have names that a list can't refer to."""
    with open_files(data) as files:
        names = files.pictures()
    matches = [(name, PICTURE_NAME.fullmatch(name)) for name in names]
    numbers = {(spelling_key(m[1]), int(m[2] or m[3])) for _, m in matches if m is not None}
    wanted = zip(pictures.labels.tolist(), (pictures.order + 1).tolist(), strict=True)
    for person, number in wanted:
        if (spelling_key(person), number) not in numbers:
            odd = next((name for name, match in matches if match is None), names[0])
            raise UserError(
                f"{data} has no picture {number} of {person} (but {PurePosixPath(odd)}): expected "
                f"{person}/1.jpg, {person}/2.jpg and so on, since a list of pairs names pictures "
                "by their number. Rename them."
            )


def _select_people(pair_list: PairList, people: list[np.ndarray]) -> PairList:
    """Select the pairs of the given people."""
    theirs = np.isin(pair_list.people, np.concatenate(people))
    return pair_list.take(theirs[pair_list.pairs.first] & theirs[pair_list.pairs.second])


def _load_task(train: PairList, validation: PairList) -> Task:
    parts = [load_pair_pictures(part, SIZE) for part in (train, validation)]
    return Task(parts[0], parts[1], validation.pairs, train.pairs)


def _describe_list(pair_list: PairList) -> str:
    return f"{len(pair_list):,} pairs of {len(np.unique(pair_list.people))} people"


def _format_split(share: float) -> str:
    return f"{100 * (1 - share):.0f}/{100 * share:.0f}"
