"""`run.py study faces`: the published Siamese experiments on pairs of faces, and our own recipe.

SGD and Adam, the full and the reduced network, 80/20 and 90/10 validation, a sweep of learning
rate, batch size and epochs, and our own recipe; on LFW-a if it is given, else on a folder of faces.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from engines.say import tell
from train.reports.plots import bars, curves, roc
from train.reports.report import Report, percent, plain
from train.studies.face_data import Faces, load_faces
from train.studies.face_runs import (
    NAMES,
    SIZES,
    FaceResult,
    evaluate_baseline,
    evaluate_run,
    run_all,
)
from train.studies.face_sweep import VALIDATION_SHARE, Sweep, draw_sweep, open_table, run_sweep
from train.studies.study import Study, format_duration, name_machines, write_figures

PUBLISHED = 0.732  # verification on LFW-a's 1,000 test pairs
PUBLISHED_NAME = "published, on LFW-a"


def study(study: Study) -> Report:
    """Run the study and write its report.

    Args:
        study: Its data is a folder with pairsDevTrain.txt, pairsDevTest.txt and LFW-a's pictures,
            or a folder or .zip with a folder of pictures per person.

    Raises:
        UserError: The data is unsuitable, or a folder or the sweep's storage can't be used.
    """
    faces = load_faces(study.data, study.out, SIZES[study.size].pairs)
    table = open_table(study, faces)  # a wrong --storage is an error before hours of training
    runs = run_all(study, faces)
    tell("Faces: the sweep.")
    swept = run_sweep(study, faces, table)
    runs.append(evaluate_run(study, NAMES["best"], VALIDATION_SHARE, swept.run, faces))
    runs.append(evaluate_baseline(study, faces))
    return _report(study, faces, runs, swept)


def _report(study: Study, faces: Faces, runs: list[FaceResult], swept: Sweep) -> Report:
    report = Report("Faces: the same person?", study.out)
    report.code(study.command("faces"))
    report.paragraph(
        f"Machine: {plain(name_machines(one.run for one in runs if one.run))}. {faces.about}"
    )
    report.paragraph(_caveat(study, faces))
    _add_results(study, report, runs)
    _add_training(study, report, runs)
    _add_sweep(study, report, swept)
    write_figures(
        study.out / "figures.json",
        {
            "runs": [_figures(one) for one in runs],
            "sweep": [dataclasses.asdict(trial) for trial in swept.trials],
        },
    )
    report.write()
    return report


def _caveat(study: Study, faces: Faces) -> str:
    lines = [
        f"The published project reports {percent(PUBLISHED)} on LFW-a's 1,000 test pairs, after "
        "training on LFW-a's 2,200."
    ]
    if not faces.lfw:
        lines.append(
            "These are other faces, so its figure is shown for reference and can't be compared "
            "with the others directly. LFW-a isn't included; given its folder, the same study runs "
            "on it."
        )
    lines.append(
        "The networks are the published ones, with PyTorch's initialisation and a weaker L2 (1e-5) "
        "than published, which so few iterations need."
    )
    if study.size == "minute":
        lines.append(
            "At this size the reduced network replaces the full one, and training is too short to "
            "learn anything: it only shows that everything works."
        )
    return " ".join(lines)


def _add_results(study: Study, report: Report, runs: list[FaceResult]) -> None:
    report.heading("Test on unseen people")
    ways = list(runs[0].shots)
    rows = [
        [
            one.name,
            str(one.verification.accuracy),
            f"{one.verification.auc:.3f}",
            percent(one.verification.eer),
            *(str(one.shots[n]) for n in ways),
        ]
        for one in runs
    ]
    rows.append([PUBLISHED_NAME, percent(PUBLISHED), "–", "–", *("–" for _ in ways)])
    shots = [f"{n}-way one-shot" for n in ways]
    report.table(["", "verification accuracy", "AUC", "EER", *shots], rows)
    report.paragraph(
        "Verification uses the threshold that was best on the validation pairs. The 95 % intervals "
        "assume independent trials; pairs share few people, so for other people they are too "
        "narrow."
    )
    runs = [one for one in runs if not one.seed]  # further seeds would crowd the plots
    shares = [one.verification.accuracy for one in runs]
    bars(
        study.out / "accuracy.png",
        [one.name for one in runs],
        [100 * share.value for share in shares],
        [100 * share.low for share in shares],
        [100 * share.high for share in shares],
        "verification accuracy, %",
        (100 * PUBLISHED, f"published on LFW-a: {percent(PUBLISHED)}"),
    )
    report.picture("accuracy.png", "Accuracy on the test pairs, with 95 % intervals.")
    found = {one.name: one.verification for one in runs}
    roc(study.out / "roc.png", {n: (v.fpr, v.tpr, v.auc, v.eer) for n, v in found.items()})
    report.picture("roc.png", "ROC on the test pairs.")


def _add_training(study: Study, report: Report, runs: list[FaceResult]) -> None:
    report.heading("Training")
    rows, series = [], {}
    for one in runs:
        if one.run is None:
            continue
        recipe, figures, log = one.run.recipe, one.run.figures, one.run.log
        rows.append(
            [
                one.name,
                recipe.model.network,
                f"{100 * (1 - one.share):.0f}/{100 * one.share:.0f}",
                f"{recipe.optimizer} {recipe.learning_rate:g}",
                f"{figures['epochs']:.0f} × {recipe.steps} × {recipe.batch}",
                f"{log[-1]['loss']:.3f}",
                f"{log[-1].get('validation loss', float('nan')):.3f}".replace("nan", "–"),
                f"{figures['kept epoch']:.0f}",
                format_duration(figures["seconds"]),
            ]
        )
        seen = np.array([row["epoch"] for row in log]) * recipe.steps * recipe.batch
        if not one.seed:
            series[one.name] = (seen, np.array([row["AUC"] for row in log]), None, None)
    header = [
        "",
        "network",
        "split",
        "optimizer, rate",
        "epochs × batches × size",
        "last loss",
        "last validation loss",
        "epoch kept",
        "time",
    ]
    report.table(header, rows)
    curves(
        study.out / "validation.png",
        series,
        "pairs (ours: pictures) seen",
        "validation AUC",
        "Validation during training",
        log_x=True,
        chance=0.5,
    )
    report.picture("validation.png", "Area under the ROC of the validation after each epoch.")
    report.paragraph(
        "Each run's folder in runs/ holds its loss curves, and its most confident decisions, right "
        "and wrong, as pairs.png. These show people's faces: take care whom you show them to."
    )


def _add_sweep(study: Study, report: Report, swept: Sweep) -> None:
    report.heading("Learning rate, batch and epochs")
    report.paragraph(
        f"Optuna's search (TPE) on the reduced network, {len(swept.trials)} trials, compared on "
        "the validation pairs alone; the best one is in the tables above."
    )
    report.table(
        ["trial", "learning rate", "batch", "epochs", "validation AUC"],
        [
            [str(t.number + 1), f"{t.rate:g}", str(t.batch), str(t.epochs), f"{t.value:.3f}"]
            for t in sorted(swept.trials, key=lambda t: -t.value)
        ],
    )
    draw_sweep(swept, study, "sweep.png")
    report.picture("sweep.png", "All trials of the sweep.")


def _figures(one: FaceResult) -> dict[str, object]:
    found = one.verification
    return {
        "name": one.name,
        "verification": dataclasses.asdict(found.accuracy),
        "threshold": found.threshold,
        "auc": found.auc,
        "eer": found.eer,
        "one-shot": {ways: dataclasses.asdict(share) for ways, share in one.shots.items()},
        "run": one.run.figures if one.run else None,
    }
