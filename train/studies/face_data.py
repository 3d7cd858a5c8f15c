"""The faces that a study learns from and is tested on, always by lists of pairs in LFW's form.

From LFW-a as its users have it (both lists beside the folder of pictures), or from a folder of
pictures per person, for which such lists are drawn and written first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from engines.errors import UserError
from engines.files import explain_errors
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
LISTS = ("pairsDevTrain.txt", "pairsDevTest.txt")
KNOWN = ("lfw2", "lfwa", "lfw2.zip", "lfwa.zip")  # what people call LFW-a's folder of pictures
SHARES = (0.2, 0.1)  # of the pairs, or people, for validation
TEST = 0.3  # of a folder's people
FEWEST = 8  # people: two for the test, two for each share of validation, two to learn from
SEED = 0


@dataclass(frozen=True)
class Faces:
    """tasks: share of validation → what to learn from and be watched on; test, test_pairs: nobody
    of whom is in any task; all SIZE × SIZE. lfw: whether the lists were given; about: Markdown."""

    tasks: dict[float, Task]
    test: Pictures
    test_pairs: Pairs
    lfw: bool
    about: str

    @property
    def people(self) -> int:
        """How many there are to be tested on."""
        return len(np.unique(self.test.labels))


def load_faces(data: Path, out: Path, pairs: tuple[int, int]) -> Faces:
    """data: a folder with LISTS and LFW-a's pictures, or a folder or .zip with a folder of pictures
    per person; for that one, `pairs` of each kind are drawn for training and test, into `out`.

    Raises UserError where lists, pictures or people are missing, or somebody is in both lists.
    """
    if data.is_dir() and any((data / name).exists() for name in (*LISTS, *KNOWN)):
        return _listed(data)
    return _drawn(data, out, pairs)


def pictures_folder(data: Path) -> Path:
    """Where in LFW-a's folder the pictures are: one of KNOWN, else the first sub-folder with a
    folder of pictures per person, else the folder itself. Raises UserError."""
    for name in KNOWN:
        if (data / name).exists():
            return data / name
    for folder in [*sorted(path for path in data.iterdir() if path.is_dir()), data]:
        with open_files(folder) as files:
            if any(PICTURE_NAME.fullmatch(name) for name in files.pictures()):
                return folder
    raise UserError(
        f"{data} has lists of pairs but no pictures: expected a folder lfw2 with a folder of "
        "pictures per person in it, as lfw2/Ann_Lee/Ann_Lee_0001.jpg. Unpack LFW-a there."
    )


def _listed(data: Path) -> Faces:
    for name in LISTS:
        if not (data / name).is_file():
            raise UserError(
                f"{data} has no {name}: expected {' and '.join(LISTS)} beside the folder of "
                "pictures. Get them from LFW's page."
            )
    folder = pictures_folder(data)
    learn, test = (read_pair_list(data / name, folder) for name in LISTS)
    check_disjoint(learn, test)
    tasks, losses = {}, []
    for share in SHARES:
        train, validation, lost = split_people(learn, share, SEED)
        tasks[share] = _task(train, validation)
        losses.append(f"{_split(share)} leaves {len(train)} and {len(validation)} ({lost} lost)")
    about = (
        f"LFW's own lists: {_contents(learn)} to learn from, {_contents(test)} to be tested on, "
        "and nobody in both. Validation holds out people, too, which loses the pairs of one "
        f"person on either side: {', '.join(losses)}."
    )
    return Faces(tasks, load_pair_pictures(test, SIZE), test.pairs, True, about)


def _drawn(data: Path, out: Path, counts: tuple[int, int]) -> Faces:
    pictures = load_class_folders(data, SIZE)
    people = np.unique(pictures.labels)
    if len(people) < FEWEST:
        raise UserError(
            f"{data} holds {len(people)} people: expected {FEWEST} or more, so that training, "
            "validation and test have people of their own. Add people."
        )
    _check_numbered(data, pictures)
    people = np.random.default_rng(SEED).permutation(people)
    parts = _parts(len(people))
    test, small, large, rest = np.split(people, np.cumsum(parts)[:-1])
    lists = _draw_lists(out, pictures, counts, test, (small, large, rest))
    for name, named in lists.items():
        write_pair_list(out / name, named)
    learn, tested = (read_pair_list(out / name, data) for name in LISTS)
    check_disjoint(learn, tested)
    tasks = {
        share: _task(_of(learn, [rest, large][: 1 + (share < max(SHARES))]), _of(learn, held))
        for share, held in zip(SHARES, ([small, large], [small]), strict=True)
    }
    about = (
        f"A folder per person of {plain(data.name)}, {len(people)} people with {len(pictures)} "
        f"pictures. {len(test)} people drawn by chance are tested on, the others learned from. "
        f"Pairs were drawn and written as LFW has them: {_contents(learn)} in {LISTS[0]}, "
        f"{_contents(tested)} in {LISTS[1]}. Validation holds out people before pairs are drawn, "
        f"so that no pair is lost: {len(small) + len(large)} of them for {_split(SHARES[0])}, "
        f"{len(small)} for {_split(SHARES[1])}."
    )
    return Faces(tasks, load_pair_pictures(tested, SIZE), tested.pairs, False, about)


def _parts(people: int) -> tuple[int, int, int, int]:
    """How many are tested on; in both validations; in the larger one only; in none."""
    test = max(2, round(TEST * people))
    small = max(2, round(min(SHARES) * (people - test)))
    large = max(2, round(max(SHARES) * (people - test)) - small)
    return test, small, large, people - test - small - large


def _draw_lists(
    out: Path,
    pictures: Pictures,
    counts: tuple[int, int],
    test: np.ndarray,
    parts: tuple[np.ndarray, ...],
) -> dict[str, list[NamedPair]]:
    """LISTS' contents. No pair to learn from straddles the parts, so that any may be held out."""
    with explain_errors(f"--out {out} can't be written"):
        out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    large, small = (round(share * counts[0]) for share in SHARES)
    each = (small, large - small, counts[0] - large)

    def draw(people: np.ndarray, count: int) -> list[NamedPair]:
        theirs = pictures.take(np.isin(pictures.labels, people))
        return name_pairs(theirs, draw_pairs(rng, index_classes(theirs.labels), 2 * count))

    learned = [pair for part, count in zip(parts, each, strict=True) for pair in draw(part, count)]
    return {LISTS[0]: learned, LISTS[1]: draw(test, counts[1])}


