"""Draw a soak's figures over time, a panel each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engines.files import explain_errors
from realtime.picture_files import write_picture
from realtime.text.draw import INK, PAPER, text_width, write
from realtime.timing.growth import FIGURES, Figure, by_source
from realtime.timing.soak import Turn

WIDTH, HEIGHT = 960, 130  # px, of a panel
LEFT, RIGHT, ABOVE, BELOW = 70, 16, 30, 14  # px around its lines
LETTERS = 13  # px
RULE = (90, 84, 80)  # BGR
COLOURS = ((255, 160, 60), (60, 200, 255), (120, 220, 120))  # BGR, of the sources


def save_plot(path: Path, turns: Sequence[Turn]) -> None:
    """Write a picture: a line per source, minutes from left to right. Raises UserError."""
    panels = [_draw_panel(turns, figure) for figure in FIGURES]
    foot = np.full((ABOVE, WIDTH, 3), PAPER, np.uint8)
    write(foot, "0", (LEFT, LETTERS), LETTERS, INK)
    end = f"{turns[-1].at_s / 60:.1f} minutes"
    write(foot, end, (WIDTH - RIGHT - text_width(end, LETTERS), LETTERS), LETTERS, INK)
    with explain_errors(f"{path} can't be written"):
        write_picture(path, np.vstack([*panels, foot]))


def _draw_panel(turns: Sequence[Turn], figure: Figure) -> np.ndarray:
    panel = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    write(panel, figure.name, (LEFT, ABOVE - 10), LETTERS, INK)
    values = [(turn.source, turn.at_s, float(v)) for turn in turns if (v := figure.of(turn))]
    if not values:
        write(panel, "not known here", (LEFT, HEIGHT // 2), LETTERS, INK)
        return panel
    highest, last_s = 1.1 * max(value for *_, value in values), max(turns[-1].at_s, 1e-6)
    for value in (0.0, highest):
        y = _row(value / highest)
        cv2.line(panel, (LEFT, y), (WIDTH - RIGHT, y), RULE, 1)
        label = f"{value:.0f}"
        at = LEFT - 8 - text_width(label, LETTERS), y + LETTERS // 2 - 1
        write(panel, label, at, LETTERS, INK)
    x = WIDTH - RIGHT
    for source, colour in zip(by_source(turns), COLOURS, strict=False):
        x -= text_width(source, LETTERS) + LETTERS
        write(panel, source, (x, ABOVE - 10), LETTERS, colour)
        points = [
            (LEFT + round((WIDTH - LEFT - RIGHT) * at_s / last_s), _row(value / highest))
            for whose, at_s, value in values
            if whose == source
        ]
        cv2.polylines(panel, [np.array(points, np.int32)], False, colour, 1, cv2.LINE_AA)
        for point in points:
            cv2.circle(panel, point, 2, colour, -1, cv2.LINE_AA)
    return panel


def _row(share: float) -> int:
    return HEIGHT - BELOW - round(share * (HEIGHT - ABOVE - BELOW))
