"""Plots of a study's report. Each function writes one PNG file atomically.

The palette is that of Okabe & Ito (2008), "Color universal design", which is safe for colour-blind
readers; markers and dashes distinguish the series a second time. Names are drawn literally: "$"
starts no mathematics. All functions let OSError pass.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from engines.files import replace_file

DPI = 120
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", "-", "--", "-.")
GREY = "#6b7280"
STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#1f2937",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.9,
    "lines.markersize": 5.5,
}

BAR_LABEL: dict[str, Any] = {
    "textcoords": "offset points",
    "ha": "center",
    "va": "bottom",
    "fontweight": "bold",
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
}
CAPTION: dict[str, Any] = {"fontsize": 8.5, "fontweight": "normal", "y": -0.02, "va": "top"}

Curve = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
Roc = tuple[np.ndarray, np.ndarray, float, float]
Runs = tuple[np.ndarray, np.ndarray]
ScoredPair = tuple[np.ndarray, np.ndarray, float, str]


def curves(
    path: Path,
    series: Mapping[str, Curve],
    xlabel: str,
    ylabel: str,
    title: str,
    log_x: bool = False,
    chance: float | None = None,
) -> None:
    """Plot one line per series, with a shaded band where bounds are given.

    Args:
        path: The PNG file.
        series: Name → (x, y, low, high), each (N,); low and high may be None.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        title: Title of the plot.
        log_x: Whether the x axis is logarithmic.
        chance: y of random guessing, drawn as a dashed line.
    """
    with _new_figure(path, 7.2, 4.4) as figure:
        axes = figure.subplots()
        for (name, (x, y, low, high)), look in zip(series.items(), _line_styles(), strict=False):
            if low is not None and high is not None:
                axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
            axes.plot(x, y, label=name, markevery=max(1, len(x) // 12), **look)
        if chance is not None:
            axes.axhline(chance, color=GREY, linestyle=(0, (2, 2)), linewidth=1.2, label="chance")
        if log_x:
            _log_x(axes, np.concatenate([np.asarray(x) for x, *_ in series.values()]))
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        if len(series) > 1 or chance is not None:
            axes.legend()


def roc(path: Path, series: Mapping[str, Roc]) -> None:
    """Plot ROC curves and mark the equal error rate on each.

    Args:
        path: The PNG file.
        series: Name → (false accept rates (N,), true accept rates (N,), AUC, EER); all in 0…1,
            rates ascending.
    """
    with _new_figure(path, 5.8, 5.6) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (2, 2)), linewidth=1.2)
        for (name, (false, true, auc, eer)), look in zip(
            series.items(), _line_styles(), strict=False
        ):
            marker = look.pop("marker")
            label = f"{name}: AUC {auc:.3f}, EER {100 * eer:.1f} %"
            axes.plot(false, true, label=label, clip_on=False, **look)
            axes.plot(
                eer, 1 - eer, marker, color=look["color"], markersize=8, markeredgecolor="white"
            )
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            title="Same or different?",
            xlabel="different pairs accepted as same (FPR)",
            ylabel="same pairs accepted (TPR)",
        )
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.legend(loc="lower right", title="marker: equal error rate (EER)")


def bars(
    path: Path,
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    ylabel: str,
    reference: tuple[float, str] | None = None,
) -> None:
    """Plot one bar per name with its confidence interval.

    Args:
        path: The PNG file.
        names: Names of the bars.
        values: Heights, in the unit of `ylabel`.
        lows: Lower ends of the intervals.
        highs: Upper ends of the intervals.
        ylabel: Label of the y axis.
        reference: A value to compare with and its label, drawn as a dashed line.
    """
    with _new_figure(path, max(5.0, 1.6 + 1.5 * len(names)), 4.4) as figure:
        axes = figure.subplots()
        spread = np.maximum([np.subtract(values, lows), np.subtract(highs, values)], 0)
        places = np.arange(len(names))
        axes.bar(
            places,
            values,
            0.62,
            yerr=spread,
            color=COLOURS[0],
            capsize=4,
            error_kw={"elinewidth": 1.4, "ecolor": "#1f2937"},
        )
        top = max([*values, *highs, reference[0] if reference else 0.0], default=1.0)
        axes.set_ylim(0, 1.12 * top or 1.0)
        for place, value, high in zip(places, values, highs, strict=True):
            axes.annotate(f"{value:.3g}", (place, max(value, high)), (0, 4), **BAR_LABEL)
        if reference:
            value, text = reference
            axes.axhline(value, color=COLOURS[1], linestyle="--", linewidth=1.5, label=text)
            figure.legend(loc="outside upper right")
        axes.set_xticks(places, [textwrap.fill(name, 18) for name in names], color="#1f2937")
        axes.set_ylabel(ylabel)
        axes.grid(axis="x", visible=False)


def pair_panel(path: Path, kinds: Mapping[str, Sequence[ScoredPair]], columns: int = 5) -> None:
    """Show pairs of pictures with their scores, grouped under titles.

    Args:
        path: The PNG file.
        kinds: Title → its pairs, each (picture, picture, score, caption). A picture is uint8, grey
            (H, W) or RGB (H, W, 3). A title without pairs shows "none".
        columns: Number of pairs in a row.
    """
    depths = [-(-len(pairs) // columns) for pairs in kinds.values()]
    heights = [0.5 + 1.4 * depth if depth else 0.75 for depth in depths]
    with _new_figure(path, 2.1 * columns, sum(heights)) as figure:
        parts = figure.subfigures(len(kinds), height_ratios=heights, squeeze=False)[:, 0]
        for (title, pairs), part, depth in zip(kinds.items(), parts, depths, strict=True):
            part.suptitle(title, x=0.012, ha="left", fontweight="bold")
            if not pairs:
                part.text(0.012, 0.3, "none", color=GREY)
                continue
            grid = part.subplots(depth, columns, squeeze=False).ravel()
            for axes in grid:
                axes.set_axis_off()
            for axes, (a, b, score, caption) in zip(grid, pairs, strict=False):
                right = _show(axes, b, _show(axes, a, 0.0) + 0.06)
                axes.set(xlim=(-0.02, right + 0.02), ylim=(-0.02, 1.02))
                shown = textwrap.shorten(caption, 22, placeholder="…")
                axes.set_title(f"{score:.2f}  {shown}", loc="center", pad=2, **CAPTION)


def learning_curve(
    path: Path,
    volumes: np.ndarray,
    accuracies: np.ndarray,
    fit: Curve,
    threshold: tuple[float, float, float] | None = None,
    held_out: Runs | None = None,
) -> None:
    """Plot a learning curve with the runs it was fitted to.

    Args:
        path: The PNG file.
        volumes: (R,) training images per class of the fitted runs.
        accuracies: (R,) accuracies of the fitted runs, 0…1.
        fit: The fitted curve as (images per class, accuracy, low, high).
        threshold: Images per class below which accuracy breaks away, and its interval (low, high).
        held_out: (volumes, accuracies) of runs that the curve was not fitted to.
    """
    with _new_figure(path, 7.2, 4.6) as figure:
        axes = figure.subplots()
        n, accuracy, low, high = fit
        if threshold:
            least, most = threshold[1:]
            axes.axvspan(least, most, color=COLOURS[2], alpha=0.12, linewidth=0)
            label = f"breaks away below {threshold[0]:.3g} ({least:.3g}–{most:.3g})"
            axes.axvline(threshold[0], color=COLOURS[2], linestyle="-.", label=label)
        if low is not None and high is not None:
            axes.fill_between(
                n, low, high, color=COLOURS[0], alpha=0.18, linewidth=0, label="95 % band"
            )
        axes.plot(n, accuracy, color=COLOURS[0], label="fitted curve")
        dots: dict[str, Any] = {"color": COLOURS[0], "markeredgecolor": "white", "alpha": 0.8}
        axes.plot(volumes, accuracies, "o", label="fitted runs", **dots)
        shown = [np.asarray(volumes, float)]
        if held_out:
            dots = {"color": COLOURS[1], "markerfacecolor": "white", "markeredgewidth": 1.5}
            axes.plot(*held_out, "D", label="held-out runs", **dots)
            shown.append(np.asarray(held_out[0], float))
        _log_x(axes, np.concatenate(shown))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.set(xlabel="training images per class", ylabel="accuracy")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="lower right")


@contextmanager
def _new_figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Open a figure of this size in inches and save it when the block ends without an error."""
    with matplotlib.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)  # inches
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        yield figure
        with replace_file(path) as file:
            figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})


def _line_styles() -> Iterator[dict[str, Any]]:
    """Yield the colour, marker and dashes of each series in turn."""
    for color, marker, linestyle in cycle(zip(COLOURS, MARKERS, DASHES, strict=True)):
        yield {"color": color, "marker": marker, "linestyle": linestyle}


def _log_x(axes: Axes, values: np.ndarray) -> None:
    """Make the x axis logarithmic with ticks at the values, skipping those too close together."""
    axes.set_xscale("log")
    ticks: list[float] = []
    for value in np.unique(values[values > 0]):
        if not ticks or value >= 1.25 * ticks[-1]:
            ticks.append(float(value))
    if 2 <= len(ticks) <= 12:
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", length=0)
        axes.grid(False, axis="x", which="minor")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _show(axes: Axes, image: np.ndarray, left: float) -> float:
    """Draw a picture one unit high in a frame (white ones have no visible edge).

    Returns:
        The x coordinate of its right edge.
    """
    width = image.shape[1] / image.shape[0]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + width, 0, 1))
    axes.add_patch(Rectangle((left, 0), width, 1, fill=False, edgecolor="#9ca3af", linewidth=0.8))
    return left + width
