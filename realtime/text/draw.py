"""Draws text into pictures with pygame's SDL_ttf, which shapes it with HarfBuzz.

OpenCV draws no text: it knows few scripts, and joins and orders no letters.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from realtime.text.fonts import choose_font, give_up, is_emoji_font, load_pygame
from realtime.text.runs import EMOJI, LATIN, Run, split_into_clusters, split_into_runs

INK, PAPER = (245, 245, 245), (32, 28, 26)  # BGR

Colour = tuple[int, int, int]

_lock = threading.Lock()  # fonts belong to one thread at a time


@dataclass(frozen=True, eq=False)
class Ink:
    """A line of text, drawn.

    Attributes:
        cover: float32 (h, w), how much of each pixel it covers, 0…1.
        own: float32 (h, w, 3) BGR, of what has a colour of its own; None where nothing has.
        has_own: float32 (h, w), 1 where that is; None where nothing has.
        above: rows above the baseline.
    """

    cover: np.ndarray
    own: np.ndarray | None
    has_own: np.ndarray | None
    above: int


def write(canvas: np.ndarray, text: str, at: tuple[int, int], size: int, colour: Colour) -> None:
    """Write a line in place, with a dark edge that keeps it legible.

    Args:
        canvas: uint8 (H, W, 3) BGR.
        text: any characters; what lies outside the canvas is cut off.
        at: x of its left end and y of its baseline.
        size: of the letters, in pixels.
        colour: BGR; emoji have their own.
    """
    keep, add, above = _blend(text, size, colour)
    left, top = at[0], at[1] - above
    x0, y0 = max(left, 0), max(top, 0)
    area = canvas[y0 : max(top + len(add), 0), x0 : max(left + add.shape[1], 0)]
    if area.size:
        part = np.s_[y0 - top : y0 - top + area.shape[0], x0 - left : x0 - left + area.shape[1]]
        area[:] = cv2.add(cv2.multiply(area, keep[part], scale=1 / 255), add[part])


def write_pieces(
    canvas: np.ndarray, pieces: Sequence[str], at: tuple[int, int], size: int, colour: Colour
) -> None:
    """Write a line in pieces, a blank apart: each is drawn once, however often others change.

    Args: as of `write`.
    """
    x = at[0]
    for piece in pieces:
        write(canvas, piece, (x, at[1]), size, colour)
        x += text_width(piece, size) + size


def pieces_width(pieces: Sequence[str], size: int) -> int:
    """How many pixels wide a line in pieces is."""
    return sum(text_width(piece, size) + size for piece in pieces) - size


@functools.lru_cache(maxsize=512)
def _blend(text: str, size: int, colour: Colour) -> tuple[np.ndarray, np.ndarray, int]:
    """What is kept of the picture below a line, and what is added, with its edge.

    Returns:
        uint8 (h, w, 3) each, the first of 255, and the rows above the baseline.
    """
    ink = draw_ink(text, size)
    rows, columns = ink.cover.shape
    letters, edge = np.zeros((2, rows + 1, columns + 1, 1), np.float32)
    letters[:rows, :columns, 0] = ink.cover
    edge[1:, 1:, 0] = ink.cover
    wanted = np.broadcast_to(np.array(colour, np.float32), (rows + 1, columns + 1, 3)).copy()
    if ink.own is not None and ink.has_own is not None:
        place = wanted[:rows, :columns]
        place += ink.has_own[..., None] * (ink.own - place)
    keep = np.repeat((1 - edge) * (1 - letters), 3, axis=2)
    add = np.array(PAPER, np.float32) * edge * (1 - letters) + wanted * letters
    return np.round(255 * keep).astype(np.uint8), add.astype(np.uint8), ink.above


def text_width(text: str, size: int) -> int:
    """How many pixels wide a line is."""
    return draw_ink(text, size).cover.shape[1]


def wrap(text: str, size: int, width: int) -> list[str]:
    """Break text into lines of at most `width` pixels: between words, or within one that is longer.

    Scripts without blanks are broken between any two letters.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        if text_width(longer := f"{line} {word}" if line else word, size) <= width:
            line = longer
            continue
        lines += [line] if line else []
        line = ""
        for cluster in split_into_clusters(word):
            if line and text_width(line + cluster, size) > width:
                lines.append(line)
                line = ""
            line += cluster
    return [*lines, line] if line else lines


