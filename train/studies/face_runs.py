"""The runs of the faces study: which there are, how large, and how each is judged."""

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
from train.studies.pixels import RawPixels
from train.studies.study import Study, verified

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
class Grid:
    """What the sweep draws from: learning rates between two, on a log scale; batches; epochs of
    `steps` batches; and how many trials it has, all machines together."""

    rates: tuple[float, float]
    batches: tuple[int, ...]
    epochs: tuple[int, ...]
    steps: int
    trials: int


@dataclass(frozen=True)
class Size:
    """network: the "full" one; epochs, steps, batch: of the published networks; ours: epochs and
    steps of our recipe; pairs: of each kind to draw for training and test where no lists are given;
    trials: of each one-shot test."""

    network: str
    epochs: int
    steps: int
    batch: int
    ours: tuple[int, int]
    grid: Grid
    pairs: tuple[int, int] = (1100, 500)
    trials: int = 1000


SIZES = {
    "full": Size("face", 20, 70, 32, (30, 100), Grid((1e-5, 1e-2), (16, 32, 64), (5, 10), 70, 30)),
    "laptop": Size("face", 6, 25, 32, (10, 60), Grid((1e-4, 1e-2), (16, 32), (2, 4), 25, 8)),
    "minute": Size(
        "face-reduced", 1, 3, 4, (1, 3), Grid((1e-4, 1e-3), (4,), (1,), 2, 2), (60, 40), 50
    ),
}


@dataclass(frozen=True)
class Judged:
    """What a run (None: raw pixels) is worth on the test people; share: of its validation; shots:
    one-shot by the number of ways."""

    name: str
    seed: int
    share: float
    run: Run | None
    verification: Verification
    shots: dict[int, Share]


def published_recipe(size: Size, network: str, exact: bool, seed: int = 0) -> SiameseRecipe:
    """recipes.FACE for a size of the study; exact: in single precision."""
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
    """recipes.MODERN for faces, which don't come upside down."""
    return dataclasses.replace(
        recipes.MODERN, turns=False, warp="affine", epochs=epochs, steps=steps, seed=seed
    )


def experiments(study: Study, seed: int) -> dict[str, tuple[SiameseRecipe, float]]:
    """Key of NAMES → recipe, and share of validation; all but the sweep."""
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


def run_all(study: Study, faces: Faces) -> list[Judged]:
    """Every experiment, each with every seed. Raises UserError."""
    done = []
    for seed in range(study.seeds or 1):
        for key, (recipe, share) in experiments(study, seed).items():
            name = NAMES[key] + (f", seed {seed}" if seed else "")
            tell(f"Faces: {name}.")
            folder = study.out / "runs" / (key + (f"-{seed}" if seed else ""))
            run = train(recipe, resize_task(faces.tasks[share], recipe), folder)
            done.append(judged(study, name, share, run, faces))
    return done


def resize_task(task: Task, recipe: SiameseRecipe) -> Task:
    """The task with pictures of the network's size."""
    size = NETWORKS[recipe.model.network].size
    train, validation = task.train.resize(size), task.validation.resize(size)
    return dataclasses.replace(task, train=train, validation=validation)


def judged(study: Study, name: str, share: float, run: Run, faces: Faces) -> Judged:
    """Test pairs at the validation's threshold, and one-shot among the test people."""
    pictures = faces.test.resize(run.network.layout.size)
    found = verified(run, pictures, faces.test_pairs)
    shots = _shots(study, run.network, pictures.images, faces)
    return Judged(name, run.recipe.seed, share, run, found, shots)


def baseline(study: Study, faces: Faces) -> Judged:
    """The same for pictures compared pixel by pixel."""
    share = max(faces.tasks)
    task = faces.tasks[share]
    pixels = cast(SiameseNetwork, RawPixels())
    watched = score_pairs(pixels, task.validation.images, task.validation_pairs)
    threshold = best_threshold(watched, task.validation_pairs.same)
    scores = score_pairs(pixels, faces.test.images, faces.test_pairs)
    found = verify(scores, faces.test_pairs.same, threshold)
    return Judged(PIXELS, 0, share, None, found, _shots(study, pixels, faces.test.images, faces))


def _shots(
    study: Study, network: SiameseNetwork, images: np.ndarray, faces: Faces
) -> dict[int, Share]:
    trials = SIZES[study.size].trials
    return {
        ways: accuracy_on_pictures(
            network, images, draw_episodes(ways, faces.test.labels, ways, trials)
        )
        for ways in sorted({min(ways, faces.people) for ways in WAYS})
    }
