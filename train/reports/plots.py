"""The pictures of a study's report: each function draws one PNG, whole or not at all.

Colours are those of Okabe & Ito (2008), "Color universal design", which people with any colour
vision tell apart; markers and dashes say the same once more. Names are shown as they are ($ is no
mathematics). OSError passes from all of them.
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
SOFT = "#6b7280"
STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": "#1f2937",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.9,
    "lines.markersize": 5.5,
}

Curve = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
Roc = tuple[np.ndarray, np.ndarray, float, float]
Runs = tuple[np.ndarray, np.ndarray]
Pair = tuple[np.ndarray, np.ndarray, float, str]


def curves(
    path: Path,
    series: Mapping[str, Curve],
    xlabel: str,
    ylabel: str,
    title: str,
    log_x: bool = False,
    chance: float | None = None,
) -> None:
    """A line for each name: x (N,), y (N,), and where known low and high (N,), shaded. chance: the
    y of guessing."""
    with _drawing(path, 7.2, 4.4) as figure:
        axes = figure.subplots()
        for (name, (x, y, low, high)), look in zip(series.items(), _looks(), strict=False):
            if low is not None and high is not None:
                axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
            axes.plot(x, y, label=name, markevery=max(1, len(x) // 12), **look)
        if chance is not None:
            axes.axhline(chance, color=SOFT, linestyle=(0, (2, 2)), linewidth=1.2, label="chance")
        if log_x:
            _log_x(axes, np.concatenate([np.asarray(x) for x, *_ in series.values()]))
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        if len(series) > 1 or chance is not None:
            axes.legend()


def roc(path: Path, series: Mapping[str, Roc]) -> None:
    """For each name false accepts (N,) and true accepts (N,) in 0…1, ascending, the area under the
    curve, and the rate at which errors are equal, which is marked."""
    with _drawing(path, 5.8, 5.6) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=SOFT, linestyle=(0, (2, 2)), linewidth=1.2)
        for (name, (false, true, auc, eer)), look in zip(series.items(), _looks(), strict=False):
            marker = look.pop("marker")
            label = f"{name}: AUC {auc:.3f}, EER {100 * eer:.1f} %"
            axes.plot(false, true, label=label, clip_on=False, **look)
            axes.plot(
                eer, 1 - eer, marker, color=look["color"], markersize=8, markeredgecolor="white"
            )
        axes.set(
            xlim=(0, 1), ylim=(0, 1), aspect="equal", title="Same or different?",
            xlabel="different pairs taken for the same", ylabel="same pairs recognised",
        )  # fmt: skip
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.legend(loc="lower right", title="marked: both errors equal (EER)")


def bars(
    path: Path,
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    ylabel: str,
    reference: tuple[float, str] | None = None,
) -> None:
    """One bar a name, as high as its value, in ylabel's unit, with its interval; reference: a
    figure to compare with and what it is, as a dashed line."""
    with _drawing(path, max(5.0, 1.6 + 1.5 * len(names)), 4.4) as figure:
        axes = figure.subplots()
        spread = np.maximum([np.subtract(values, lows), np.subtract(highs, values)], 0)
        places = np.arange(len(names))
        axes.bar(
            places, values, 0.62, yerr=spread, color=COLOURS[0], capsize=4,
            error_kw={"elinewidth": 1.4, "ecolor": "#1f2937"},
        )  # fmt: skip
        top = max([*values, *highs, reference[0] if reference else 0.0], default=1.0)
        axes.set_ylim(0, 1.12 * top or 1.0)
        for place, value, high in zip(places, values, highs, strict=True):
            axes.annotate(
                f"{value:.3g}", (place, max(value, high)), (0, 4), textcoords="offset points",
                ha="center", va="bottom", fontweight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
            )  # fmt: skip
        if reference:
            value, text = reference
            axes.axhline(value, color=COLOURS[1], linestyle="--", linewidth=1.5, label=text)
            figure.legend(loc="outside upper right")
        axes.set_xticks(places, [textwrap.fill(name, 18) for name in names], color="#1f2937")
        axes.set_ylabel(ylabel)
        axes.grid(axis="x", visible=False)


def pair_panel(path: Path, kinds: Mapping[str, Sequence[Pair]], columns: int = 5) -> None:
    """Under each title its pairs: two pictures uint8, (H, W) or (H, W, 3), their score, a caption;
    "none" where there are no pairs."""
    depths = [-(-len(pairs) // columns) for pairs in kinds.values()]
    heights = [0.5 + 1.4 * depth if depth else 0.75 for depth in depths]
    with _drawing(path, 2.1 * columns, sum(heights)) as figure:
        parts = figure.subfigures(len(kinds), height_ratios=heights, squeeze=False)[:, 0]
        for (title, pairs), part, depth in zip(kinds.items(), parts, depths, strict=True):
            part.suptitle(title, x=0.012, ha="left", fontweight="bold")
            if not pairs:
                part.text(0.012, 0.3, "none", color=SOFT)
                continue
            grid = part.subplots(depth, columns, squeeze=False).ravel()
            for axes in grid:
                axes.set_axis_off()
            for axes, (a, b, score, caption) in zip(grid, pairs, strict=False):
                right = _show(axes, b, _show(axes, a, 0.0) + 0.06)
                axes.set(xlim=(-0.02, right + 0.02), ylim=(-0.02, 1.02))
                axes.set_title(
                    f"{score:.2f}  {textwrap.shorten(caption, 22, placeholder='…')}",
                    fontsize=8.5, fontweight="normal", loc="center", y=-0.02, va="top", pad=2,
                )  # fmt: skip


def picture_grid(
    path: Path, images: Sequence[np.ndarray], titles: Sequence[str], columns: int
) -> None:
    """Pictures uint8, (H, W) or (H, W, 3), row by row, each under its title."""
    rows = max(1, -(-len(images) // columns))
    with _drawing(path, 1.3 * columns, 1.55 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, image, title in zip(grid, images, titles, strict=False):
            axes.set(xlim=(-0.02, _show(axes, image, 0.0) + 0.02), ylim=(-0.02, 1.02))
            shown = textwrap.shorten(title, 18, placeholder="…")
            axes.set_title(shown, fontsize=9, fontweight="normal", loc="center", pad=3)


def learning_curve(
    path: Path,
    volumes: np.ndarray,
    accuracies: np.ndarray,
    fit: Curve,
    threshold: tuple[float, float, float] | None = None,
    held_out: Runs | None = None,
) -> None:
    """Accuracies (R,) in 0…1 of runs with volumes (R,) images per class; fit: the curve through
    them as n, accuracy, low, high; threshold: images per class and its interval; held_out: runs
    that the fit hasn't seen."""
    with _drawing(path, 7.2, 4.6) as figure:
        axes = figure.subplots()
        n, accuracy, low, high = fit
        if threshold:
            least, most = threshold[1:]
            axes.axvspan(least, most, color=COLOURS[2], alpha=0.12, linewidth=0)
            label = f"breaks away below {threshold[0]:.3g} ({least:.3g}–{most:.3g})"
            axes.axvline(threshold[0], color=COLOURS[2], linestyle="-.", label=label)
        if low is not None and high is not None:
            axes.fill_between(
                n, low, high, color=COLOURS[0], alpha=0.18, linewidth=0, label="its 95 % band"
            )
        axes.plot(n, accuracy, color=COLOURS[0], label="curve fitted to them")
        axes.plot(volumes, accuracies, "o", color=COLOURS[0], label="runs the curve has seen",
                  alpha=0.8, markeredgecolor="white")  # fmt: skip
        shown = [np.asarray(volumes, float)]
        if held_out:
            axes.plot(*held_out, "D", color=COLOURS[1], label="runs it hasn't seen",
                      markerfacecolor="white", markeredgewidth=1.5)  # fmt: skip
            shown.append(np.asarray(held_out[0], float))
        _log_x(axes, np.concatenate(shown))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.set(xlabel="training images per class", ylabel="accuracy")
        handles, labels = axes.get_legend_handles_labels()
        last_first = slice(None, None, -1)
        axes.legend(handles[last_first], labels[last_first], loc="lower right")


@contextmanager
def _drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure so many inches large, which is saved once the block ends without error."""
    with matplotlib.rc_context(STYLE):
        room = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)  # inches
        figure = Figure(figsize=(width, height), layout=room)
        FigureCanvasAgg(figure)
        yield figure
        with replace_file(path) as file:
            figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})


def _looks() -> Iterator[dict[str, Any]]:
    """Colour, marker and dashes of one series after another."""
    for color, marker, linestyle in cycle(zip(COLOURS, MARKERS, DASHES, strict=True)):
        yield {"color": color, "marker": marker, "linestyle": linestyle}


def _log_x(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis labelled at the values there are, as far as they have room."""
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
    """A picture one unit high, framed, since white ones have no edge of their own. → its right."""
    width = image.shape[1] / image.shape[0]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + width, 0, 1))
    axes.add_patch(Rectangle((left, 0), width, 1, fill=False, edgecolor="#9ca3af", linewidth=0.8))
    return left + width
