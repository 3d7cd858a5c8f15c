"""What the runs of `asl-volume` say: tables, curves, and whether the need could be told."""

from __future__ import annotations

import dataclasses

import numpy as np

from train.reports.plots import curves, learning_curve
from train.reports.report import Report, percent, plain
from train.studies.asl_volume import DROP, JUDGED_AT, NETWORKS, SIZES, WHO, Judged, run_all
from train.studies.prediction import Check, Prediction, check, predict
from train.studies.study import Study, kept, machines, minutes, spread


def study(study: Study) -> Report:
    """study.data: the .npz of pictures with subject and frame. → the report, written. Raises
    UserError."""
    runs, small = run_all(study), SIZES[study.size].small
    report = Report("How much data per class does a Siamese network need?", study.out)
    report.code(study.command("asl-volume"))
    where = plain(machines(one.run for one in runs))
    report.paragraph(
        f"Machine: {where}. One signer's 28 × 28 pictures, split in blocks of time, at so many "
        "training pictures per class; asked about the same signer's last block, where references "
        "are older than queries, about another signer with references of its own, and about the "
        "other signer by the first one's references. The classes asked about are those learned "
        "from, as in the original."
    )
    report.paragraph(
        "A smaller volume is evenly spaced in the same block of time, so that it has seen as much "
        "time as a larger one, and all seeds of a volume learn from the same pictures: what seeds "
        "vary is the start of the network and its batches. PyTorch's start and a weaker L2 than "
        "published (1e-5 and 1e-4), without which the networks hardly learn in so few iterations."
    )
    _table(report, runs)
    _pictures(study, report, runs)
    answers = [
        _foretold(study, report, runs, who, small)
        for who in WHO[:2]
        if who in runs[0].shares and _enough(runs, small)
    ]
    kept(
        study.out / "figures.json",
        {"runs": [_figures(one) for one in runs], "predictions": answers},
    )
    report.write()
    return report


def ways_of(runs: list[Judged]) -> int:
    """The number of ways that tables and curves are of."""
    return min(JUDGED_AT, max(runs[0].shares[WHO[0]]))


def accuracies(runs: list[Judged], network: str, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Volumes (R,) and one-shot accuracies (R,) of a network's runs."""
    ways = ways_of(runs)
    own = [one for one in runs if one.network == network]
    return (
        np.array([one.volume for one in own], float),
        np.array([one.shares[who][ways].value for one in own]),
    )


def _table(report: Report, runs: list[Judged]) -> None:
    ways = ways_of(runs)
    report.heading(f"Volume × network, {ways}-way one-shot")
    rows = []
    for network in NETWORKS:
        for volume in sorted({one.volume for one in runs if one.network == network}):
            cell = [one for one in runs if (one.network, one.volume) == (network, volume)]
            shares = [
                str(cell[0].shares[who][ways]) if len(cell) == 1
                else spread([one.shares[who][ways].value for one in cell])
                for who in runs[0].shares
            ]  # fmt: skip
            rows.append(
                [
                    network,
                    str(volume),
                    str(len(cell)),
                    *shares,
                    spread([one.verification for one in cell]),
                    f"{np.mean([one.run.figures['loss'] for one in cell]):.3f}",
                    minutes(float(np.mean([one.run.figures["seconds"] for one in cell]))),
                ]
            )
    report.table(
        [
            "network",
            "pictures a class",
            "seeds",
            *runs[0].shares,
            "same signer, verification",
            "loss",
            "time",
        ],
        rows,
    )
    report.paragraph(
        "Of one seed the 95 % interval of its trials, of several mean ± standard deviation."
    )


def _pictures(study: Study, report: Report, runs: list[Judged]) -> None:
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
        study.out / "volume.png", series, "training pictures a class", "share right", title,
        log_x=True, chance=1 / ways,
    )  # fmt: skip
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
        curves(study.out / name, series, "N ways", "share right", f"{network}, {largest} a class")
        report.picture(name, f"N-way one-shot of {network}, {largest} pictures a class.")


def _enough(runs: list[Judged], small: int) -> bool:
    """A prediction needs three small volumes, and a larger one to be checked on."""
    volumes = {one.volume for one in runs if one.network == NETWORKS[0]}
    return len([v for v in volumes if v <= small]) >= 3 and any(v > small for v in volumes)


