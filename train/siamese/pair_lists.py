"""LFW's lists of pairs of faces: pairsDevTrain.txt, pairsDevTest.txt, pairs.txt.

A line is "Name 1 2", pictures 1 and 2 of one person, or "Name1 1 Name2 2", pictures of two;
fields are parted by tabs, or by spaces where a line has no tab. A first line of one number says
how many pairs of each kind follow, of two numbers how many folds and how many of each kind in each.
Format: http://vis-www.cs.umass.edu/lfw/README.txt
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import UserError
from engines.files import explain_errors, write_file
from train.siamese.class_folders import square
from train.siamese.files import opened
from train.siamese.pairs import Pairs
from train.siamese.pictures import Pictures

PICTURE = re.compile(r"(?:.*/)?([^/]+)/(?:\1_([0-9]{4})|([1-9][0-9]*))\.(?i:jpg|jpeg|png|pgm|bmp)")
NamedPair = tuple[str, int, str, int]  # name, picture, name, picture


@dataclass(frozen=True)
class PairList:
    """P pairs of K pictures. path: the list; folder: where the pictures are (a folder or a .zip);
    files: their K names in it; people str (K,): who is on it; numbers int64 (K,): the person's
    how-manieth picture it is, from 1; pairs: of the K."""

    path: Path
    folder: Path
    files: tuple[str, ...]
    people: np.ndarray
    numbers: np.ndarray
    pairs: Pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, rows: np.ndarray) -> PairList:
        """The pairs of an index array or a bool mask, with no other pictures than theirs."""
        kept = self.pairs.take(rows)
        used, numbers = np.unique(np.concatenate([kept.first, kept.second]), return_inverse=True)
        first, second = numbers[: len(kept)], numbers[len(kept) :]
        files = tuple(self.files[i] for i in used)
        pairs = Pairs(first, second, kept.same)
        return PairList(self.path, self.folder, files, self.people[used], self.numbers[used], pairs)


def read_pair_list(path: Path, folder: Path) -> PairList:
    """A list and the folder or .zip with its pictures, Name/Name_0001.jpg or Name/1.pgm.

    Raises UserError for a list or folder that is missing, a line that can't be read, a header
    that disagrees with the lines, a picture that isn't there, and a list without pairs.
    """
    named = _named_pairs(path)
    wanted = sorted({picture for _, pair in named for picture in _both(pair)})
    numbers = {picture: i for i, picture in enumerate(wanted)}
    there = _pictures_of(folder)
    for line, pair in named:
        for person, number in _both(pair):
            if (person, number) not in there:
                raise UserError(
                    f"{path}, line {line}: picture {number} of {person} isn't in {folder}: "
                    f"expected {person}/{person}_{number:04}.jpg or {person}/{number}.pgm (.png, "
                    ".bmp). Add it, or delete the line."
                )
    pairs = Pairs(
        np.array([numbers[_both(pair)[0]] for _, pair in named]),
        np.array([numbers[_both(pair)[1]] for _, pair in named]),
        np.array([pair[0] == pair[2] for _, pair in named]),
    )
    people = np.array([person for person, _ in wanted])
    positions = np.array([number for _, number in wanted])
    files = tuple(there[picture] for picture in wanted)
    return PairList(path, folder, files, people, positions, pairs)


def load_pair_pictures(pair_list: PairList, size: int, crop: float | None = None) -> Pictures:
    """The K pictures of a list, grey, size × size by area; crop as in load_class_folders.

    labels and subjects are the people, groups "", order the picture's number. Raises UserError for
    a picture that can't be read.
    """
    with opened(pair_list.folder) as files:
        images = np.stack([square(files.grey(name), size, crop) for name in pair_list.files])
    people = pair_list.people
    return Pictures(images, people, np.full(len(people), ""), people, pair_list.numbers)


def check_disjoint(train: PairList, test: PairList) -> None:
    """Raises UserError where somebody is in both lists."""
    both = np.intersect1d(train.people, test.people).tolist()
    if both:
        more = f" and {len(both) - 1} more are" if len(both) > 1 else " is"
        raise UserError(
            f"{both[0]}{more} both in {train.path} and in {test.path}: a test counts only on "
            "people who aren't trained on. Take them out of one of the two."
        )


def by_name(pictures: Pictures, pairs: Pairs) -> list[NamedPair]:
    """Pairs as a list names them: label and order + 1, where files are numbered 1, 2, 3, …"""
    names, numbers = pictures.labels.tolist(), (pictures.order + 1).tolist()
    both = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    return [(names[i], numbers[i], names[j], numbers[j]) for i, j in both]


def write_pair_list(path: Path, pairs: Sequence[NamedPair], header: bool = True) -> None:
    """Write a list with tabs, the same-person pairs first.

    Raises UserError for names that a line can't hold, for a header over unequal numbers of the two
    kinds, and where the file can't be written.
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
            raise UserError(f"The name {name!r} doesn't fit in a list of pairs: rename its folder "
                            "to one without tabs or spaces at its ends.")  # fmt: skip
    lines = [str(len(same))] if header else []
    with explain_errors(f"{path} can't be written", "Make room, or name another file."):
        write_file(path, "".join(f"{line}\n" for line in lines + same + different))


def _named_pairs(path: Path) -> list[tuple[int, NamedPair]]:
    """(line, pair) for each pair of a list."""
    try:
        with explain_errors(f"{path} can't be read"):
            text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} isn't a list of pairs: expected a text file in UTF-8.") from None
    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    header = lines[0][1].split() if lines else []
    if len(header) > 2 or not all(field.isdecimal() for field in header):
        header = []
    named = [(n, _pair(f"{path}, line {n}", line)) for n, line in lines[bool(header) :]]
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


def _pair(place: str, line: str) -> NamedPair:
    fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
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
        raise UserError(f"{place}: it pairs a picture with itself ({line!r}). Correct or delete "
                        "the line.")  # fmt: skip
    return pair


def _both(pair: NamedPair) -> tuple[tuple[str, int], tuple[str, int]]:
    return pair[:2], pair[2:]


def _pictures_of(folder: Path) -> dict[tuple[str, int], str]:
    """(person, number) → file."""
    found: dict[tuple[str, int], str] = {}
    with opened(folder) as files:
        for name in files.names:
            match = PICTURE.fullmatch(name)
            if match:
                found.setdefault((match[1], int(match[2] or match[3])), name)
    return found
