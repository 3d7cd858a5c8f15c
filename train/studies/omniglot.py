"""Omniglot: Koch et al.'s network by their protocol, and our own modern recipe.

Trained on the background set only. Judged on the evaluation set's 20 alphabets: Lake's 20 runs
(20-way, one alphabet and two drawers each), random episodes within an alphabet, across all
alphabets, and verification.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from realtime.say import tell
from train.siamese import recipes
from train.siamese.batches import Task
from train.siamese.class_index import index_classes
from train.siamese.episodes import Episodes, Share, draw_episodes, one_shot, right_answers, share
from train.siamese.omniglot import Run as LakeRun
from train.siamese.omniglot import load_part, load_runs
from train.siamese.pairs import draw_pairs
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import Run, train
from train.siamese.verification import Verification
from train.studies.study import Study, kept, machine, minutes, spread, verified

# iterations of the published protocol; epochs of ours; seeds of ours; episodes of each test
SIZES = {"full": (20000, 36, 3, 2000), "laptop": (2000, 36, 1, 2000), "minute": (4, 1, 1, 100)}
DRAWERS = 12  # of 20 are learned from in the published protocol
WATCHED = 5  # background alphabets that the published protocol is watched on
PUBLISHED = {  # name → Lake's 20 runs, across the evaluation alphabets; None: not given
    "Koch et al. 2015": (0.920, None),
    "Matching Networks (Vinyals et al. 2016)": (None, 0.938),
    "Prototypical Networks (Snell et al. 2017)": (None, 0.960),
}


@dataclass(frozen=True)
class Judged:
    """One run's figures on the evaluation set."""

    run: Run
    lake: Share
    within: Share
    across: Share
    verification: Verification


def study(study: Study) -> "Report":
    """study.data: the folder with Omniglot's three zips. → the report, written. Raises UserError."""
    iterations, epochs, default_seeds, trials = SIZES[study.size]
    background = load_part(study.data / "images_background.zip")
    evaluation = load_part(study.data / "images_evaluation.zip")
    lake = load_runs(study.data / "all_runs.zip")
    published = dataclasses.replace(
        recipes.KOCH,
        epochs=max(1, iterations // recipes.KOCH.steps),
        steps=min(iterations, recipes.KOCH.steps),
        trials=min(trials, recipes.KOCH.trials),
        bfloat16=study.size != "full",
    )
    ours = dataclasses.replace(recipes.MODERN, epochs=epochs)
    if study.size == "minute":
        ours = dataclasses.replace(ours, steps=4)
    results: dict[str, list[Judged]] = {"ours": [], "koch": []}
    for seed in range(study.seeds or default_seeds):
        tell(f"Omniglot: our recipe, seed {seed}.")
        run = train(
            dataclasses.replace(ours, seed=seed),
            whole(background, ours),
            study.out / "runs" / f"ours-{seed}",
        )
        results["ours"].append(judged(run, evaluation, lake, trials))
    tell("Omniglot: the published network.")
    run = train(published, by_protocol(background, published), study.out / "runs" / "koch")
    results["koch"].append(judged(run, evaluation, lake, trials))
    return _report(study, results)


def by_protocol(background: Pictures, recipe: SiameseRecipe) -> Task:
    """As Koch et al. split it, within the background set: 12 drawers of some alphabets to learn
    from, the other drawers of the other alphabets to be watched on."""
    rng = np.random.default_rng(0)
    watched = rng.choice(np.unique(background.groups), WATCHED, replace=False)
    learner = np.isin(background.subjects, np.unique(background.subjects)[:DRAWERS])
    apart = np.isin(background.groups, watched)
    return _task(background.take(~apart & learner), background.take(apart & ~learner), recipe)


def whole(background: Pictures, recipe: SiameseRecipe) -> Task:
    """All of the background set to learn from; watched on its last drawers' pictures, which is
    worth nothing but to see that it learns."""
    last = np.isin(background.subjects, np.unique(background.subjects)[DRAWERS:])
    return _task(background, background.take(last), recipe)


def _task(train: Pictures, validation: Pictures, recipe: SiameseRecipe) -> Task:
    from train.siamese.networks import NETWORKS

    size = NETWORKS[recipe.model.network].size
    train, validation = train.resized(size), validation.resized(size)
    pairs = draw_pairs(np.random.default_rng(0), index_classes(validation.labels), 400)
    return Task(train, validation, pairs)


def judged(run: Run, evaluation: Pictures, lake: list[LakeRun], trials: int) -> Judged:
    """Everything measured on the evaluation set; Lake's runs may share its characters' drawers."""
    pictures = evaluation.resized(run.network.layout.size)
    within = draw_episodes(1, pictures.labels, 20, trials, groups=pictures.groups)
    across = draw_episodes(2, pictures.labels, 20, trials)
    pairs = draw_pairs(np.random.default_rng(3), index_classes(pictures.labels), trials)
    return Judged(
        run,
        on_lake(run, lake),
        one_shot(run.network, pictures.images, within),
        one_shot(run.network, pictures.images, across),
        verified(run, pictures, pairs),
    )


def on_lake(run: Run, lake: list[LakeRun]) -> Share:
    """Lake's 20 runs of 20 trials (Lake et al. 2011), as given."""
    right = 0
    for one in lake:
        pictures = lake_pictures(one).resized(run.network.layout.size)
        count = len(one.query)
        # The right answer first, then the others in their order.
        order = [[a, *(i for i in range(len(one.support)) if i != a)] for a in one.answers]
        episodes = Episodes(np.arange(count), np.array(order) + count)
        right += int(right_answers(run.network, pictures.images, episodes).sum())
    return share(right, sum(len(one.query) for one in lake))


def lake_pictures(one: LakeRun) -> Pictures:
    """A run's queries, then its supports."""
    images = np.concatenate([one.query, one.support])
    labels = np.concatenate([one.answers, np.arange(len(one.support))]).astype(str)
    nothing = np.full(len(images), "")
    return Pictures(images, labels, nothing, nothing, np.arange(len(images)))


def _report(study: Study, results: dict[str, list[Judged]]) -> "Report":
    names = {"ours": "our recipe (residual, 52 × 52)", "koch": "Koch et al.'s network, here"}
    report = Report("Omniglot: one-shot characters", study.out)
    return report


