"""A picture of many small pictures, each with the hands that two detectors found in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engines.files import explain_errors
from realtime.picture_files import write_picture
from realtime.text.draw import INK, PAPER, write
from realtime.types import Detection, Hand
from realtime.views.overlay import BONES

WIDTH, CAPTION = 320, 20  # of a picture and of the line below it, px
COLUMNS = 3  # tiles, of two pictures each, beside one another
COLOURS = {"left": (255, 160, 60), "right": (60, 200, 255)}  # of the hands, BGR


class ContactSheet:
    """Takes tiles as they come, and keeps them small.

    Attributes:
        count: Number of tiles.
    """

    def __init__(self) -> None:
        self.count = 0
        self._tiles: list[bytes] = []

    def add(
        self,
        source: str,
        image: np.ndarray,
        ours: Sequence[Hand | Detection],
        theirs: Sequence[Hand | Detection],
        caption: str,
    ) -> None:
        """Add a tile.

        Args:
            source: Where the picture comes from.
            image: uint8 (H, W, 3) BGR.
            ours: The hands that are drawn on the left.
            theirs: The hands that are drawn on the right.
            caption: The line below, after the source.
        """
        both = np.hstack([_draw(image, hands) for hands in (ours, theirs)])
        line = np.full((CAPTION, both.shape[1], 3), PAPER, np.uint8)
        write(line, f"{source}  {caption}", (4, CAPTION - 6), 13, INK)
        self._tiles.append(cv2.imencode(".jpg", np.vstack([both, line]))[1].tobytes())
        self.count += 1

    def save(self, path: Path, most: int) -> None:
        """Write the tiles, evenly chosen where there are more than `most`. Raises UserError."""
        count = min(len(self._tiles), most)
        chosen = [self._tiles[i * len(self._tiles) // count] for i in range(count)]
        tiles = [np.asarray(cv2.imdecode(np.frombuffer(t, np.uint8), 1)) for t in chosen]
        rows = [_row(tiles[i : i + COLUMNS]) for i in range(0, count, COLUMNS)]
        nothing = np.full((CAPTION, 2 * WIDTH, 3), PAPER, np.uint8)
        with explain_errors(f"{path} can't be written"):
            write_picture(path, np.vstack(rows) if rows else nothing)


def _draw(image: np.ndarray, hands: Sequence[Hand | Detection]) -> np.ndarray:
    """A small copy with skeletons; left hands are blue, right ones yellow."""
    scale = WIDTH / image.shape[1]
    size = (WIDTH, max(round(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for hand in hands:
        points = np.round(hand.landmarks[:, :2] * scale * 16).astype(int).tolist()
        for a, b in BONES:
            cv2.line(small, points[a], points[b], COLOURS[hand.side], 1, cv2.LINE_AA, 4)
    return small


def _row(tiles: Sequence[np.ndarray]) -> np.ndarray:
    row = np.full((max(map(len, tiles)), COLUMNS * 2 * WIDTH, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        row[: len(tile), i * 2 * WIDTH : (i + 1) * 2 * WIDTH] = tile
    return row
