"""How much data per class does a Siamese network need, and can that be told beforehand?

One signer's 28 × 28 recordings, split in blocks of time; volume × network as published, and more
volumes between. Each network is asked about the same signer later on and about another signer. The
accuracy of the smallest volumes alone foretells that of the larger ones, which is then checked.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from engines.errors import UserError
from realtime.say import tell
from train.siamese import recipes
from train.siamese.batches import Task
from train.siamese.class_index import index_classes
from train.siamese.episodes import Episodes, Share, answered, draw_episodes, features_of
from train.siamese.networks import SiameseConfig
from train.siamese.pairs import Pairs, draw_pairs
from train.siamese.pictures import Pictures, joined
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


def signers(pictures: Pictures, blocks: tuple[int, int, int]) -> tuple[Pictures, Pictures]:
    """The signer with enough pictures of every class, and another one. Raises UserError."""
    names = np.unique(pictures.subjects)
    if len(names) < 2:
        raise UserError(
            "The study needs two signers told apart, to ask about the one it hasn't seen; expected "
            "an .npz with image, label, subject and frame, got one signer only."
        )
    fewest = {
        name: np.unique(pictures.labels[pictures.subjects == name], return_counts=True)[1].min()
        for name in names.tolist()
    }
    ordered = sorted(fewest, key=lambda name: -fewest[name])
    own = pictures.take(pictures.subjects == ordered[0])
    return own, pictures.take(pictures.subjects == ordered[1])


def make_tests(own: Pictures, other: Pictures, size: Size) -> Tests:
    """References lie before the queries in time, so that they are never neighbouring frames."""
    last = split_blocks(own.order, own.labels, size.blocks, GAP)[2]
    test = own.take(last)
    tested = np.concatenate([np.zeros(len(test), int), np.ones(len(other), int)])
    pictures = joined([test, other])
    early = np.concatenate([_first_half(test), _first_half(other)])
    mine = tested == 0
    masks = {
        WHO[0]: (mine & ~early, mine & early),
        WHO[1]: (~mine & ~early, ~mine & early),
        WHO[2]: (~mine, mine),
    }
    labels = len(np.unique(test.labels))
    episodes = {
        who: {
            ways: draw_episodes(ways, pictures.labels, ways, size.trials, queries=q, supports=s)
            for ways in sorted({min(w, labels) for w in WAYS})
        }
        for who, (q, s) in masks.items()
    }
    pairs = draw_pairs(np.random.default_rng(0), index_classes(test.labels), 2000)
    return Tests(pictures, pairs, episodes)


def _first_half(pictures: Pictures) -> np.ndarray:
    """bool (N,): before the median frame of its class."""
    early = np.zeros(len(pictures), bool)
    for label in np.unique(pictures.labels):
        rows = np.flatnonzero(pictures.labels == label)
        rows = rows[np.argsort(pictures.order[rows], kind="stable")]
        early[rows[: len(rows) // 2]] = True
    return early


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
    features = features_of(run.network, tests.pictures.images)
    shares = {
        who: {ways: answered(run.network, features, asked) for ways, asked in by_ways.items()}
        for who, by_ways in tests.episodes.items()
    }
    checked = verified(run, tests.pictures, tests.pairs, features)
    return Judged(network, volume, seed, run, shares, checked.accuracy.value)