def shorten(text: str, size: int, width: int) -> str:
    """The text, or its beginning with "…" that is at most `width` pixels wide."""
    if text_width(text, size) <= width:
        return text
    clusters = split_into_clusters(text)[: width // 2]  # a letter is wider than two pixels
    while len(clusters) > 1 and text_width("".join(clusters) + "…", size) > width:
        clusters.pop()
    return "".join(clusters) + "…"


@functools.lru_cache(maxsize=512)
def draw_ink(text: str, size: int) -> Ink:
    """Draw a line. It is kept, because drawing takes up to some milliseconds."""
    with _lock:
        pieces = [piece for run in split_into_runs(text) for piece in _draw_run(run, size)]
    above = max((piece.above for piece in pieces), default=size)
    below = max((piece.cover.shape[0] - piece.above for piece in pieces), default=0)
    columns = sum(piece.cover.shape[1] for piece in pieces)
    cover = np.zeros((above + below, columns), np.float32)
    coloured = any(piece.own is not None for piece in pieces)
    own = np.zeros((*cover.shape, 3), np.float32) if coloured else None
    has_own = np.zeros(cover.shape, np.float32) if coloured else None
    x = 0
    for piece in pieces:
        rows, wide = piece.cover.shape
        place = np.s_[above - piece.above : above - piece.above + rows, x : x + wide]
        cover[place] = piece.cover
        if own is not None and has_own is not None and piece.own is not None:
            own[place], has_own[place] = piece.own, 1
        x += wide
    return Ink(cover, own, has_own, above)


def _draw_run(run: Run, size: int) -> list[Ink]:
    """A run in one font; cluster by cluster where no font has all of it."""
    font = choose_font(run.text, run.script)
    if font is not None:
        return [_render(run, font, size)]
    clusters = split_into_clusters(run.text)
    pieces = []
    for cluster in reversed(clusters) if run.leftward else clusters:
        if len(clusters) > 1:
            pieces += _draw_run(Run(cluster, run.script, run.leftward), size)
        else:
            give_up(cluster)
            numbers = "".join(f"[{ord(char):X}]" for char in cluster)
            pieces += _draw_run(Run(numbers, LATIN), size)
    return pieces


def _render(run: Run, font: str, size: int) -> Ink:
    pygame = load_pygame()
    opened = _open_font(font, size, run.script, run.leftward)
    # A pygame that can't be told the direction draws letters unjoined, but in their order.
    told = hasattr(opened, "set_direction") or not run.leftward
    try:
        surface = opened.render(run.text if told else run.text[::-1], True, (255, 255, 255))
    except pygame.error:  # nothing to see in it, such as a joiner alone
        return Ink(np.zeros((size, 0), np.float32), None, None, size)
    cover = pygame.surfarray.array_alpha(surface).T.astype(np.float32) / 255
    # Letters that are higher than the font says push the baseline down.
    tops = [metrics[3] for metrics in opened.metrics(run.text) if metrics]
    above = max([opened.get_ascent(), *tops])
    own = None
    if is_emoji_font(font):
        own = pygame.surfarray.array3d(surface).transpose(1, 0, 2)[..., ::-1].astype(np.float32)
        scale = 1.17 * size / len(cover)  # fonts made of pictures have one size only
        if scale < 0.9:
            fitted = (max(round(cover.shape[1] * scale), 1), max(round(len(cover) * scale), 1))
            own = cv2.resize(own, fitted, interpolation=cv2.INTER_AREA)
            cover = cv2.resize(cover, fitted, interpolation=cv2.INTER_AREA)
            above = round(above * scale)
        if own[cover > 0.5].min(initial=255) > 247:  # white, as it was asked for: no own colours
            own = None
    has_own = None if own is None else np.ones(cover.shape, np.float32)
    return Ink(cover, own, has_own, min(above, len(cover)))


@functools.lru_cache(maxsize=128)
def _open_font(font: str, size: int, script: str, leftward: bool) -> Any:
    """A font that is told what it draws, before it has drawn anything."""
    pygame = load_pygame()
    opened = pygame.font.Font(font, size)
    if hasattr(opened, "set_direction"):
        opened.set_script("Zyyy" if script == EMOJI else script)
        opened.set_direction(pygame.DIRECTION_RTL if leftward else pygame.DIRECTION_LTR)
    return opened
