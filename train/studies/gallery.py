"""A small gallery of faces: a folder per person in, and out comes who is on a picture.

Pictures are cropped, made grey and small; pairs are drawn and saved, and a network is trained from
the saved file (contrastive loss; triplets and our own recipe beside it). Then one reference of each
person that it has never seen names all their other pictures, against the same with raw pixels.
"""

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
from train.reports.plots import bars, curves, roc
from train.reports.report import Report, percent, plain
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
from train.studies.pixels import RawPixels
from train.studies.study import Study, kept, machines, minutes, verified

CROP = 1.0  # the largest centred square: nothing is squeezed
TEST, VALIDATION = 0.3, 0.2  # of the people, and of those that are left
FEWEST = 6  # people: two each to learn from, for validation and for the test
NAMES = {
    "contrastive": "contrastive loss",
    "triplet": "triplet loss",
    "ours": "our own recipe (CosFace)",
}
PIXELS = "raw pixels, nothing learned"


@dataclass(frozen=True)
class Size:
    """epochs of `steps` batches; batch: of pairs, and triplets: that many of them; ours: epochs and
    steps of our recipe; pairs: for training, validation and test."""

    epochs: int
    steps: int
    batch: int
    triplets: int
    ours: tuple[int, int]
    pairs: tuple[int, int, int]


SIZES = {
    "full": Size(20, 50, 32, 32, (30, 100), (4000, 800, 2000)),
    "laptop": Size(5, 40, 32, 20, (5, 60), (2000, 400, 1000)),
    "minute": Size(1, 3, 4, 3, (1, 3), (24, 16, 40)),
}


@dataclass(frozen=True)
class Parts:
    """Pictures of three sets of people with none in common."""

    train: Pictures
    validation: Pictures
    test: Pictures


@dataclass(frozen=True)
class Judged:
    """run: None for raw pixels; nearest: named rightly by their first pictures; always: mean of
    that over every choice of reference; scores float (P,): of the test pairs."""

    name: str
    run: Run | None
    nearest: Share
    always: float
    verification: Verification
    scores: np.ndarray


def study(study: Study) -> Report:
    """study.data: a folder or .zip with a folder of pictures per person. → the report, written.
    Raises UserError."""
    size = SIZES[study.size]
    parts = extract(study.data)
    files = write_pairs(study, parts)
    (learned, pairs), (watched, watched_pairs) = map(load_pairs, files)
    listed = Task(learned, watched, watched_pairs, pairs)
    # Triplets and classes are drawn from all pictures: in the file they stand once for every pair.
    drawn = Task(parts.train, watched, watched_pairs)
    tested = draw_pairs(np.random.default_rng(2), index_classes(parts.test.labels), size.pairs[2])
    runs = []
    for seed in range(study.seeds or 1):
        for key, recipe in arms(study, seed).items():
            name = NAMES[key] + (f", seed {seed}" if seed else "")
            tell(f"Gallery: {name}.")
            task = resize_task(listed if key == "contrastive" else drawn, recipe)
            run = train(recipe, task, study.out / "runs" / (key + (f"-{seed}" if seed else "")))
            runs.append(_judged(name, run, parts.test, tested))
    runs.append(_baseline(parts.test, tested, listed))
    return _report(study, parts, tested, runs)


def arms(study: Study, seed: int) -> dict[str, SiameseRecipe]:
    """Key of NAMES → recipe."""
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


def extract(data: Path) -> Parts:
    """A folder or .zip → square grey pictures of the network's size, people drawn by chance.

    Raises UserError for what can't be read, and for too few people.
    """
    size = NETWORKS[recipes.GALLERY.model.network].size
    pictures = load_class_folders(data, size, CROP)
    people = len(np.unique(pictures.labels))
    if people < FEWEST:
        raise UserError(
            f"{data} holds {people} people: expected {FEWEST} or more, so that training, "
            "validation and test have two of their own each. Add people."
        )
    rng = np.random.default_rng(0)
    test = split_classes(pictures.labels, max(TEST, 2 / people), rng)
    rest = pictures.take(~test)
    fewest = 2 / len(np.unique(rest.labels))
    validation = split_classes(rest.labels, max(VALIDATION, fewest), rng)
    return Parts(rest.take(~validation), rest.take(validation), pictures.take(test))


def write_pairs(study: Study, parts: Parts) -> tuple[Path, Path]:
    """pairs-train.npz and pairs-validation.npz in the study's folder. Raises UserError."""
    with explain_errors(f"--out {study.out} can't be written"):
        study.out.mkdir(parents=True, exist_ok=True)
    files = study.out / "pairs-train.npz", study.out / "pairs-validation.npz"
    drawn = zip(files, (parts.train, parts.validation), SIZES[study.size].pairs, strict=False)
    for seed, (path, pictures, count) in enumerate(drawn):
        index = index_classes(pictures.labels)
        save_pairs(path, pictures, draw_pairs(np.random.default_rng(seed), index, count))
    return files


