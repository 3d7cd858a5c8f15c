"""How much data per class does a Siamese network need, and can that be told beforehand?

One signer's 28 × 28 recordings, split in blocks of time; volume × network as published, and more
volumes between. Each network is asked about the same signer later on and about another signer. The
accuracy of the smallest volumes alone foretells that of the larger ones, which is then checked.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from engines.bundles import join
from engines.say import tell
from train.siamese import recipes
from train.siamese.batches import Task
from train.siamese.class_index import index_classes
from train.siamese.episodes import (
    Episodes,
    Share,
    accuracy_on_features,
    compute_features,
    draw_episodes,
)
from train.siamese.networks import SiameseConfig
from train.siamese.pairs import Pairs, draw_pairs
from train.siamese.pictures import Pictures
from train.siamese.runs import Run, train
from train.siamese.sign_mnist import load_sign_mnist
from train.siamese.splits import split_blocks
from train.studies.study import Study, verified

PUBLISHED = (500, 250, 125, 30)  # training pictures per class
BLOCKS = (500, 100, 200)  # training, validation, test: per class, as published
GAP = 15  # frames left out between blocks
NETWORKS = ("asl-1024", "asl-2048", "asl-narrow")  # the first is run at every volume
WAYS = (2, 5, 10, 15, 20, 24)
JUDGED_AT = 20  # ways
PAIRS = 2000  # of verification
DROP = 0.05  # of accuracy below that of the largest volume: there it has broken away
WHO = ("same signer", "other signer", "reference by the one, query by the other")


@dataclass(frozen=True)
class Size:
    """volumes: of the first network; seeds: of its runs; others: volumes of the other networks,
    and other_seeds of their runs; epochs of so many steps; trials: of each one-shot test; small:
    volumes up to here foretell the others; blocks: as BLOCKS."""

    volumes: tuple[int, ...]
    seeds: int
    others: tuple[int, ...]
    other_seeds: int
    epochs: int
    trials: int
    steps: int = 100
    small: int = 60
    blocks: tuple[int, int, int] = BLOCKS


SIZES = {
    "full": Size((4, 8, 15, 30, 60, 90, 125, 180, 250, 350, 500), 5, PUBLISHED, 5, 40, 1000),
    "laptop": Size((4, 8, 15, 30, 60, 125, 250, 500), 2, (500, 30), 1, 10, 1000),
    "minute": Size((2, 4, 8, 16, 24), 1, (), 0, 1, 100, 40, 16, (24, 8, 8)),
}


@dataclass(frozen=True)
class Tests:
    """What every run of the study is asked: pictures, verification pairs of the same signer's test
    block, and for each of WHO and each number of ways its episodes."""

    pictures: Pictures
    pairs: Pairs
    episodes: dict[str, dict[int, Episodes]]


@dataclass(frozen=True)
class Judged:
    """One run and its shares right, by WHO and by ways."""

    network: str
    volume: int
    seed: int
    run: Run
    shares: dict[str, dict[int, Share]]
    verification: float


def run_all(study: Study) -> list[Judged]:
    """Every run of the study, judged. study.data: the .npz of pictures with subject and frame.
    Raises UserError."""
    size = SIZES[study.size]
    own, other = signers(load_sign_mnist(study.data), size.blocks)
    tests = make_tests(own, other, size)
    seeds = study.seeds or size.seeds
    wanted = [(NETWORKS[0], v, s) for s in range(seeds) for v in size.volumes]
    wanted += [
        (n, v, s) for n in NETWORKS[1:] for s in range(size.other_seeds) for v in size.others
    ]
    done = []
    for number, (network, volume, seed) in enumerate(wanted, 1):
        tell(f"Run {number} of {len(wanted)}: {network}, {volume} a class, seed {seed}.")
        done.append(_judged(study, size, own, tests, network, volume, seed))
    return done


def signers(pictures: Pictures, blocks: tuple[int, int, int]) -> tuple[Pictures, Pictures | None]:
    """The signer with most pictures of every class, and the next one, if the file tells of any. A
    CSV of Sign-Language-MNIST doesn't: its order stands for time, and nobody else is asked about.
    """
    fewest = {
        name: np.unique(pictures.labels[pictures.subjects == name], return_counts=True)[1].min()
        for name in np.unique(pictures.subjects).tolist()
    }
    ordered = sorted(fewest, key=lambda name: -fewest[name])
    own, *others = (pictures.take(pictures.subjects == name) for name in ordered[:2])
    return own, others[0] if others else None


def make_tests(own: Pictures, other: Pictures | None, size: Size) -> Tests:
    """References lie before the queries in time, GAP frames away at least; so do the verification
    pairs' first pictures."""
    test = own.take(split_blocks(own.order, own.labels, size.blocks, GAP)[2])
    parts = [test] if other is None else [test, other]
    pictures = join(parts)
    mine = np.repeat(np.arange(len(parts)), [len(part) for part in parts]) == 0
    halves = [_halves(part) for part in parts]
    early, late = (np.concatenate([half[k] for half in halves]) for k in (0, 1))
    masks = {WHO[0]: (mine & late, mine & early)}
    if other is not None:
        masks |= {WHO[1]: (~mine & late, ~mine & early), WHO[2]: (~mine, mine)}
    ways = sorted({min(w, len(np.unique(test.labels))) for w in WAYS})
    episodes = {
        who: {
            n: draw_episodes(n, pictures.labels, n, size.trials, queries=q, supports=s)
            for n in ways
        }
        for who, (q, s) in masks.items()
    }
    return Tests(pictures, _pairs_across(test, *halves[0]), episodes)


