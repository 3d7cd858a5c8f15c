"""Warped pictures within the stated limits, and batches that are the same each time."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("pytorch_metric_learning", reason="training needs requirements-train.txt")

import torch

from tests.train.siamese.tasks import COSINE, SMALL, grating_task
from train.siamese.batches import QUARTER_TURNS, SiameseBatches, Task
from train.siamese.class_index import rank_within_class
from train.siamese.networks import SiameseConfig
from train.siamese.pairs import Pairs
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe
from train.siamese.warp import warp

LIMITS = {
    "turn": math.radians(10),
    "shear": 0.3,
    "wide": 0.2,
    "high": 0.2,
    "across": 4 / 105,
    "down": 4 / 105,
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, size: int = 28) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=seeded(99))


# -- warps --


def affine_parts(count: int, seed: int) -> dict[str, np.ndarray]:
    """What each picture's transform is made of, read off warped ramps: their slopes in the middle
    are the matrix from new to old places, in half pictures."""
    size = 64
    places_of = (torch.arange(size) * 2 + 1) / size - 1
    ramps = torch.stack([places_of.expand(size, size), places_of[:, None].expand(size, size)])
    matrix = np.empty((count, 2, 3))
    for row, ramp in enumerate(ramps):
        seen = warp(ramp.expand(count, 1, size, size), "affine", seeded(seed))[:, 0].double()
        middle = slice(size // 2 - 4, size // 2 + 4)  # well within what any of them sees
        patch = seen[:, middle, middle].numpy()
        matrix[:, row, 0] = np.diff(patch, axis=2).mean((1, 2)) * size / 2
        matrix[:, row, 1] = np.diff(patch, axis=1).mean((1, 2)) * size / 2
        matrix[:, row, 2] = patch.mean((1, 2))
    turn = np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])
    high = matrix[:, 1, 1] / np.cos(turn)
    return {
        "turn": turn,
        "shear": matrix[:, 0, 1] + np.sin(turn) * high,
        "wide": np.hypot(matrix[:, 0, 0], matrix[:, 1, 0]) - 1,
        "high": high - 1,
        "across": matrix[:, 0, 2],
        "down": matrix[:, 1, 2],
    }


def test_affine_warps_keep_to_their_limits_and_are_off_half_the_time() -> None:
    count = 2000
    parts = affine_parts(count, seed=3)
    off = np.ones(count, bool)
    for name, values in parts.items():
        limit, still = LIMITS[name], np.abs(values) < 1e-5
        assert abs(still.mean() - 0.5) < 5 * 0.5 / math.sqrt(count), name
        moved = values[~still]
        assert np.abs(moved).max() <= limit + 1e-4, name
        assert moved.max() > 0.95 * limit and moved.min() < -0.95 * limit, name
        assert abs(moved.mean()) < 5 * limit / math.sqrt(3 * len(moved)), name
        off &= still
    share = 0.5 ** len(parts)
    assert abs(off.mean() - share) < 5 * math.sqrt(share * (1 - share) / count)


def test_some_pictures_stay_as_they_were() -> None:
    pictures = noise(500)
    after = warp(pictures, "affine", seeded(0))
    still = (after - pictures).abs().amax((1, 2, 3)) < 1e-4
    assert 1 <= int(still.sum()) <= 20  # one in 64
    assert (after - pictures)[~still].abs().amax((1, 2, 3)).min() > 1e-3


def test_no_warp_gives_the_pictures_themselves() -> None:
    pictures = noise(3)
    assert warp(pictures, "none", seeded(0)) is pictures


@pytest.mark.parametrize("kind", ["none", "affine", "elastic"])
def test_a_warp_keeps_shape_and_range_and_seed(kind: str) -> None:
    pictures = noise(20, 52)
    before = pictures.clone()
    after = warp(pictures, kind, seeded(1))
    assert after.shape == pictures.shape and after.dtype == torch.float32
    assert 0 <= after.min() and after.max() <= 1 + 1e-6
    assert torch.equal(pictures, before)
    assert torch.equal(warp(pictures, kind, seeded(1)), after)
    assert torch.equal(warp(pictures, kind, seeded(2)), after) == (kind == "none")


def test_every_picture_is_warped_elastically_and_in_its_own_way() -> None:
    one = noise(1, 52)
    after = warp(one.expand(30, 1, 52, 52), "elastic", seeded(0))
    assert (after - one).abs().amax((1, 2, 3)).min() > 0.05
    apart = torch.cdist(after.flatten(1), after.flatten(1)) + torch.eye(30)
    assert apart.min() > 0.5


def centres(pictures: torch.Tensor) -> np.ndarray:
    """(N, 2): where the ink is, in half pictures from the middle."""
    size = pictures.shape[-1]
    at = (torch.arange(size) * 2 + 1) / size - 1
    ink = pictures[:, 0] / pictures[:, 0].sum((1, 2))[:, None, None]
    return torch.stack([(ink.sum(1) * at).sum(1), (ink.sum(2) * at).sum(1)], 1).numpy()


@pytest.mark.parametrize(("kind", "most", "least"), [("affine", 0.08, 0.03), ("elastic", 0.6, 0.2)])
def test_a_dot_in_the_middle_stays_near_it(kind: str, most: float, least: float) -> None:
    """Affine: at most the shift, 0.038 each way, drawn out by shear and zoom."""
    size = 105
    at = (torch.arange(size) * 2 + 1) / size - 1
    dot = torch.exp(-(at**2 + at[:, None] ** 2) / (2 * 0.05**2)).expand(300, 1, size, size)
    moved = np.linalg.norm(centres(warp(dot, kind, seeded(5))), axis=1)
    assert least < moved.max() < most


def test_beyond_the_edge_is_black() -> None:
    after = warp(torch.ones(200, 1, 28, 28), "elastic", seeded(0))
    assert bool((after.amin((1, 2, 3)) == 0).any()) and bool((after[:, :, 14, 14] > 0.99).all())


# -- batches --


def numbered(classes: int = 5, each: int = 4, groups: int = 1) -> Task:
    """Pictures whose first pixel is their number, the rest black."""
    count = classes * each
    images = np.zeros((count, 6, 6), np.uint8)
    images[:, 0, 0] = np.arange(count) + 1
    labels = np.repeat([f"c{i}" for i in range(classes)], each)
    homes = np.array([f"g{int(label[1:]) % groups}" for label in labels])
    pictures = Pictures(images, labels, homes, np.full(count, ""), rank_within_class(labels))
    nothing = np.zeros(0, int)
    return Task(pictures, pictures, Pairs(nothing, nothing, nothing.astype(bool)))


def row_of(pictures: torch.Tensor) -> np.ndarray:
    """Which of the numbered pictures they are."""
    return (pictures[:, 0, 0, 0] * 255).round().int().numpy() - 1


TRIPLET = dataclasses.replace(SMALL, model=SiameseConfig("asl-narrow", "euclidean"), loss="triplet")
PLAIN = dataclasses.replace(COSINE, turns=False, warp="none")


def test_half_of_all_pairs_are_of_one_class() -> None:
    task = numbered()
    batches = SiameseBatches(task, dataclasses.replace(SMALL, batch=10, steps=30), 0)
    assert len(batches) == 30
    for step in range(30):
        pictures, numbers = batches[step]
        assert pictures.shape == (20, 1, 6, 6) and numbers.dtype == torch.int64
        first, second = np.split(row_of(pictures), 2)
        same = task.train.labels[first] == task.train.labels[second]
        assert same.tolist() == numbers.bool().tolist() and same.sum() == 5
        assert (first != second).all()


def test_different_pairs_come_from_one_group_where_that_is_asked() -> None:
    task = numbered(classes=6, groups=2)
    for within in (False, True):
        recipe = dataclasses.replace(SMALL, batch=16, within_groups=within)
        rows = [row_of(SiameseBatches(task, recipe, epoch)[0][0]) for epoch in range(10)]
        crossing = [
            bool((task.train.groups[a] != task.train.groups[b]).any())
            for a, b in (np.split(row, 2) for row in rows)
        ]
        assert any(crossing) != within


def test_triplets_are_an_anchor_its_like_and_another() -> None:
    task = numbered()
    pictures, numbers = SiameseBatches(task, dataclasses.replace(TRIPLET, batch=12), 0)[0]
    assert pictures.shape == (36, 1, 6, 6) and numbers.shape == (12,)
    anchor, positive, negative = np.split(row_of(pictures), 3)
    labels = task.train.labels
    assert (labels[anchor] == labels[positive]).all() and (anchor != positive).all()
    assert (labels[anchor] != labels[negative]).all()


WARPED = dataclasses.replace(SMALL, warp="affine")


@pytest.mark.parametrize(
    "recipe",
    [SMALL, TRIPLET, COSINE, WARPED],
    ids=["pairs", "triplets", "classes", "warped"],
)
def test_a_batch_is_that_of_its_seed_epoch_and_step(recipe: SiameseRecipe) -> None:
    task = grating_task(pairs=8)

    def batch(seed: int, epoch: int, step: int) -> torch.Tensor:
        batches = SiameseBatches(task, dataclasses.replace(recipe, seed=seed), epoch)
        return batches[step][0]

    assert torch.equal(batch(0, 3, 2), batch(0, 3, 2))
    every = SiameseBatches(task, recipe, 3)
    several = [every[step][0] for step in range(recipe.steps)]
    assert torch.equal(several[2], batch(0, 3, 2))  # whatever was asked for before
    for other in ((1, 3, 2), (0, 4, 2), (0, 3, 1)):
        assert not torch.equal(batch(*other), batch(0, 3, 2))


@pytest.mark.parametrize(("count", "size"), [(12, 4), (10, 4), (7, 16), (5, 5)])
def test_listed_pairs_are_gone_through_once_per_pass(count: int, size: int) -> None:
    task = numbered()
    first = np.arange(count)
    pairs = Pairs(first, first + 6, np.arange(count) % 3 == 0)
    task = dataclasses.replace(task, train_pairs=pairs)
    steps = 3 * count
    orders = []
    for epoch in (0, 1):
        batches = SiameseBatches(task, dataclasses.replace(SMALL, batch=size, steps=steps), epoch)
        seen: list[int] = []
        for step in range(steps):
            pictures, numbers = batches[step]
            a, b = np.split(row_of(pictures), 2)
            assert (b == a + 6).all() and numbers.tolist() == pairs.same[a].astype(int).tolist()
            seen += a.tolist()
        passes = [seen[i : i + count] for i in range(0, len(seen), count)]
        assert len(passes) == 3 * size
        assert all(sorted(one) == list(range(count)) for one in passes)
        assert len({tuple(one) for one in passes}) > 1  # mixed anew
        orders.append(seen)
    assert orders[0] != orders[1]


def turned_by(picture: torch.Tensor) -> int:
    """Quarter turns of a numbered picture, by the corner where its number is."""
    corners = [picture[0, 0, 0], picture[0, -1, 0], picture[0, -1, -1], picture[0, 0, -1]]
    (found,) = [turn for turn, corner in enumerate(corners) if corner > 0]
    return found


def turned_back(pictures: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.rot90(p, -turned_by(p), (1, 2)) for p in pictures])


@pytest.mark.parametrize("recipe", [SMALL, TRIPLET], ids=["pairs", "triplets"])
def test_what_is_compared_turns_together(recipe: SiameseRecipe) -> None:
    task = numbered()
    still = dataclasses.replace(recipe, batch=24)
    pictures, numbers = SiameseBatches(task, dataclasses.replace(still, turns=True), 0)[0]
    plain, plain_numbers = SiameseBatches(task, still, 0)[0]
    assert torch.equal(turned_back(pictures), plain) and torch.equal(numbers, plain_numbers)
    turns = np.array([turned_by(picture) for picture in pictures]).reshape(-1, 24)
    assert (turns == turns[0]).all() and set(turns[0].tolist()) == {0, 1, 2, 3}


def test_a_turned_picture_is_of_another_class() -> None:
    task = numbered()
    recipe = dataclasses.replace(PLAIN, batch=200)
    pictures, numbers = SiameseBatches(task, dataclasses.replace(recipe, turns=True), 0)[0]
    plain, classes = SiameseBatches(task, recipe, 0)[0]
    assert torch.equal(turned_back(pictures), plain)
    assert [f"c{number}" for number in classes] == task.train.labels[row_of(plain)].tolist()
    expected = [
        QUARTER_TURNS * int(c) + turned_by(p) for c, p in zip(classes, pictures, strict=True)
    ]
    assert numbers.tolist() == expected and set(expected) == set(range(5 * QUARTER_TURNS))
