"""`run.py study omniglot`: Koch et al.'s network by their protocol, and our own recipe.

Networks are trained on the background set only and tested on the 20 alphabets of the evaluation
set: Lake's 20 runs (20-way, one alphabet and two drawers each), random episodes within an alphabet
and across all alphabets, and verification.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from engines.say import tell
from train.reports.plots import bars, roc
from train.reports.report import Report, percent, plain
from train.siamese import recipes
from train.siamese.batches import Task
from train.siamese.class_index import index_classes
from train.siamese.episodes import (
    Episodes,
    Share,
    accuracy_on_features,
    compute_features,
    draw_episodes,
    right_answers,
    share,
)
from train.siamese.networks import NETWORKS
from train.siamese.omniglot import LakeRun, find_part, load_part, load_runs
from train.siamese.pairs import draw_pairs
from train.siamese.pictures import Pictures
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import Run, train
from train.siamese.verification import Verification
from train.studies.study import (
    Study,
    format_duration,
    format_mean,
    name_machines,
    verify_run,
    write_figures,
)

# Iterations of the published network; epochs of ours; seeds of ours; episodes of each test.
SIZES = {"full": (20000, 36, 3, 2000), "laptop": (2000, 36, 1, 2000), "minute": (4, 1, 1, 10)}
TRAINING_DRAWERS = 12  # of 20, in the published protocol
VALIDATION_ALPHABETS = 5  # of the background set, in the published protocol
NAMES = {"ours": "our recipe, 52 × 52", "koch": "Koch et al.'s network, trained here"}
PUBLISHED = {  # name → accuracy on Lake's 20 runs, and across alphabets; None: not published
    "Koch et al. 2015": (0.920, None),
    "Matching Networks (Vinyals et al. 2016)": (None, 0.938),
    "Prototypical Networks (Snell et al. 2017)": (None, 0.960),
}


@dataclass(frozen=True)
class OmniglotResult:
    """A run's figures on the evaluation set.

    Attributes:
        run: The run.
        lake: Accuracy on Lake's 20 runs.
        within: Accuracy of episodes within an alphabet.
        across: Accuracy of episodes across all alphabets.
        verification: Verification figures.
    """

    run: Run
    lake: Share
    within: Share
    across: Share
    verification: Verification


def study(study: Study) -> Report:
    """Run the study and write its report.

    Args:
        study: Its data is the folder with Omniglot's zips, or what they unpack to.

    Raises:
        UserError: A file is missing or damaged, or a run's folder can't be used.
    """
    iterations, epochs, default_seeds, trials = SIZES[study.size]
    background = load_part(find_part(study.data, "images_background"))
    evaluation = load_part(find_part(study.data, "images_evaluation"))
    lake = load_runs(find_part(study.data, "all_runs"))
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
    results: dict[str, list[OmniglotResult]] = {"ours": [], "koch": []}
    for seed in range(study.seeds or default_seeds):
        tell(f"Omniglot: our recipe, seed {seed}.")
        run = train(
            dataclasses.replace(ours, seed=seed),
            whole_task(background, ours),
            study.out / "runs" / f"ours-{seed}",
        )
        results["ours"].append(evaluate_run(run, evaluation, lake, trials))
    tell("Omniglot: the published network.")
    run = train(published, published_task(background, published), study.out / "runs" / "koch")
    results["koch"].append(evaluate_run(run, evaluation, lake, trials))
    return _report(study, results)


def published_task(background: Pictures, recipe: SiameseRecipe) -> Task:
    """Split the background set as Koch et al. did.

    Training takes 12 drawers of most alphabets, validation the other drawers of the others.
    """
    rng = np.random.default_rng(0)
    held_out = rng.choice(np.unique(background.groups), VALIDATION_ALPHABETS, replace=False)
    trained = np.isin(background.subjects, np.unique(background.subjects)[:TRAINING_DRAWERS])
    apart = np.isin(background.groups, held_out)
    return _task(background.take(~apart & trained), background.take(apart & ~trained), recipe)


def whole_task(background: Pictures, recipe: SiameseRecipe) -> Task:
    """Train on the whole background set.

    Validation uses the last drawers' pictures of it, which only shows that the network learns.
    """
    last = np.isin(background.subjects, np.unique(background.subjects)[TRAINING_DRAWERS:])
    return _task(background, background.take(last), recipe)


def _task(train: Pictures, validation: Pictures, recipe: SiameseRecipe) -> Task:
    size = NETWORKS[recipe.model.network].size
    train, validation = train.resize(size), validation.resize(size)
    pairs = draw_pairs(np.random.default_rng(0), index_classes(validation.labels), 400)
    return Task(train, validation, pairs)


def evaluate_run(
    run: Run, evaluation: Pictures, lake: list[LakeRun], trials: int
) -> OmniglotResult:
    """Test a run on the evaluation set and on Lake's runs."""
    pictures = evaluation.resize(run.network.layout.size)
    within = draw_episodes(1, pictures.labels, 20, trials, groups=pictures.groups)
    across = draw_episodes(2, pictures.labels, 20, trials)
    pairs = draw_pairs(np.random.default_rng(3), index_classes(pictures.labels), trials)
    tell("Testing on the evaluation set takes a while.")
    rows = [*map(np.ravel, (within.queries, within.supports, across.queries, across.supports))]
    used = np.unique(np.concatenate([*rows, pairs.first, pairs.second]))
    some = compute_features(run.network, pictures.images[used])
    features = some.new_zeros((len(pictures.images), some.shape[1]))
    features[used] = some
    return OmniglotResult(
        run,
        evaluate_lake_runs(run, lake),
        accuracy_on_features(run.network, features, within),
        accuracy_on_features(run.network, features, across),
        verify_run(run, pictures, pairs, features),
    )