def _halves(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """bool (N,) twice: the first and the last pictures of each class, with a gap between them."""
    early, late = np.zeros((2, len(pictures)), bool)
    for label in np.unique(pictures.labels):
        rows = np.flatnonzero(pictures.labels == label)
        rows = rows[np.argsort(pictures.order[rows], kind="stable")]
        gap = min(GAP, len(rows) // 3)
        half = (len(rows) - gap) // 2
        early[rows[:half]] = True
        late[rows[half + gap :]] = True
    return early, late


def _pairs_across(pictures: Pictures, early: np.ndarray, late: np.ndarray) -> Pairs:
    """PAIRS pairs of an early and a late picture, half of them of one class."""
    rng = np.random.default_rng(0)
    first = rng.choice(np.flatnonzero(early), PAIRS)
    same = np.arange(PAIRS) % 2 == 0
    second = [
        rng.choice(np.flatnonzero(late & ((pictures.labels == pictures.labels[row]) == alike)))
        for row, alike in zip(first, same, strict=True)
    ]
    return Pairs(first, np.array(second), same)


def _judged(
    study: Study, size: Size, own: Pictures, tests: Tests, network: str, volume: int, seed: int
) -> Judged:
    recipe = dataclasses.replace(
        recipes.ASL, model=SiameseConfig(network), epochs=size.epochs, steps=size.steps, seed=seed
    )
    learn, watch, _ = split_blocks(own.order, own.labels, size.blocks, GAP, volume)
    validation = own.take(watch)
    pairs = draw_pairs(np.random.default_rng(0), index_classes(validation.labels), 500)
    task = Task(own.take(learn), validation, pairs)
    run = train(recipe, task, study.out / "runs" / f"{network}-{volume}-{seed}")
    features = compute_features(run.network, tests.pictures.images)
    shares = {
        who: {
            ways: accuracy_on_features(run.network, features, asked)
            for ways, asked in by_ways.items()
        }
        for who, by_ways in tests.episodes.items()
    }
    checked = verified(run, tests.pictures, tests.pairs, features)
    return Judged(network, volume, seed, run, shares, checked.accuracy.value)
