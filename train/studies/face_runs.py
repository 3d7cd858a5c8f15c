"""The runs of the faces study: their recipes, sizes and tests."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np

from engines.say import tell
from train.siamese import recipes
from train.siamese.batches import Task
from train.siamese.episodes import Share, accuracy_on_pictures, draw_episodes
from train.siamese.networks import NETWORKS, SiameseConfig, SiameseNetwork
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import Run, train
from train.siamese.verification import Verification, best_threshold, score_pairs, verify
from train.studies.face_data import Faces
from train.studies.study import RawPixels, Study, verify_run

WAYS = (5, 10)
NAMES = {
    "full-sgd": "full network, SGD",
    "full-adam": "full network, Adam",
    "reduced": "reduced network, Adam",
    "reduced-90-10": "reduced network, Adam, 90/10",
    "ours": "our own recipe",
    "best": "reduced network, the sweep's best",
}
PIXELS = "raw pixels, nothing learned"


@dataclass(frozen=True)
class SweepGrid:
    """The search space of the sweep.

    Attributes:
        rates: The least and the greatest learning rate; drawn on a log scale.
        batches: Batch sizes.
        epochs: Numbers of epochs.
        steps: Batches per epoch.
        trials: Number of trials, of all machines together.
    """

    rates: tuple[float, float]
    batches: tuple[int, ...]
    epochs: tuple[int, ...]
    steps: int
    trials: int


@dataclass(frozen=True)
class FaceSize:
    """What a size of the study runs.

    Attributes:
        network: The network that is called "full".
        epochs: Epochs of the published networks.
        steps: Their batches per epoch.
        batch: Their batch size.
        ours: Epochs of our recipe, and batches per epoch.
        grid: The search space of the sweep.
        pairs: Pairs of each kind to draw for training and test if no lists are given.
        trials: Episodes of each one-shot test.
    """

    network: str
    epochs: int
    steps: int
    batch: int
    ours: tuple[int, int]
    grid: SweepGrid
    pairs: tuple[int, int] = (1100, 500)
    trials: int = 1000


SIZES = {
    "full": FaceSize(
        "face", 20, 70, 32, (30, 100), SweepGrid((1e-5, 1e-2), (16, 32, 64), (5, 10), 70, 30)
    ),
    "laptop": FaceSize(
        "face", 6, 25, 32, (10, 60), SweepGrid((1e-4, 1e-2), (16, 32), (2, 4), 25, 8)
    ),
    "minute": FaceSize(
        "face-reduced", 1, 3, 4, (1, 3), SweepGrid((1e-4, 1e-3), (4,), (1,), 2, 2), (60, 40), 50
    ),
}


@dataclass(frozen=True)
class FaceResult:
    """Results of a run on the test people.

    Attributes:
        name: Name of the run in the report.
        seed: Seed of the run.
        share: Share of its validation.
        run: The run; None for raw pixels.
        verification: Verification figures.
        shots: Number of ways → one-shot accuracy.
    """

    name: str
    seed: int
    share: float
    run: Run | None
    verification: Verification
    shots: dict[int, Share]


def published_recipe(size: FaceSize, network: str, exact: bool, seed: int = 0) -> SiameseRecipe:
    """Adapt recipes.FACE to a size of the study; `exact` trains in single precision."""
    return dataclasses.replace(
        recipes.FACE,
        model=SiameseConfig(network),
        epochs=size.epochs,
        steps=size.steps,
        batch=size.batch,
        bfloat16=not exact,
        seed=seed,
    )


def our_recipe(epochs: int, steps: int, seed: int = 0) -> SiameseRecipe:
    """Adapt recipes.MODERN to faces, which are never upside down."""
    return dataclasses.replace(
        recipes.MODERN, turns=False, warp="affine", epochs=epochs, steps=steps, seed=seed
    )


def experiments(study: Study, seed: int) -> dict[str, tuple[SiameseRecipe, float]]:
    """Return, for each key of NAMES but "best", the recipe and the share of validation."""
    size, exact = SIZES[study.size], study.size == "full"
    full = published_recipe(size, size.network, exact, seed)
    reduced = published_recipe(size, "face-reduced", exact, seed)
    return {
        "full-sgd": (
            dataclasses.replace(full, optimizer="sgd", learning_rate=1e-2, decay=0.99),
            0.2,
        ),
        "full-adam": (full, 0.2),
        "reduced": (reduced, 0.2),
        "reduced-90-10": (reduced, 0.1),
        "ours": (our_recipe(*size.ours, seed), 0.2),
    }


def run_all(study: Study, faces: Faces) -> list[FaceResult]:
    """Train and test every experiment with every seed.

    Raises:
        UserError: A run's folder can't be used.
    """
    done = []
    for seed in range(study.seeds or 1):
        for key, (recipe, share) in experiments(study, seed).items():
            name = NAMES[key] + (f", seed {seed}" if seed else "")
            tell(f"Faces: {name}.")
            folder = study.out / "runs" / (key + (f"-{seed}" if seed else ""))
            run = train(recipe, resize_task(faces.tasks[share], recipe), folder)
            done.append(evaluate_run(study, name, share, run, faces))
    return done


def resize_task(task: Task, recipe: SiameseRecipe) -> Task:
    """Scale the pictures of a task to the network's size."""
    size = NETWORKS[recipe.model.network].size
    train, validation = task.train.resize(size), task.validation.resize(size)
    return dataclasses.replace(task, train=train, validation=validation)


def evaluate_run(study: Study, name: str, share: float, run: Run, faces: Faces) -> FaceResult:
    """Test a run: verification at its validation's threshold, and one-shot recognition."""
    pictures = faces.test.resize(run.network.layout.size)
    found = verify_run(run, pictures, faces.test_pairs)
    shots = _one_shot_shares(study, run.network, pictures.images, faces)
    return FaceResult(name, run.recipe.seed, share, run, found, shots)


def evaluate_baseline(study: Study, faces: Faces) -> FaceResult:
    """Test pictures compared pixel by pixel, as `evaluate_run` does."""
    share = max(faces.tasks)
    task = faces.tasks[share]
    pixels = cast(SiameseNetwork, RawPixels())
    validation = score_pairs(pixels, task.validation.images, task.validation_pairs)
    threshold = best_threshold(validation, task.validation_pairs.same)
    scores = score_pairs(pixels, faces.test.images, faces.test_pairs)
    found = verify(scores, faces.test_pairs.same, threshold)
    shots = _one_shot_shares(study, pixels, faces.test.images, faces)
    return FaceResult(PIXELS, 0, share, None, found, shots)


def _one_shot_shares(
    study: Study, network: SiameseNetwork, images: np.ndarray, faces: Faces
) -> dict[int, Share]:
    trials = SIZES[study.size].trials
    return {
        ways: accuracy_on_pictures(
            network, images, draw_episodes(ways, faces.test.labels, ways, trials)
        )
        for ways in sorted({min(ways, faces.people) for ways in WAYS})
    }
