"""Pairs and triplets drawn, kept in a file, and pictures set apart by class and by time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import UserError
from train.siamese.class_index import index_classes, rank_within_class
from train.siamese.pairs import Pairs, draw_pairs, draw_triplets, load_pairs, save_pairs
from train.siamese.pictures import Pictures
from train.siamese.splits import split_blocks, split_classes

SEED = st.integers(0, 2**32 - 1)


@st.composite
def collections(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """labels, groups: two groups or more of two classes or more of two pictures or more."""
    rows = [
        (f"{group}/{label}", group)
        for group in "xyz"[: draw(st.integers(1, 3))]
        for label in "abcd"[: draw(st.integers(2, 4))]
        for _ in range(draw(st.integers(2, 5)))
    ]
    labels, groups = (np.array(column) for column in zip(*draw(st.permutations(rows)), strict=True))
    return labels, groups


@given(collections(), SEED, st.integers(0, 65), st.booleans())
def test_pairs_are_balanced_and_true(collection, seed: int, count: int, grouped: bool) -> None:
    labels, groups = collection
    index = index_classes(labels, groups if grouped else None)
    pairs = draw_pairs(np.random.default_rng(seed), index, count)
    assert len(pairs) == count and pairs.same.sum() == count // 2
    assert np.array_equal(labels[pairs.first] == labels[pairs.second], pairs.same)
    assert (pairs.first != pairs.second).all()
    if grouped:
        assert np.array_equal(groups[pairs.first], groups[pairs.second])
    again = draw_pairs(np.random.default_rng(seed), index, count)
    for name in ("first", "second", "same"):
        assert np.array_equal(getattr(pairs, name), getattr(again, name))


@given(collections(), SEED, st.booleans())
def test_triplets_are_true(collection, seed: int, grouped: bool) -> None:
    labels, groups = collection
    index = index_classes(labels, groups if grouped else None)
    triplets = draw_triplets(np.random.default_rng(seed), index, 50)
    anchor, match, rival = triplets.T
    assert triplets.shape == (50, 3) and (anchor != match).all()
    assert np.array_equal(labels[anchor], labels[match])
    assert (labels[anchor] != labels[rival]).all()
    if grouped:
        assert np.array_equal(groups[anchor], groups[rival])
    again = draw_triplets(np.random.default_rng(seed), index, 50)
    assert np.array_equal(triplets, again)


def test_classes_are_drawn_uniformly_and_mixed() -> None:
    labels = np.repeat(list("abcd"), [2, 3, 50, 400])
    index = index_classes(labels)
    pairs = draw_pairs(np.random.default_rng(0), index, 40_000)
    for rows in (pairs.first[pairs.same], pairs.first[~pairs.same], pairs.second[~pairs.same]):
        shares = np.array(list(Counter(labels[rows].tolist()).values())) / len(rows)
        assert len(shares) == 4 and np.abs(shares - 0.25).max() < 0.02
    a = Counter(
        zip(
            *(
                side[pairs.same & (labels[pairs.first] == "b")].tolist()
                for side in (pairs.first, pairs.second)
            ),
            strict=True,
        )
    )
    assert len(a) == 6 and max(a.values()) < 1.2 * min(a.values())  # each of the ordered pairs
    assert 0.45 < pairs.same[:1000].mean() < 0.55


def test_other_seeds_draw_other_pairs() -> None:
    index = index_classes(np.repeat(np.arange(20).astype(str), 20))
    drawn = {tuple(draw_pairs(np.random.default_rng(s), index, 32).first) for s in range(20)}
    assert len(drawn) == 20


@pytest.mark.parametrize(
    ("labels", "groups", "says"),
    [
        ("aabcc", None, "The class b has one picture"),
        ("aaa", None, "at least two classes, but there are 1"),
        ("", None, "at least two classes, but there are 0"),
        ("aabbcc", "xxxxyy", "The group y has one class, c"),
        ("aabbaacc", "xxxxyyyy", "The class a is in several groups"),
    ],
)
def test_what_has_no_pairs_is_refused(labels: str, groups: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        index_classes(np.array(list(labels)), None if groups is None else np.array(list(groups)))


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_ranks_count_what_came_before(labels: list[str]) -> None:
    expected = [labels[:i].count(label) for i, label in enumerate(labels)]
    assert rank_within_class(np.array(labels, dtype=str)).tolist() == expected


def some_pictures() -> Pictures:
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 7), np.uint8)
    labels = np.repeat(list("abé"), 4)
    nothing = np.full(12, "")
    return Pictures(images, labels, nothing, nothing, rank_within_class(labels))


@pytest.mark.parametrize("count", [0, 9])
def test_a_file_of_pairs_gives_them_back(tmp_path: Path, count: int) -> None:
    pictures = some_pictures()
    pairs = draw_pairs(np.random.default_rng(1), index_classes(pictures.labels), count)
    save_pairs(tmp_path / "pairs.npz", pictures, pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.npz"]
    found, again = load_pairs(tmp_path / "pairs.npz")
    assert np.array_equal(again.same, pairs.same) and len(found) == 2 * count
    for side in ("first", "second"):
        old, new = pictures.take(getattr(pairs, side)), found.take(getattr(again, side))
        assert np.array_equal(old.images, new.images) and new.images.dtype == np.uint8
        assert old.labels.tolist() == new.labels.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"first": np.zeros((2, 5, 6), np.uint8)},
        {"second": np.zeros((2, 5, 7))},
        {"same": np.array([1, 0])},
        {"same": np.array([False, True])},
        {"same": np.array(True)},
        {"first_label": np.array(["a"])},
        {"first_label": np.array([{}, {}], object)},
    ],
)
def test_other_files_of_pairs_are_refused(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "pairs.npz"
    save_pairs(path, some_pictures(), Pairs(*map(np.array, ([0, 0], [1, 4], [True, False]))))
    assert len(load_pairs(path)[1]) == 2
    with np.load(path) as file:
        np.savez(path, **(dict(file) | change))
    with pytest.raises(UserError, match=r"pairs\.npz is.*Make it again"):
        load_pairs(path)


def test_what_is_no_file_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.npz"
    with pytest.raises(UserError, match="There is no file of pairs"):
        load_pairs(path)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="it is no .npz"):
        load_pairs(path)
    nowhere = tmp_path / "no" / "pairs.npz"
    with pytest.raises(UserError, match="can't be written"):
        save_pairs(nowhere, some_pictures(), Pairs(*(np.array([], int),) * 2, np.array([], bool)))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2), st.floats(0.01, 0.99), SEED)
def test_no_class_is_in_both_parts(labels: list[str], share: float, seed: int) -> None:
    names = np.array([*labels, "a", "b"])
    chosen = split_classes(names, share, np.random.default_rng(seed))
    assert chosen.dtype == bool and not set(names[chosen]) & set(names[~chosen])
    classes = len(set(names))
    wanted = min(max(round(share * classes), 1), classes - 1)
    assert len(set(names[chosen])) == wanted
    assert np.array_equal(chosen, split_classes(names, share, np.random.default_rng(seed)))


def test_a_split_by_class_needs_classes_and_a_share() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="two classes, but there are 1"):
        split_classes(np.array(["a", "a"]), 0.5, rng)
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="expected one such as"):
            split_classes(np.array(["a", "b"]), share, rng)


SIZE = st.integers(0, 6)


@given(st.data(), st.tuples(st.integers(1, 12), SIZE, SIZE), st.integers(0, 3), SEED)
def test_blocks_follow_each_other(data, sizes, gap: int, seed: int) -> None:
    volume = data.draw(st.integers(0, sizes[0]))
    needed = sum(sizes) + 2 * gap
    counts = data.draw(st.lists(st.integers(needed, needed + 4), min_size=1, max_size=3))
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(list("abc"[: len(counts)]), counts))
    order = rng.permutation(len(labels)) * 3  # time, neither sorted nor dense
    train, validation, test = split_blocks(order, labels, sizes, gap, volume)
    whole = split_blocks(order, labels, sizes, gap)[0]
    assert set(train.tolist()) <= set(whole.tolist())
    for label in "abc"[: len(counts)]:
        frames = np.sort(order[labels == label]).tolist()
        blocks = [
            [frames.index(frame) for frame in order[rows[labels[rows] == label]].tolist()]
            for rows in (whole, validation, test)
        ]
        starts = (0, sizes[0] + gap, sizes[0] + sizes[1] + 2 * gap)
        for block, start, size in zip(blocks, starts, sizes, strict=True):
            assert block == list(range(start, start + size))
        thinned = order[train[labels[train] == label]].tolist()
        steps = np.diff([frames.index(frame) for frame in thinned])
        assert len(thinned) == volume
        assert not len(steps) or (steps.min() > 0 and steps.max() - steps.min() <= 1)


def test_blocks_that_do_not_fit_are_refused() -> None:
    labels = np.repeat(["A", "B"], [20, 15])
    order = rank_within_class(labels)
    assert len(split_blocks(order, labels, (8, 2, 3), 1)[0]) == 16
    with pytest.raises(UserError, match=r"The class B has 15 pictures, but 8 \+ 3 \+ 3.* are 16"):
        split_blocks(order, labels, (8, 3, 3), 1)
    for sizes, gap, volume in (((8, -1, 3), 1, 4), ((8, 2, 3), -1, 4), ((8, 2, 3), 1, 9)):
        with pytest.raises(UserError, match="expected no negative number"):
            split_blocks(order, labels, sizes, gap, volume)
