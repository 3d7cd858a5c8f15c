"""LFW's lists of pairs of faces: pairsDevTrain.txt, pairsDevTest.txt, pairs.txt.

A line is "Name 1 2", pictures 1 and 2 of one person, or "Name1 1 Name2 2", pictures of two people.
Tabs separate the fields, or spaces if a line has no tab. A first line of one number says how many
pairs of each kind follow; one of two numbers gives the number of folds and of pairs of each kind in
a fold. Format: http://vis-www.cs.umass.edu/lfw/README.txt
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.files import explain_errors, write_file
from realtime.folders import PICTURES
from realtime.names import readable, spelling_key
from train.siamese.class_folders import crop_square
from train.siamese.files import open_files
from train.siamese.pairs import Pairs
from train.siamese.pictures import Pictures

SUFFIX = "|".join(map(re.escape, sorted(PICTURES)))
PICTURE_NAME = re.compile(
    rf"(?:.*/)?([^/]+)/(?:\1_([0-9]{{4}})|([1-9][0-9]*))(?i:{SUFFIX})", re.DOTALL
)
NamedPair = tuple[str, int, str, int]  # (person, picture number, person, picture number)


@dataclass(frozen=True)
class PairList:
    """P pairs of K pictures of people.

    Attributes:
        path: The list.
        folder: The folder or .zip with the pictures.
        files: The K pictures' names in it.
        people: str (K,), the person on each picture.
        numbers: int64 (K,), the picture's number among those of its person, from 1.
        pairs: The pairs of the K pictures.
    """

    path: Path
    folder: Path
    files: tuple[str, ...]
    people: np.ndarray
    numbers: np.ndarray
    pairs: Pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, rows: np.ndarray) -> PairList:
        """Select pairs by an index array or a bool mask, and keep only their pictures."""
        kept = self.pairs.take(rows)
        used, numbers = np.unique(np.concatenate([kept.first, kept.second]), return_inverse=True)
        first, second = numbers[: len(kept)], numbers[len(kept) :]
        files = tuple(self.files[i] for i in used)
        pairs = Pairs(first, second, kept.same)
        return PairList(self.path, self.folder, files, self.people[used], self.numbers[used], pairs)


def read_pair_list(path: Path, folder: Path) -> PairList:
    """Read a list and find its pictures.

    Args:
        path: The list.
        folder: The folder or .zip with the pictures, as Name/Name_0001.jpg or Name/1.pgm.

    Raises:
        UserError: The list or the folder is missing, a line can't be read, the header disagrees
            with the lines, a picture is missing, or the list has no pairs.
    """
    named = _read_named_pairs(path)
    wanted = sorted({picture for _, pair in named for picture in _split_pair(pair)})
    numbers = {picture: i for i, picture in enumerate(wanted)}
    there = _find_pictures(folder)
    for line, pair in named:
        for person, number in _split_pair(pair):
            if (spelling_key(person), number) not in there:
                raise UserError(
                    f"{path}, line {line}: picture {number} of {person} isn't in {folder}: "
                    f"expected {person}/{person}_{number:04}.jpg or {person}/{number}.pgm (or "
                    "another picture). Add it, or delete the line."
                )
    pairs = Pairs(
        np.array([numbers[_split_pair(pair)[0]] for _, pair in named]),
        np.array([numbers[_split_pair(pair)[1]] for _, pair in named]),
        np.array([pair[0] == pair[2] for _, pair in named]),
    )
    people = np.array([person for person, _ in wanted])
    positions = np.array([number for _, number in wanted])
    files = tuple(there[spelling_key(person), number] for person, number in wanted)
    return PairList(path, folder, files, people, positions, pairs)


def load_pair_pictures(pair_list: PairList, size: int, crop: float | None = None) -> Pictures:
    """Load the K pictures of a list.

    Args:
        pair_list: The list.
        size: Width of the pictures, px; they are scaled by area averaging.
        crop: As in `load_class_folders`.

    Returns:
        Grey pictures. Labels and subjects are the people, groups "", order the pictures' numbers.

    Raises:
        UserError: A picture can't be read.
    """
    with open_files(pair_list.folder) as files:
        images = np.stack([crop_square(files.grey(name), size, crop) for name in pair_list.files])
    people = pair_list.people
    return Pictures(images, people, np.full(len(people), ""), people, pair_list.numbers)


def check_disjoint(train: PairList, test: PairList) -> None:
    """Raise UserError if somebody is in both lists."""
    both = np.intersect1d(train.people, test.people).tolist()
    if both:
        more = f" and {len(both) - 1} more are" if len(both) > 1 else " is"
        raise UserError(
            f"{both[0]}{more} both in {train.path} and in {test.path}: a test is valid only on "
            "people who aren't trained on. Take them out of one of the two."
        )


def name_pairs(pictures: Pictures, pairs: Pairs) -> list[NamedPair]:
    """Name pairs as a list does, by label and order + 1; files must be numbered 1, 2, 3, …"""
    names, numbers = pictures.labels.tolist(), (pictures.order + 1).tolist()
    both = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    return [(names[i], numbers[i], names[j], numbers[j]) for i, j in both]


def write_pair_list(path: Path, pairs: Sequence[NamedPair], header: bool = True) -> None:
    """Write a list, separated by tabs, same-person pairs first.

    Args:
        path: The file.
        pairs: The pairs.
        header: Whether the first line gives the number of pairs of each kind.

    Raises:
        UserError: A name doesn't fit into a line, there is a header but the kinds aren't equally
            frequent, or the file can't be written.
    """
    same = [f"{name}\t{i}\t{j}" for name, i, other, j in pairs if name == other]
    different = [f"{a}\t{i}\t{b}\t{j}" for a, i, b, j in pairs if a != b]
    if header and len(same) != len(different):
        raise UserError(
            f"{path}: a header says how many pairs of each kind follow, but there are {len(same)} "
            f"same and {len(different)} different ones. Leave the header out, or balance them."
        )
    for name in {name for pair in pairs for name in (pair[0], pair[2])}:
        if name != name.strip() or not name or any(c in "\t\n\r" for c in name):
            raise UserError(
                f"The name {name!r} doesn't fit in a list of pairs: rename its folder to one "
                "without tabs or spaces at its ends."
            )
    lines = [str(len(same))] if header else []
    with explain_errors(f"{path} can't be written", "Make room, or name another file."):
        write_file(path, "".join(f"{line}\n" for line in lines + same + different))


def _read_named_pairs(path: Path) -> list[tuple[int, NamedPair]]:
    """Read a list; return the line number and the pair of each line."""
    try:
        with explain_errors(f"{path} can't be read"):
            text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} isn't a list of pairs: expected a text file in UTF-8.") from None
    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    header = lines[0][1].split() if lines else []
    if len(header) > 2 or not all(field.isdecimal() for field in header):
        header = []
    named = [(n, _parse_pair(f"{path}, line {n}", line)) for n, line in lines[bool(header) :]]
    if not named:
        raise UserError(f'{path} holds no pairs: expected lines like "Name 1 2".')
    if header:
        folds, each = (int(header[0]) if len(header) == 2 else 1), int(header[-1])
        same = sum(pair[0] == pair[2] for _, pair in named)
        if not same == len(named) - same == folds * each:
            raise UserError(
                f"{path}: its first line promises {folds * each} pairs of each kind, but {same} "
                f"same and {len(named) - same} different ones follow. Get it again, or correct it."
            )
    return named


def _parse_pair(place: str, line: str) -> NamedPair:
    """Parse a line; `place` names it in errors."""
    parts = line.split("\t") if "\t" in line else line.split()
    fields = [readable(field.strip()) for field in parts]
    fitting = len(fields) == 3 or (len(fields) == 4 and fields[0] != fields[2])
    if len(fields) == 3:
        fields.insert(2, fields[0])
    if not (fitting and all(fields) and fields[1].isdecimal() and fields[3].isdecimal()):
        raise UserError(
            f'{place}: expected "Name 1 2" (one person) or "Name1 1 Name2 2" (two), but it has '
            f"{line[:80]!r}. Correct or delete the line."
        )
    pair = fields[0], int(fields[1]), fields[2], int(fields[3])
    if pair[:2] == pair[2:]:
        raise UserError(
            f"{place}: it pairs a picture with itself ({line!r}). Correct or delete the line."
        )
    return pair


def _split_pair(pair: NamedPair) -> tuple[tuple[str, int], tuple[str, int]]:
    return pair[:2], pair[2:]


def _find_pictures(folder: Path) -> dict[tuple[str, int], str]:
    """Return the file of each (spelling key of the person, number)."""
    found: dict[tuple[str, int], str] = {}
    with open_files(folder) as files:
        for name in files.names:
            match = PICTURE_NAME.fullmatch(name)
            if match:
                found.setdefault((spelling_key(match[1]), int(match[2] or match[3])), name)
    return found
