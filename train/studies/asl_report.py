"""`run.py study asl-volume`: the report with tables, curves and the check of the prediction."""

from __future__ import annotations

import dataclasses

import numpy as np

from train.reports.plots import curves, learning_curve
from train.reports.report import Report, percent, plain
from train.studies.asl_volume import (
    BREAKAWAY_DROP,
    NETWORKS,
    REPORTED_WAYS,
    SIZES,
    TEST_KINDS,
    VolumeResult,
    run_all,
)
from train.studies.prediction import Prediction, PredictionCheck, check_prediction, predict
from train.studies.study import Study, format_duration, format_mean, name_machines, write_figures


def study(study: Study) -> Report:
    """Run the study and write its report.

    Args:
        study: Its data is an .npz of pictures with subject and frame, or a .csv.

    Raises:
        UserError: The data is unsuitable, or a run's folder can't be used.
    """
    runs, small = run_all(study), SIZES[study.size].small
    report = Report("How much data per class does a Siamese network need?", study.out)
    report.code(study.command("asl-volume"))
    where = plain(name_machines(one.run for one in runs))
    report.paragraph(
        f"Machine: {where}. Training on one signer's 28 × 28 pictures, split in blocks of time, "
        "with several numbers of training pictures per class. Three tests: the same signer's last "
        "block, with references older than the queries; another signer with that signer's own "
        "references; the other signer with the first signer's references. As in the original, the "
        "test classes are the training classes."
    )
    report.paragraph(
        "The pictures of a smaller volume are evenly spaced in the same block of time, so that "
        "all volumes cover the same time. All seeds of a volume train on the same pictures; seeds "
        "vary the initialisation and the batches. Networks start from PyTorch's initialisation, "
        "with a weaker L2 than published (1e-5 and 1e-4); with the published one they hardly learn "
        "in so few iterations."
    )
    _add_table(report, runs)
    _add_plots(study, report, runs)
    answers = [
        _add_prediction(study, report, runs, who, small)
        for who in TEST_KINDS[:2]
        if who in runs[0].shares and _can_predict(runs, small)
    ]
    write_figures(
        study.out / "figures.json",
        {"runs": [_figures(one) for one in runs], "predictions": answers},
    )
    report.write()
    return report


def ways_of(runs: list[VolumeResult]) -> int:
    """Return the number of ways in tables and curves."""
    return min(REPORTED_WAYS, max(runs[0].shares[TEST_KINDS[0]]))


