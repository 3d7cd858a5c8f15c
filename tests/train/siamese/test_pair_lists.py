"""LFW's lists of pairs: read, written, split, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import UserError
from tests.train.siamese.files import encoded, picture, real_data, unpacked, zipped
from train.siamese.class_folders import load_class_folders
from train.siamese.class_index import index_classes
from train.siamese.pair_lists import (
    PairList,
    check_disjoint,
    load_pair_pictures,
    name_pairs,
    read_pair_list,
    write_pair_list,
)
from train.siamese.pairs import Pairs, draw_pairs
from train.siamese.people_split import split_people

PEOPLE = ("Ann_Lee", "Bo", "Cy")


def plain(person: int, number: int) -> bytes:
    """A picture that says whose it is."""
    return encoded(np.full((20, 10), 50 * person + number, np.uint8))


LFW = {
    f"{name}/{name}_{number:04}.png": plain(person, number)
    for person, name in enumerate(PEOPLE)
    for number in (1, 2, 12)
}
ORL = {
    f"faces/{name}/{number}.png": plain(person, number)
    for person, name in enumerate(PEOPLE)
    for number in (1, 2, 12)
}
SAME, DIFFERENT = "Ann_Lee\t1\t12", "Bo\t2\tCy\t1"


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("files", [LFW, ORL, {f"lfw2/{k}": v for k, v in LFW.items()}])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("header", [["1"], ["1\t1"], []])
def test_a_list_finds_its_pictures(tmp_path: Path, files, packed: bool, header) -> None:
    folder = zipped(tmp_path / "f.zip", files) if packed else unpacked(tmp_path / "f", files)
    path = written(tmp_path / "pairs.txt", *header, SAME, DIFFERENT)
    found = read_pair_list(path, folder)
    assert found.pairs.same.tolist() == [True, False] and len(found) == 2
    pictures = load_pair_pictures(found, 6)
    assert pictures.images.shape == (4, 6, 6)
    assert (pictures.images[found.pairs.first][:, 0, 0]).tolist() == [1, 52]
    assert (pictures.images[found.pairs.second][:, 0, 0]).tolist() == [12, 101]
    assert pictures.labels[found.pairs.second].tolist() == ["Ann_Lee", "Cy"]
    assert pictures.subjects.tolist() == pictures.labels.tolist()
    assert pictures.order[found.pairs.first].tolist() == [1, 2]


def test_spaces_and_folds_and_blank_lines(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "f", LFW)
    lines = ["2 1", "Bo 1 2", "Bo 1 Cy 2", "", "Cy 2  12", "Ann_Lee 1 Bo 2 ", ""]
    found = read_pair_list(written(tmp_path / "pairs.txt", *lines), folder)
    assert found.pairs.same.tolist() == [True, False, True, False]


def test_names_with_spaces_are_parted_by_tabs(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "f", {f"Ann Lee/{i}.png": picture(i) for i in (1, 2)})
    found = read_pair_list(written(tmp_path / "pairs.txt", "Ann Lee\t1\t2"), folder)
    assert found.people.tolist() == ["Ann Lee"] * 2


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["2", SAME, DIFFERENT], "promises 2 pairs of each kind, but 1 same and 1 different"),
        (["1", SAME, SAME], "promises 1 pairs of each kind, but 2 same and 0 different"),
        (["2 3", SAME, DIFFERENT], "promises 6 pairs"),
        ([SAME, "Bo 1"], 'line 2: expected "Name 1 2"'),
        ([SAME, "Bo 1 Cy 2 3"], "line 2: expected"),
        ([SAME, "Bo one 2"], "line 2: expected"),
        (["1", SAME, "Bo 1 Bo 2"], "line 3: expected"),
        ([SAME, "7"], "line 2: expected"),
        (["Bo 1 1"], "line 1: it pairs a picture with itself"),
        ([SAME, "Bo 1 3"], "line 2: picture 3 of Bo isn't in .*Bo/Bo_0003.jpg"),
        ([SAME, "Di 1 Bo 1"], "line 2: picture 1 of Di isn't in"),
        ([], "holds no pairs"),
        (["3"], "holds no pairs"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, lines: list[str], says: str) -> None:
    folder = unpacked(tmp_path / "f", LFW)
    with pytest.raises(UserError, match=says):
        read_pair_list(written(tmp_path / "pairs.txt", *lines), folder)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    path = written(tmp_path / "pairs.txt", SAME)
    with pytest.raises(UserError, match="There is no .*nowhere"):
        read_pair_list(path, tmp_path / "nowhere")
    folder = unpacked(tmp_path / "f", LFW)
    with pytest.raises(UserError, match="none.txt can't be read"):
        read_pair_list(tmp_path / "none.txt", folder)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="isn't a list of pairs"):
        read_pair_list(tmp_path / "bytes.txt", folder)
    found = read_pair_list(path, folder)
    (folder / "Ann_Lee/Ann_Lee_0012.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match="Ann_Lee_0012.png in .* can't be read"):
        load_pair_pictures(found, 8)


def test_somebody_in_both_lists_is_named(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "f", LFW)
    train = read_pair_list(written(tmp_path / "train.txt", SAME), folder)
    test = read_pair_list(written(tmp_path / "test.txt", DIFFERENT), folder)
    mixed = read_pair_list(written(tmp_path / "mixed.txt", "Ann_Lee 1 Bo 2"), folder)
    check_disjoint(train, test)
    with pytest.raises(UserError, match=r"Ann_Lee is both in .*train\.txt and in .*mixed\.txt"):
        check_disjoint(train, mixed)
    with pytest.raises(UserError, match="Ann_Lee and 1 more are both in"):
        check_disjoint(mixed, mixed)


def test_a_written_list_reads_the_same(tmp_path: Path) -> None:
    folder = unpacked(
        tmp_path / "f",
        {
            f"s{p}/{i}.pgm": picture(20 * p + i, suffix=".pgm")
            for p in range(5)
            for i in range(1, 11)
        },
    )
    pictures = load_class_folders(folder, 16)
    pairs = draw_pairs(np.random.default_rng(0), index_classes(pictures.labels), 20)
    write_pair_list(tmp_path / "pairs.txt", name_pairs(pictures, pairs))
    lines = (tmp_path / "pairs.txt").read_text().splitlines()
    assert lines[0] == "10" and [line.count("\t") for line in lines[1:]] == [2] * 10 + [3] * 10
    found = read_pair_list(tmp_path / "pairs.txt", folder)
    again = load_pair_pictures(found, 16)
    order = np.argsort(~pairs.same, kind="stable")
    for side in ("first", "second"):
        old = pictures.images[getattr(pairs, side)[order]]
        assert np.array_equal(old, again.images[getattr(found.pairs, side)])


def test_a_list_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 same and 0 different"):
        write_pair_list(tmp_path / "a.txt", [("Bo", 1, "Bo", 2)])
    write_pair_list(tmp_path / "a.txt", [("Bo", 1, "Bo", 2)], header=False)
    assert (tmp_path / "a.txt").read_text() == "Bo\t1\t2\n"
    for name in ("a\tb", "a\n", " a", ""):
        with pytest.raises(UserError, match="doesn't fit in a list"):
            write_pair_list(tmp_path / "b.txt", [(name, 1, name, 2)], header=False)
    with pytest.raises(UserError, match="can't be written"):
        write_pair_list(tmp_path / "no" / "a.txt", [("Bo", 1, "Bo", 2)], header=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def drawn_list(seed: int, people: int, each: int, pairs: int) -> PairList:
    """A list of no files: half same, half different."""
    labels = np.repeat([f"p{i:03}" for i in range(people)], each)
    found = draw_pairs(np.random.default_rng(seed), index_classes(labels), pairs)
    numbers = np.tile(np.arange(1, each + 1), people)
    files = tuple(f"{label}/{i}.pgm" for label, i in zip(labels, numbers, strict=True))
    return PairList(Path("list.txt"), Path("faces"), files, labels, numbers, found)


def names_of(pairs: PairList) -> list[tuple[str, str, bool]]:
    return [
        (pairs.files[i], pairs.files[j], same)
        for i, j, same in zip(
            pairs.pairs.first.tolist(),
            pairs.pairs.second.tolist(),
            pairs.pairs.same.tolist(),
            strict=True,
        )
    ]


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(20, 60), st.sampled_from([0.1, 0.2]))
def test_nobody_is_in_both_parts(seed: int, people: int, share: float) -> None:
    whole = drawn_list(seed, people, 4, 400)
    train, validation, lost = split_people(whole, share, seed)
    check_disjoint(train, validation)
    assert len(train) + len(validation) + lost == len(whole)
    for part in (train, validation):
        assert len(part) and part.pairs.same.sum() * 2 == len(part)
        assert set(names_of(part)) <= set(names_of(whole))
        used = np.union1d(part.pairs.first, part.pairs.second)
        assert len(part.files) == len(part.people) == len(part.numbers) == len(used)
        same = part.people[part.pairs.first] == part.people[part.pairs.second]
        assert np.array_equal(same, part.pairs.same)
    again = split_people(whole, share, seed)
    assert names_of(again[0]) == names_of(train) and names_of(again[1]) == names_of(validation)


def test_the_parts_have_their_shares() -> None:
    dense = drawn_list(0, 40, 10, 2000)
    sparse = drawn_list(0, 2000, 2, 2000)
    for whole, most_lost in ((dense, 0.5), (sparse, 0.15)):
        for share in (0.1, 0.2):
            train, validation, lost = split_people(whole, share, 1)
            found = len(validation) / (len(train) + len(validation))
            assert abs(found - share) < 0.05
            assert lost < most_lost * len(whole)
    seeds = {tuple(split_people(sparse, 0.1, seed)[1].people) for seed in range(5)}
    assert len(seeds) == 5


def test_people_who_can_not_be_split() -> None:
    whole = drawn_list(0, 3, 4, 40)
    with pytest.raises(UserError, match="The 3 people of list.txt can't be split"):
        split_people(whole, 0.2, 0)
    with pytest.raises(UserError, match="A share of 1.5"):
        split_people(whole, 1.5, 0)
    only_same = PairList(
        *(whole.path, whole.folder, whole.files, whole.people, whole.numbers),
        Pairs(np.array([0, 4]), np.array([1, 5]), np.array([True, True])),
    )
    with pytest.raises(UserError, match="can't be split"):
        split_people(only_same, 0.5, 0)


def test_a_list_of_real_faces(tmp_path: Path) -> None:
    path = real_data("faces/orl_faces.zip")
    pictures = load_class_folders(path, 32)
    pairs = draw_pairs(np.random.default_rng(0), index_classes(pictures.labels), 200)
    write_pair_list(tmp_path / "pairs.txt", name_pairs(pictures, pairs))
    found = read_pair_list(tmp_path / "pairs.txt", path)
    assert len(found) == 200 and found.pairs.same.mean() == 0.5
    assert load_pair_pictures(found, 32).images.std() > 20
