"""`run.py study gallery`: recognise people by one picture each, from a folder per person.

Pictures are cropped, made grey and scaled down. Pairs are drawn and saved, and a network is trained
on the saved file with the contrastive loss; others are trained with triplets and with our own
recipe. Then one reference per unseen person recognises all their other pictures, and raw pixels are
the baseline.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from train.reports.plots import bars, curves, roc
from train.reports.report import Report, percent, plain
from train.siamese.pairs import Pairs
from train.studies.gallery_runs import SIZES, GalleryParts, GalleryResult, load_parts, run_all
from train.studies.study import Study, format_duration, name_machines, write_figures


def study(study: Study) -> Report:
    """Run the study and write its report.

    Args:
        study: Its data is a folder or .zip with a folder of pictures per person.

    Raises:
        UserError: The data is unsuitable, or a folder can't be used.
    """
    parts = load_parts(study.data)
    runs, pairs = run_all(study, parts)
    return _report(study, parts, pairs, runs)


def _report(study: Study, parts: GalleryParts, pairs: Pairs, runs: list[GalleryResult]) -> Report:
    report = Report("A small gallery of faces", study.out)
    report.code(study.command("gallery"))
    counts = [len(np.unique(part.labels)) for part in (parts.train, parts.validation, parts.test)]
    where = plain(name_machines(one.run for one in runs if one.run))
    report.paragraph(
        f"Machine: {where}. {counts[0]} people for training, {counts[1]} for validation, "
        f"{counts[2]} others with {len(parts.test)} pictures for the test; "
        f"{SIZES[study.size].pairs[0]:,} training pairs, saved in pairs-train.npz. One picture of "
        "each test person is the reference; all others get the name of the nearest reference."
    )
    header = [
        "",
        "recognised",
        "mean over all references",
        "verification accuracy",
        "AUC",
        "EER",
        "time",
    ]
    report.table(
        header,
        [
            [
                one.name,
                str(one.nearest),
                percent(one.mean_over_references),
                str(one.verification.accuracy),
                f"{one.verification.auc:.3f}",
                percent(one.verification.eer),
                format_duration(one.run.figures["seconds"]) if one.run else "–",
            ]
            for one in runs
        ],
    )
    report.paragraph(
        f"By chance 1 of {counts[2]} would be recognised. The 95 % intervals assume independent "
        "trials; pictures of one person aren't independent, so they are too narrow."
    )
    _add_plots(study, report, pairs, runs, 100 / counts[2])
    write_figures(study.out / "figures.json", [_figures(one) for one in runs])
    report.write()
    return report


def _add_plots(
    study: Study, report: Report, pairs: Pairs, runs: list[GalleryResult], chance: float
) -> None:
    shares = [one.nearest for one in runs]
    bars(
        study.out / "nearest.png",
        [one.name for one in runs],
        [100 * one.value for one in shares],
        [100 * one.low for one in shares],
        [100 * one.high for one in shares],
        "recognised by the nearest reference, %",
        (chance, "chance"),
    )
    report.picture("nearest.png", "One reference per person, of unseen people.")
    found = {one.name: one.verification for one in runs}
    roc(study.out / "roc.png", {n: (v.fpr, v.tpr, v.auc, v.eer) for n, v in found.items()})
    report.picture("roc.png", "ROC on pairs of the test people.")
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
        report.picture(name, f"{one.name.capitalize()}: distances of the pairs' features.")
    report.paragraph(
        "Each run's folder in runs/ holds its loss curves, and its most confident decisions, right "
        "and wrong, as pairs.png. These show people's faces: take care whom you show them to."
    )


def _figures(one: GalleryResult) -> dict[str, object]:
    return {
        "name": one.name,
        "nearest": dataclasses.asdict(one.nearest),
        "always": one.mean_over_references,
        "verification": dataclasses.asdict(one.verification.accuracy),
        "auc": one.verification.auc,
        "eer": one.verification.eer,
        "run": one.run.figures if one.run else None,
    }