def _foretold(
    study: Study, report: Report, runs: list[Judged], who: str, small: int
) -> dict[str, object]:
    volumes, right = accuracies(runs, NETWORKS[0], who)
    seen = volumes <= small
    full = float(volumes.max())
    foretold = predict(volumes[seen], right[seen], full, DROP, np.unique(volumes[~seen]))
    checked = check(foretold, volumes[~seen], right[~seen])
    n = np.geomspace(volumes.min(), full, 200)
    name = f"prediction-{WHO.index(who) + 1}.png"
    low, high = foretold.threshold_low, foretold.threshold_high
    learning_curve(
        study.out / name,
        volumes[seen],
        right[seen],
        (n, foretold.curve.accuracy(n), *foretold.band(n)),
        (foretold.threshold, low, high),
        (volumes[~seen], right[~seen]),
    )
    report.heading(f"Can the need be foretold? {who.capitalize()}")
    report.picture(name, f"From runs of up to {small} pictures a class to all others; {who}.")
    _checked(report, checked)
    between = observed_breakaway(volumes, right)
    report.paragraph(answer(foretold, checked, between, small, full))
    return {
        "who": who,
        "curve": dataclasses.asdict(foretold.curve),
        "threshold": [foretold.threshold, low, high],
        "observed between": between,
        "mean absolute error": checked.error,
        "of staying": checked.staying_error,
        "of a line in log n": checked.line_error,
        "rows": [dataclasses.asdict(row) for row in checked.rows],
    }


def _checked(report: Report, checked: Check) -> None:
    report.table(
        ["pictures a class", "seen", "foretold", "95 % for a run", "runs inside", "last seen stays",
         "line in log n"],
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
    )  # fmt: skip
    report.paragraph(
        f"Mean absolute error: {100 * checked.error:.1f} points, against "
        f"{100 * checked.staying_error:.1f} if accuracy stayed as at the largest volume seen, and "
        f"{100 * checked.line_error:.1f} on a straight line in the logarithm of the volume. The "
        "95 % intervals held for 65 to 95 % of curves that were drawn to try them."
    )


def observed_breakaway(volumes: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """The two neighbouring volumes between which the mean accuracy of all runs falls more than
    DROP below that of the largest; the smaller is 0 where even the smallest holds."""
    each = np.unique(volumes)
    mean = np.array([right[volumes == v].mean() for v in each])
    fallen = np.flatnonzero(mean < mean[-1] - DROP)
    if not len(fallen):
        return 0.0, float(each[0])
    return float(each[fallen[-1]]), float(each[fallen[-1] + 1])


def answer(
    foretold: Prediction, checked: Check, between: tuple[float, float], small: int, full: float
) -> str:
    """The answer to the study's question, in words (Markdown)."""
    low, high = between
    last = checked.rows[-1]
    text = (
        f"**Answer.** From runs of up to {small} pictures a class alone, accuracy is foretold to "
        f"fall more than {100 * DROP:.0f} points below that of {full:.0f} a class at fewer than "
        f"**{foretold.threshold:.0f}** ({foretold.threshold_low:.0f}–"
        f"{foretold.threshold_high:.0f}). "
    )
    if not low:
        text += f"No volume down to {high:.0f} was seen to fall so far. "
    else:
        hit = "lies there" if low <= foretold.threshold <= high else "does not lie there"
        reaches = foretold.threshold_low <= high and foretold.threshold_high >= low
        text += (
            f"It was seen to between {low:.0f} and {high:.0f}: the prediction {hit}, its interval "
            f"{'does' if reaches else 'does not'} reach it. "
        )
        if high <= small:
            text += (
                "Both of these volumes were among those that foretold; what was not is the level "
                "that it is measured from. "
            )
    better = checked.error < min(checked.staying_error, checked.line_error)
    return text + (
        f"The level at {full:.0f} a class was foretold as {percent(last.predicted)} and seen as "
        f"{percent(last.observed)}; over all larger volumes the curve was "
        f"{'better' if better else 'no better'} than the two simple guesses."
    )


def _figures(one: Judged) -> dict[str, object]:
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