def _check_numbered(data: Path, pictures: Pictures) -> None:
    """Raises UserError where the pictures have other names than a list can say."""
    with open_files(data) as files:
        names = files.pictures()
    matches = [(name, PICTURE_NAME.fullmatch(name)) for name in names]
    numbers = {(match[1], int(match[2] or match[3])) for _, match in matches if match is not None}
    wanted = zip(pictures.labels.tolist(), (pictures.order + 1).tolist(), strict=True)
    for person, number in wanted:
        if (person, number) not in numbers:
            odd = next((name for name, match in matches if match is None), names[0])
            raise UserError(
                f"{data} has no picture {number} of {person} (but {PurePosixPath(odd)}): expected "
                f"{person}/1.jpg, {person}/2.jpg and so on, since a list of pairs names pictures "
                "by their number. Rename them."
            )


def _of(pair_list: PairList, people: list[np.ndarray]) -> PairList:
    """The pairs of some people only."""
    theirs = np.isin(pair_list.people, np.concatenate(people))
    return pair_list.take(theirs[pair_list.pairs.first] & theirs[pair_list.pairs.second])


def _task(train: PairList, validation: PairList) -> Task:
    parts = [load_pair_pictures(part, SIZE) for part in (train, validation)]
    return Task(parts[0], parts[1], validation.pairs, train.pairs)


def _contents(pair_list: PairList) -> str:
    return f"{len(pair_list):,} pairs of {len(np.unique(pair_list.people))} people"


def _split(share: float) -> str:
    return f"{100 * (1 - share):.0f}/{100 * share:.0f}"