def accuracies(runs: list[VolumeResult], network: str, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the volumes (R,) and one-shot accuracies (R,) of a network's runs."""
    ways = ways_of(runs)
    own = [one for one in runs if one.network == network]
    return (
        np.array([one.volume for one in own], float),
        np.array([one.shares[who][ways].value for one in own]),
    )


def _add_table(report: Report, runs: list[VolumeResult]) -> None:
    ways = ways_of(runs)
    report.heading(f"Volume × network, {ways}-way one-shot")
    header = ["network", "pictures per class", "seeds", *runs[0].shares]
    header += ["same signer, verification", "loss", "time"]
    rows = []
    for network in NETWORKS:
        for volume in sorted({one.volume for one in runs if one.network == network}):
            cell = [one for one in runs if (one.network, one.volume) == (network, volume)]
            shares = [
                str(cell[0].shares[who][ways])
                if len(cell) == 1
                else format_mean([one.shares[who][ways].value for one in cell])
                for who in runs[0].shares
            ]
            rows.append(
                [
                    network,
                    str(volume),
                    str(len(cell)),
                    *shares,
                    format_mean([one.verification for one in cell]),
                    f"{np.mean([one.run.figures['loss'] for one in cell]):.3f}",
                    format_duration(float(np.mean([one.run.figures["seconds"] for one in cell]))),
                ]
            )
    report.table(header, rows)
    report.paragraph(
        "One seed: 95 % interval of its trials. Several seeds: mean ± standard deviation."
    )


def _add_plots(study: Study, report: Report, runs: list[VolumeResult]) -> None:
    ways = ways_of(runs)
    series = {}
    for who in runs[0].shares:
        volumes, right = accuracies(runs, NETWORKS[0], who)
        each = np.unique(volumes)
        mean = np.array([right[volumes == v].mean() for v in each])
        several = min((volumes == v).sum() for v in each) > 1
        sd = np.array([right[volumes == v].std(ddof=1) for v in each]) if several else None
        band = (None, None) if sd is None else (mean - sd, mean + sd)
        series[who] = (each, mean, *band)
    title = f"{NETWORKS[0]}: {ways}-way one-shot"
    curves(
        study.out / "volume.png",
        series,
        "training pictures per class",
        "accuracy",
        title,
        log_x=True,
        chance=1 / ways,
    )
    report.picture("volume.png", "Accuracy by volume; the band is one standard deviation of seeds.")
    largest = max(one.volume for one in runs)
    for network in NETWORKS:
        cell = [one for one in runs if (one.network, one.volume) == (network, largest)]
        if not cell:
            continue
        series = {}
        for who in runs[0].shares:
            n = np.array(sorted(cell[0].shares[who]))
            right = np.array([[one.shares[who][k].value for k in n] for one in cell])
            series[who] = (n, right.mean(0), None, None)
        series["chance"] = (n, 1 / n, None, None)
        name = f"ways-{network}.png"
        curves(study.out / name, series, "N ways", "accuracy", f"{network}, {largest} per class")
        report.picture(name, f"N-way one-shot of {network}, {largest} pictures per class.")


def _can_predict(runs: list[VolumeResult], small: int) -> bool:
    """Whether there are three small volumes to predict from, and a larger one to check with."""
    volumes = {one.volume for one in runs if one.network == NETWORKS[0]}
    return len([v for v in volumes if v <= small]) >= 3 and any(v > small for v in volumes)


def _add_prediction(
    study: Study, report: Report, runs: list[VolumeResult], who: str, small: int
) -> dict[str, object]:
    volumes, right = accuracies(runs, NETWORKS[0], who)
    seen = volumes <= small
    full = float(volumes.max())
    at = np.unique(volumes[~seen])
    prediction = predict(volumes[seen], right[seen], full, BREAKAWAY_DROP, at)
    checked = check_prediction(prediction, volumes[~seen], right[~seen])
    n = np.geomspace(volumes.min(), full, 200)
    name = f"prediction-{TEST_KINDS.index(who) + 1}.png"
    low, high = prediction.threshold_low, prediction.threshold_high
    learning_curve(
        study.out / name,
        volumes[seen],
        right[seen],
        (n, prediction.curve.accuracy(n), *prediction.band(n)),
        (prediction.threshold, low, high),
        (volumes[~seen], right[~seen]),
    )
    report.heading(f"Can the need be predicted? {who.capitalize()}")
    report.picture(name, f"Predicted from runs of up to {small} pictures per class; {who}.")
    _add_check(report, checked)
    between = observed_breakaway(volumes, right)
    report.paragraph(describe_answer(prediction, checked, between, small, full))
    return {
        "who": who,
        "curve": dataclasses.asdict(prediction.curve),
        "threshold": [prediction.threshold, low, high],
        "observed between": between,
        "mean absolute error": checked.error,
        "of staying": checked.staying_error,
        "of a line in log n": checked.line_error,
        "rows": [dataclasses.asdict(row) for row in checked.rows],
    }


def _add_check(report: Report, checked: PredictionCheck) -> None:
    report.table(
        [
            "pictures per class",
            "observed",
            "predicted",
            "95 % for a run",
            "runs inside",
            "last seen stays",
            "line in log n",
        ],
        [
            [
                f"{row.volume:.0f}",
                percent(row.observed),
                percent(row.predicted),
                f"{100 * row.low:.1f}–{100 * row.high:.1f} %",
                f"{row.runs_inside} of {row.runs}",
                percent(row.staying),
                percent(row.line),
            ]
            for row in checked.rows
        ],
    )
    report.paragraph(
        f"Mean absolute error: {100 * checked.error:.1f} points, against "
        f"{100 * checked.staying_error:.1f} if accuracy stayed as at the largest volume seen, and "
        f"{100 * checked.line_error:.1f} on a straight line in the logarithm of the volume. On "
        "simulated runs, the 95 % intervals covered the truth in 65 to 95 % of cases."
    )


def observed_breakaway(volumes: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Find the neighbouring volumes between which accuracy breaks away.

    At the smaller, the mean accuracy of all runs is more than BREAKAWAY_DROP below that of the
    largest volume.

    Returns:
        The two volumes; the smaller one is 0 if accuracy doesn't break away.
    """
    each = np.unique(volumes)
    mean = np.array([right[volumes == v].mean() for v in each])
    fallen = np.flatnonzero(mean < mean[-1] - BREAKAWAY_DROP)
    if not len(fallen):
        return 0.0, float(each[0])
    return float(each[fallen[-1]]), float(each[fallen[-1] + 1])


def describe_answer(
    prediction: Prediction,
    checked: PredictionCheck,
    between: tuple[float, float],
    small: int,
    full: float,
) -> str:
    """Answer the study's question in words (Markdown)."""
    low, high = between
    last = checked.rows[-1]
    text = (
        f"**Answer.** From runs of up to {small} pictures per class alone, accuracy is predicted "
        f"to fall more than {100 * BREAKAWAY_DROP:.0f} points below that of {full:.0f} per class "
        f"with fewer than **{prediction.threshold:.0f}** ({prediction.threshold_low:.0f}–"
        f"{prediction.threshold_high:.0f}). "
    )
    if not low:
        text += f"It was not observed to fall so far with any volume down to {high:.0f}. "
    else:
        inside = low <= prediction.threshold <= high
        reaches = prediction.threshold_low <= high and prediction.threshold_high >= low
        text += (
            f"It was observed to do so between {low:.0f} and {high:.0f}: the prediction "
            f"{'lies' if inside else 'does not lie'} there; its interval "
            f"{'does' if reaches else 'does not'} reach it. "
        )
        if high <= small:
            text += (
                "Both of these volumes were among those that the prediction is made from; the "
                "level that the fall is measured from was not. "
            )
    better = checked.error < min(checked.staying_error, checked.line_error)
    return text + (
        f"Accuracy at {full:.0f} per class was predicted as {percent(last.predicted)} and observed "
        f"as {percent(last.observed)}. Over all larger volumes the curve was "
        f"{'better' if better else 'no better'} than the two simple predictions."
    )


def _figures(one: VolumeResult) -> dict[str, object]:
    return {
        "network": one.network,
        "volume": one.volume,
        "seed": one.seed,
        "one-shot": {
            who: {ways: dataclasses.asdict(share) for ways, share in shares.items()}
            for who, shares in one.shares.items()
        },
        "verification": one.verification,
        "run": one.run.figures,
    }