def evaluate_lake_runs(run: Run, lake: list[LakeRun]) -> Share:
    """Compute the accuracy on Lake's 20 runs of 20 trials (Lake et al. 2011)."""
    right = 0
    for one in lake:
        pictures = lake_pictures(one).resize(run.network.layout.size)
        features = compute_features(run.network, pictures.images)
        right += int(right_answers(run.network, features, lake_episodes(one)).sum())
    return share(right, sum(len(one.query) for one in lake))


def lake_episodes(one: LakeRun) -> Episodes:
    """Turn a run into episodes of `lake_pictures`, each with the right support first."""
    count = len(one.query)
    order = [[a, *(i for i in range(len(one.support)) if i != a)] for a in one.answers.tolist()]
    return Episodes(np.arange(count), np.array(order) + count)


def lake_pictures(one: LakeRun) -> Pictures:
    """Return the queries of a run, then its supports."""
    images = np.concatenate([one.query, one.support])
    labels = np.concatenate([one.answers, np.arange(len(one.support))]).astype(str)
    nothing = np.full(len(images), "")
    return Pictures(images, labels, nothing, nothing, np.arange(len(images)))


def _report(study: Study, results: dict[str, list[OmniglotResult]]) -> Report:
    report = Report("Omniglot: one-shot characters", study.out)
    report.code(study.command("omniglot"))
    where = plain(name_machines(one.run for runs in results.values() for one in runs))
    report.paragraph(
        f"Machine: {where}. Trained on the background set alone, tested on the evaluation set, "
        "20-way one-shot. *Lake's runs*: the 20 published runs within an alphabet; *within*, "
        "*across*: random episodes within one evaluation alphabet, and across all 20. One seed: "
        "95 % interval of its trials. Several seeds: mean ± standard deviation."
    )
    report.paragraph(
        "Koch et al. trained on fixed sets of 30,000 to 150,000 pairs with affine copies, of 30 "
        "alphabets; here pairs are drawn and warped anew for every batch, of the "
        f"{30 - VALIDATION_ALPHABETS} background alphabets that aren't used for validation. "
        "Matching and Prototypical Networks were tested on another split of the characters, at "
        "28 × 28."
    )
    rows = [
        [name, "–" if lake is None else percent(lake), "–", "–" if far is None else percent(far)]
        + ["–"] * 5
        for name, (lake, far) in PUBLISHED.items()
    ]
    rows += [_row(NAMES[name], runs) for name, runs in results.items()]
    report.table(
        [
            "network",
            "Lake's runs",
            "within",
            "across",
            "verification",
            "EER",
            "loss",
            "iterations",
            "time",
        ],
        rows,
    )
    write_figures(
        study.out / "figures.json",
        {name: [_figures(one) for one in runs] for name, runs in results.items()},
    )
    first = {NAMES[name]: runs[0] for name, runs in results.items()}
    lakes = [one.lake for one in first.values()]
    bars(
        study.out / "lake.png",
        list(first),
        [100 * lake.value for lake in lakes],
        [100 * lake.low for lake in lakes],
        [100 * lake.high for lake in lakes],
        "accuracy on Lake's 20 runs, %",
        (92.0, "Koch et al. 2015: 92 %"),
    )
    report.picture("lake.png", "Lake's 20 within-alphabet runs, with 95 % intervals.")
    found = {name: one.verification for name, one in first.items()}
    roc(study.out / "roc.png", {n: (v.fpr, v.tpr, v.auc, v.eer) for n, v in found.items()})
    report.picture("roc.png", "Verification on pairs of the evaluation set.")
    for name, one in first.items():
        folder = one.run.folder.relative_to(study.out).as_posix()
        report.heading(name)
        report.picture(f"{folder}/curves.png", "Loss and validation during training.")
        report.picture(f"{folder}/pairs.png", "Its most confident decisions, right and wrong.")
    report.write()
    return report


def _row(name: str, runs: list[OmniglotResult]) -> list[str]:
    one = runs[0]
    shares = [
        str(getattr(one, kind))
        if len(runs) == 1
        else format_mean([getattr(run, kind).value for run in runs])
        for kind in ("lake", "within", "across")
    ]
    steps = one.run.figures["epochs"] * one.run.recipe.steps
    return [
        name,
        *shares,
        format_mean([run.verification.accuracy.value for run in runs]),
        format_mean([run.verification.eer for run in runs]),
        f"{one.run.figures['loss']:.3f}",
        f"{steps:.0f}",
        format_duration(float(np.mean([run.run.figures["seconds"] for run in runs]))),
    ]


def _figures(one: OmniglotResult) -> dict[str, object]:
    shares = {kind: dataclasses.asdict(getattr(one, kind)) for kind in ("lake", "within", "across")}
    accuracy, found = dataclasses.asdict(one.verification.accuracy), one.verification
    return {
        **shares,
        "verification": accuracy,
        "auc": found.auc,
        "eer": found.eer,
        "run": one.run.figures,
    }