@torch.inference_mode()
def nearest(network: SiameseNetwork, pictures: Pictures, references: np.ndarray) -> np.ndarray:
    """str (N,): for each picture the label of the most similar of the pictures `references`,
    int (R,)."""
    features = compute_features(network, pictures.images)
    shown = features[references]
    best = [int(network.compare(one, shown).argmax()) for one in features]
    return pictures.labels[references][best]


def _named(network: SiameseNetwork, test: Pictures) -> tuple[Share, float]:
    """Share right with each person's first picture as the reference; the mean over all choices:
    everybody's first, everybody's second …"""
    number = rank_within_class(test.labels)
    fewest = np.unique(test.labels, return_counts=True)[1].min()
    shares = []
    for chosen in range(fewest):
        references = np.flatnonzero(number == chosen)
        asked = number != chosen
        right = (nearest(network, test, references) == test.labels)[asked]
        shares.append(share(int(right.sum()), len(right)))
    return shares[0], float(np.mean([one.value for one in shares]))


def _judged(name: str, run: Run, test: Pictures, pairs: Pairs) -> Judged:
    test = test.resize(run.network.layout.size)
    scores = score_pairs(run.network, test.images, pairs)
    return Judged(name, run, *_named(run.network, test), verified(run, test, pairs), scores)


def _baseline(test: Pictures, pairs: Pairs, task: Task) -> Judged:
    pixels = cast(SiameseNetwork, RawPixels())
    watched = score_pairs(pixels, task.validation.images, task.validation_pairs)
    scores = score_pairs(pixels, test.images, pairs)
    found = verify(scores, pairs.same, best_threshold(watched, task.validation_pairs.same))
    return Judged(PIXELS, None, *_named(pixels, test), found, scores)


def _report(study: Study, parts: Parts, pairs: Pairs, runs: list[Judged]) -> Report:
    report = Report("A small gallery of faces", study.out)
    report.code(study.command("gallery"))
    counts = [len(np.unique(part.labels)) for part in (parts.train, parts.validation, parts.test)]
    where = plain(machines(one.run for one in runs if one.run))
    report.paragraph(
        f"Machine: {where}. {counts[0]} people to learn from, {counts[1]} to watch that on, "
        f"{counts[2]} others with {len(parts.test)} pictures to be tested on; "
        f"{SIZES[study.size].pairs[0]:,} pairs to learn from, saved in pairs-train.npz. One "
        "picture of each test person is the reference, and all their others are named after the "
        "nearest reference."
    )
    report.table(
        ["", "named rightly", "mean over all references", "pairs rightly told", "AUC", "EER",
         "time"],
        [
            [
                one.name,
                str(one.nearest),
                percent(one.always),
                str(one.verification.accuracy),
                f"{one.verification.auc:.3f}",
                percent(one.verification.eer),
                minutes(one.run.figures["seconds"]) if one.run else "–",
            ]
            for one in runs
        ],
    )  # fmt: skip
    report.paragraph(
        f"By chance 1 of {counts[2]} would be named rightly. Intervals are 95 % of independent "
        "trials; pictures of one person aren't, so that they are too narrow."
    )
    _pictures(study, report, pairs, runs, 100 / counts[2])
    kept(study.out / "figures.json", [_figures(one) for one in runs])
    report.write()
    return report


def _pictures(
    study: Study, report: Report, pairs: Pairs, runs: list[Judged], chance: float
) -> None:
    shares = [one.nearest for one in runs]
    bars(
        study.out / "nearest.png",
        [one.name for one in runs],
        [100 * one.value for one in shares],
        [100 * one.low for one in shares],
        [100 * one.high for one in shares],
        "named rightly by the nearest reference, %",
        (chance, "chance"),
    )
    report.picture("nearest.png", "One reference a person, of people never seen.")
    found = {one.name: one.verification for one in runs}
    roc(study.out / "roc.png", {n: (v.fpr, v.tpr, v.auc, v.eer) for n, v in found.items()})
    report.picture("roc.png", "Pairs of the test people, at every threshold.")
    for one in runs:
        if one.run is None:
            continue
        name = f"distances-{one.run.folder.name}.png"
        distances = (1.0 if one.run.recipe.model.similarity == "cosine" else 0.0) - one.scores
        edges = np.histogram_bin_edges(distances, 25)
        series = {}
        for kind, mask in (("same person", pairs.same), ("different people", ~pairs.same)):
            height = np.histogram(distances[mask], edges)[0] / max(1, mask.sum())
            series[kind] = ((edges[1:] + edges[:-1]) / 2, height, None, None)
        curves(study.out / name, series, "distance (ours: 1 − cosine)", "share of pairs", one.name)
        report.picture(name, f"{one.name.capitalize()}: how far apart the pairs' features lie.")
    report.paragraph(
        "Each run's folder in runs/ holds its loss curves, and as pairs.png its most confident "
        "decisions, right and wrong. These show people: mind who may see them."
    )


def _figures(one: Judged) -> dict[str, object]:
    return {
        "name": one.name,
        "nearest": dataclasses.asdict(one.nearest),
        "always": one.always,
        "verification": dataclasses.asdict(one.verification.accuracy),
        "auc": one.verification.auc,
        "eer": one.verification.eer,
        "run": one.run.figures if one.run else None,
    }
