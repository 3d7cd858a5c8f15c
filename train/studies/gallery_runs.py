"""The runs of the gallery study: its people, recipes, sizes and tests."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from engines.errors import UserError
from engines.files import explain_errors
from engines.say import tell
from train.siamese import recipes
from train.siamese.batches import Task
from train.siamese.class_folders import load_class_folders
from train.siamese.class_index import index_classes, rank_within_class
from train.siamese.episodes import Share, compute_features, share
from train.siamese.networks import NETWORKS, SiameseNetwork
from train.siamese.pairs import Pairs, draw_pairs, load_pairs, save_pairs
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import Run, train
from train.siamese.splits import split_classes
from train.siamese.verification import Verification, best_threshold, score_pairs, verify
from train.studies.face_runs import our_recipe, resize_task
from train.studies.study import RawPixels, Study, verify_run

CROP = 1.0  # the largest centred square
TEST_SHARE, VALIDATION_SHARE = 0.3, 0.2  # of all people, and of the remaining ones
MIN_PEOPLE = 6  # two each for training, validation and test
NAMES = {
    "contrastive": "contrastive loss",
    "triplet": "triplet loss",
    "ours": "our own recipe (CosFace)",
}
PIXELS = "raw pixels, nothing learned"


@dataclass(frozen=True)
class GallerySize:
    """What a size of the study runs.

    Attributes:
        epochs: Epochs of each run.
        steps: Batches per epoch.
        batch: Pairs per batch.
        triplets: Triplets per batch.
        ours: Epochs of our recipe, and batches per epoch.
        pairs: Pairs for training, validation and test.
    """

    epochs: int
    steps: int
    batch: int
    triplets: int
    ours: tuple[int, int]
    pairs: tuple[int, int, int]


SIZES = {
    "full": GallerySize(20, 50, 32, 32, (30, 100), (4000, 800, 2000)),
    "laptop": GallerySize(5, 40, 32, 20, (5, 60), (2000, 400, 1000)),
    "minute": GallerySize(1, 3, 4, 3, (1, 3), (24, 16, 40)),
}


@dataclass(frozen=True)
class GalleryParts:
    """The pictures of three disjoint sets of people."""

    train: Pictures
    validation: Pictures
    test: Pictures


@dataclass(frozen=True)
class GalleryResult:
    """Results of a run on the test people.

    Attributes:
        name: Name of the run in the report.
        run: The run; None for raw pixels.
        nearest: Share recognised with each person's first picture as the reference.
        mean_over_references: Mean of that share over all choices of the reference, 0…1.
        verification: Verification figures.
        scores: float (P,), similarities of the test pairs.
    """

    name: str
    run: Run | None
    nearest: Share
    mean_over_references: float
    verification: Verification
    scores: np.ndarray


def run_all(study: Study, parts: GalleryParts) -> tuple[list[GalleryResult], Pairs]:
    """Train and test every recipe with every seed.

    Returns:
        The results, raw pixels last, and the test pairs.

    Raises:
        UserError: A file or a run's folder can't be used.
    """
    size = SIZES[study.size]
    files = write_pairs(study, parts)
    (training, pairs), (validation, validation_pairs) = map(load_pairs, files)
    listed = Task(training, validation, validation_pairs, pairs)
    # Triplets and classes are drawn from the pictures themselves: the file repeats them per pair.
    drawn = Task(parts.train, validation, validation_pairs)
    tested = draw_pairs(np.random.default_rng(2), index_classes(parts.test.labels), size.pairs[2])
    runs = []
    for seed in range(study.seeds or 1):
        for key, recipe in arm_recipes(study, seed).items():
            name = NAMES[key] + (f", seed {seed}" if seed else "")
            tell(f"Gallery: {name}.")
            task = resize_task(listed if key == "contrastive" else drawn, recipe)
            run = train(recipe, task, study.out / "runs" / (key + (f"-{seed}" if seed else "")))
            runs.append(_evaluate_run(name, run, parts.test, tested))
    runs.append(_evaluate_baseline(parts.test, tested, listed))
    return runs, tested


def arm_recipes(study: Study, seed: int) -> dict[str, SiameseRecipe]:
    """Return the recipe of each key of NAMES."""
    size = SIZES[study.size]
    contrastive = dataclasses.replace(
        recipes.GALLERY,
        epochs=size.epochs,
        steps=size.steps,
        batch=size.batch,
        bfloat16=study.size != "full",
        seed=seed,
    )
    return {
        "contrastive": contrastive,
        "triplet": dataclasses.replace(contrastive, loss="triplet", batch=size.triplets),
        "ours": our_recipe(*size.ours, seed),
    }


def load_parts(data: Path) -> GalleryParts:
    """Load square grey pictures of the network's size and split the people at random.

    Raises:
        UserError: The data can't be read, or shows too few people.
    """
    size = NETWORKS[recipes.GALLERY.model.network].size
    pictures = load_class_folders(data, size, CROP)
    people = len(np.unique(pictures.labels))
    if people < MIN_PEOPLE:
        raise UserError(
            f"{data} holds {people} people: expected {MIN_PEOPLE} or more, so that training, "
            "validation and test have two of their own each. Add people."
        )
    rng = np.random.default_rng(0)
    test = split_classes(pictures.labels, max(TEST_SHARE, 2 / people), rng)
    rest = pictures.take(~test)
    fewest = 2 / len(np.unique(rest.labels))
    validation = split_classes(rest.labels, max(VALIDATION_SHARE, fewest), rng)
    return GalleryParts(rest.take(~validation), rest.take(validation), pictures.take(test))


def write_pairs(study: Study, parts: GalleryParts) -> tuple[Path, Path]:
    """Draw pairs and write pairs-train.npz and pairs-validation.npz into the study's folder.

    Raises:
        UserError: A file can't be written.
    """
    with explain_errors(f"--out {study.out} can't be written"):
        study.out.mkdir(parents=True, exist_ok=True)
    files = study.out / "pairs-train.npz", study.out / "pairs-validation.npz"
    drawn = zip(files, (parts.train, parts.validation), SIZES[study.size].pairs, strict=False)
    for seed, (path, pictures, count) in enumerate(drawn):
        index = index_classes(pictures.labels)
        save_pairs(path, pictures, draw_pairs(np.random.default_rng(seed), index, count))
    return files


@torch.inference_mode()
def name_by_nearest(
    network: SiameseNetwork, pictures: Pictures, references: np.ndarray
) -> np.ndarray:
    """Label pictures by the most similar reference.

    Args:
        network: Compares pictures.
        pictures: N pictures.
        references: int (R,), the pictures that serve as references.

    Returns:
        str (N,), the label for each picture.
    """
    features = compute_features(network, pictures.images)
    shown = features[references]
    best = [int(network.compare(one, shown).argmax()) for one in features]
    return pictures.labels[references][best]


def _naming_accuracy(network: SiameseNetwork, test: Pictures) -> tuple[Share, float]:
    """Compute the share recognised with one reference per person.

    Returns:
        The share with everybody's first picture as the reference, and its mean over everybody's
        first, second, third picture, …
    """
    number = rank_within_class(test.labels)
    fewest = np.unique(test.labels, return_counts=True)[1].min()
    shares = []
    for chosen in range(fewest):
        references = np.flatnonzero(number == chosen)
        queries = number != chosen
        right = (name_by_nearest(network, test, references) == test.labels)[queries]
        shares.append(share(int(right.sum()), len(right)))
    return shares[0], float(np.mean([one.value for one in shares]))


def _evaluate_run(name: str, run: Run, test: Pictures, pairs: Pairs) -> GalleryResult:
    test = test.resize(run.network.layout.size)
    scores = score_pairs(run.network, test.images, pairs)
    found = verify_run(run, test, pairs)
    return GalleryResult(name, run, *_naming_accuracy(run.network, test), found, scores)


def _evaluate_baseline(test: Pictures, pairs: Pairs, task: Task) -> GalleryResult:
    pixels = cast(SiameseNetwork, RawPixels())
    validation = score_pairs(pixels, task.validation.images, task.validation_pairs)
    scores = score_pairs(pixels, test.images, pairs)
    found = verify(scores, pairs.same, best_threshold(validation, task.validation_pairs.same))
    return GalleryResult(PIXELS, None, *_naming_accuracy(pixels, test), found, scores)
