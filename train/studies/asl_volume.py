"""The runs of `run.py study asl-volume`: how many pictures per class does a Siamese network need?

Networks are trained on one signer's 28 × 28 recordings, split in blocks of time, with the published
volumes and more in between. They are tested on a later block of the same signer and on another
signer. train/studies/asl_report.py predicts the accuracy of large volumes from small ones.
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
from train.studies.study import Study, verify_run

PUBLISHED = (500, 250, 125, 30)  # training pictures per class
BLOCKS = (500, 100, 200)  # training, validation and test pictures per class, as published
GAP = 15  # frames left out between blocks
NETWORKS = ("asl-1024", "asl-2048", "asl-narrow")  # the first is trained with every volume
WAYS = (2, 5, 10, 15, 20, 24)
REPORTED_WAYS = 20
VERIFICATION_PAIRS = 2000
BREAKAWAY_DROP = 0.05  # loss of accuracy against the largest volume
TEST_KINDS = ("same signer", "other signer", "reference by the one, query by the other")


@dataclass(frozen=True)
class VolumeSize:
    """What a size of the study runs.

    Attributes:
        volumes: Volumes of the first network, pictures per class.
        seeds: Runs of each, with different seeds.
        others: Volumes of the other networks.
        other_seeds: Runs of each of these.
        epochs: Epochs of each run.
        trials: Episodes of each one-shot test.
        steps: Batches per epoch.
        small: The largest volume that predictions are made from.
        blocks: Training, validation and test pictures per class.
    """

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
    "full": VolumeSize((4, 8, 15, 30, 60, 90, 125, 180, 250, 350, 500), 5, PUBLISHED, 5, 40, 1000),
    "laptop": VolumeSize((4, 8, 15, 30, 60, 125, 250, 500), 2, (500, 30), 1, 10, 1000),
    "minute": VolumeSize((2, 4, 8, 16, 24), 1, (), 0, 1, 100, 40, 16, (24, 8, 8)),
}


@dataclass(frozen=True)
class VolumeTests:
    """The tests of every run.

    Attributes:
        pictures: The pictures of both signers.
        pairs: Verification pairs of the same signer's test block.
        episodes: Kind of test, in TEST_KINDS → number of ways → episodes.
    """

    pictures: Pictures
    pairs: Pairs
    episodes: dict[str, dict[int, Episodes]]


@dataclass(frozen=True)
class VolumeResult:
    """A run and its test results.

    Attributes:
        network: Name of the network.
        volume: Training pictures per class.
        seed: Seed of the run.
        run: The run.
        shares: Kind of test, in TEST_KINDS → number of ways → one-shot accuracy.
        verification: Verification accuracy, 0…1.
    """

    network: str
    volume: int
    seed: int
    run: Run
    shares: dict[str, dict[int, Share]]
    verification: float


def run_all(study: Study) -> list[VolumeResult]:
    """Train and test every run of the study.

    Args:
        study: Its data is an .npz of pictures with subject and frame, or a .csv.

    Raises:
        UserError: The data is unsuitable, or a run's folder can't be used.
    """
    size = SIZES[study.size]
    own, other = split_signers(load_sign_mnist(study.data), size.blocks)
    tests = make_tests(own, other, size)
    seeds = study.seeds or size.seeds
    wanted = [(NETWORKS[0], v, s) for s in range(seeds) for v in size.volumes]
    wanted += [
        (n, v, s) for n in NETWORKS[1:] for s in range(size.other_seeds) for v in size.others
    ]
    done = []
    for number, (network, volume, seed) in enumerate(wanted, 1):
        tell(f"Run {number} of {len(wanted)}: {network}, {volume} per class, seed {seed}.")
        done.append(_evaluate_run(study, size, own, tests, network, volume, seed))
    return done


def split_signers(
    pictures: Pictures, blocks: tuple[int, int, int]
) -> tuple[Pictures, Pictures | None]:
    """Return the pictures of the signer with most pictures in every class, and of the next one.

    A CSV of Sign-Language-MNIST names no signers: its order counts as time, and the second is None.
    """
    fewest = {
        name: np.unique(pictures.labels[pictures.subjects == name], return_counts=True)[1].min()
        for name in np.unique(pictures.subjects).tolist()
    }
    ordered = sorted(fewest, key=lambda name: -fewest[name])
    own, *others = (pictures.take(pictures.subjects == name) for name in ordered[:2])
    return own, others[0] if others else None


def make_tests(own: Pictures, other: Pictures | None, size: VolumeSize) -> VolumeTests:
    """Draw the tests.

    References, and the first pictures of verification pairs, are at least GAP frames earlier than
    the queries.
    """
    test = own.take(split_blocks(own.order, own.labels, size.blocks, GAP)[2])
    parts = [test] if other is None else [test, other]
    pictures = join(parts)
    mine = np.repeat(np.arange(len(parts)), [len(part) for part in parts]) == 0
    halves = [_split_halves(part) for part in parts]
    early, late = (np.concatenate([half[k] for half in halves]) for k in (0, 1))
    masks = {TEST_KINDS[0]: (mine & late, mine & early)}
    if other is not None:
        masks |= {TEST_KINDS[1]: (~mine & late, ~mine & early), TEST_KINDS[2]: (~mine, mine)}
    ways = sorted({min(w, len(np.unique(test.labels))) for w in WAYS})
    episodes = {
        who: {
            n: draw_episodes(n, pictures.labels, n, size.trials, queries=q, supports=s)
            for n in ways
        }
        for who, (q, s) in masks.items()
    }
    return VolumeTests(pictures, _draw_pairs_across(test, *halves[0]), episodes)


def _split_halves(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Mask the first and the last pictures of each class, with a gap between: bool (N,) each."""
    early, late = np.zeros((2, len(pictures)), bool)
    for label in np.unique(pictures.labels):
        rows = np.flatnonzero(pictures.labels == label)
        rows = rows[np.argsort(pictures.order[rows], kind="stable")]
        gap = min(GAP, len(rows) // 3)
        half = (len(rows) - gap) // 2
        early[rows[:half]] = True
        late[rows[half + gap :]] = True
    return early, late


def _draw_pairs_across(pictures: Pictures, early: np.ndarray, late: np.ndarray) -> Pairs:
    """Draw VERIFICATION_PAIRS pairs of an early and a late picture, half of them of one class."""
    rng = np.random.default_rng(0)
    first = rng.choice(np.flatnonzero(early), VERIFICATION_PAIRS)
    same = np.arange(VERIFICATION_PAIRS) % 2 == 0
    second = [
        rng.choice(np.flatnonzero(late & ((pictures.labels == pictures.labels[row]) == alike)))
        for row, alike in zip(first, same, strict=True)
    ]
    return Pairs(first, np.array(second), same)


def _evaluate_run(
    study: Study,
    size: VolumeSize,
    own: Pictures,
    tests: VolumeTests,
    network: str,
    volume: int,
    seed: int,
) -> VolumeResult:
    recipe = dataclasses.replace(
        recipes.ASL, model=SiameseConfig(network), epochs=size.epochs, steps=size.steps, seed=seed
    )
    training, held_out, _ = split_blocks(own.order, own.labels, size.blocks, GAP, volume)
    validation = own.take(held_out)
    pairs = draw_pairs(np.random.default_rng(0), index_classes(validation.labels), 500)
    task = Task(own.take(training), validation, pairs)
    run = train(recipe, task, study.out / "runs" / f"{network}-{volume}-{seed}")
    features = compute_features(run.network, tests.pictures.images)
    shares = {
        who: {
            ways: accuracy_on_features(run.network, features, asked)
            for ways, asked in by_ways.items()
        }
        for who, by_ways in tests.episodes.items()
    }
    verification = verify_run(run, tests.pictures, tests.pairs, features)
    return VolumeResult(network, volume, seed, run, shares, verification.accuracy.value)
