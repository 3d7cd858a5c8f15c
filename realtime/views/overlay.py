"""What a person sees: skeleton, gesture, thumbnails and status, drawn on a selfie view."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from realtime.hands.geometry import cut
from realtime.live.burst import Progress, Shot
from realtime.live.state import State
from realtime.text.draw import (
    INK,
    PAPER,
    pieces_width,
    shorten,
    text_width,
    wrap,
    write,
    write_pieces,
)
from realtime.types import FrameResult, Hand, Match, Square

# Bones as pairs of joints, in MediaPipe's numbering.
BONES = [(0, 1), (0, 5), (0, 17), (5, 9), (9, 13), (13, 17)] + [
    (j, j + 1) for base in (1, 5, 9, 13, 17) for j in range(base, base + 3)
]
KNOWN, UNKNOWN, SEEN = (96, 220, 96), (205, 205, 205), (60, 200, 255)  # BGR
STRIP = 96  # height of the thumbnails' strip in pixels
BAND = 94  # height in pixels of what is told while several views are recorded
SMALLEST = 640  # a smaller picture is shown this wide, in pixels
THUMBNAIL = STRIP - 28  # width and height of one, in pixels
FIRST_VIEW, VIEW = 20, 15  # widths of recorded views, percent of the picture's: five fit
HELP = (
    "r  record a gesture",
    "d  delete the last one recorded   u  undo",
    "n  the last start was wrong",
    "+  accept more   −  accept less",
    "p  pause   s  snapshot",
    "h  help   q  quit",
)


def draw(result: FrameResult, state: State, strip: np.ndarray) -> np.ndarray:
    """Draw what a person should see, mirrored like a selfie; text and sides read the right way.

    Args:
        strip: uint8 (STRIP, any width, 3) BGR, the recorded gestures: see make_strip.
    Returns:
        uint8 (H', W', 3) BGR, at least SMALLEST wide.
    """
    whole = _selfie(result.frame.image, strip)
    canvas = whole[:-STRIP]
    scale = canvas.shape[1] / result.frame.image.shape[1]
    for hand, match, gesture in zip(result.hands, result.matches, result.gestures, strict=True):
        _draw_hand(canvas, hand, match, gesture, scale)
    _draw_status(canvas, state)
    if state.progress is not None:
        _draw_progress(canvas, state.progress)
    elif state.countdown is not None:
        _write_centred(canvas, str(state.countdown) if state.countdown else "hold", 96)
    if state.paused:
        _write_centred(canvas, "paused", 48)
    return whole


def draw_help(canvas: np.ndarray) -> None:
    """Draw the keys over uint8 (H, W, 3) BGR, in place."""
    _draw_panel(canvas[:-STRIP], HELP)


def draw_message(canvas: np.ndarray, message: str) -> None:
    """Draw news over a canvas of `draw`, in place."""
    _draw_message(canvas[:-STRIP], message)


def draw_prompt(canvas: np.ndarray, shots: Sequence[Shot], text: str) -> None:
    """Draw the prompt for a gesture's name over a canvas of `draw`, in place.

    Args:
        canvas: uint8 (H, W, 3) BGR.
        shots: the views that are being named, the best first: it is shown larger.
        text: the name typed so far.
    """
    picture = canvas[:-STRIP]
    _dim(picture, 0.5)
    left = 8
    for i, shot in enumerate(shots):
        size = picture.shape[1] * (VIEW if i else FIRST_VIEW) // 100
        part = _cut_out(shot, size)[: picture.shape[0] - 38]
        picture[34 : 34 + len(part), left : left + size] = part
        left += size + 6
    _draw_panel(picture, ("Name this gesture:", f"{text}_", "Enter saves it, Esc drops it"))


def _selfie(image: np.ndarray, strip: np.ndarray) -> np.ndarray:
    """Copy a picture, mirrored and at least SMALLEST wide, above the strip of thumbnails.

    One array for both: a second copy of the frame costs more than all that is drawn on it.

    Args:
        image: uint8 (H, W, 3) BGR.
        strip: uint8 (STRIP, any width, 3) BGR.
    Returns:
        uint8 (H' + STRIP, W', 3) BGR.
    """
    height, width = image.shape[:2]
    if width < SMALLEST:
        height, width = round(height * SMALLEST / width), SMALLEST
    whole = np.empty((height + STRIP, width, 3), np.uint8)
    if (height, width) == image.shape[:2]:
        cv2.flip(image, 1, dst=whole[:-STRIP])
    else:
        cv2.resize(cv2.flip(image, 1), (width, height), dst=whole[:-STRIP])
    shown = min(strip.shape[1], width)
    whole[-STRIP:, :shown] = strip[:, :shown]
    whole[-STRIP:, shown:] = PAPER
    return whole


def _dim(area: np.ndarray, share: float) -> None:
    """Darken uint8 (h, w, 3) in place, to a share of its brightness."""
    area[:] = cv2.convertScaleAbs(area, alpha=share)


def _draw_hand(
    canvas: np.ndarray, hand: Hand, match: Match, gesture: str | None, scale: float
) -> None:
    colour = KNOWN if gesture is not None else SEEN if match.label is not None else UNKNOWN
    points = hand.landmarks[:, :2] * scale
    points[:, 0] = canvas.shape[1] - 1 - points[:, 0]
    points = np.round(points).astype(int)
    for a, b in BONES:
        cv2.line(canvas, tuple(points[a].tolist()), tuple(points[b].tolist()), colour, 2, 16)
    for point in points:
        cv2.circle(canvas, tuple(point.tolist()), 4, colour, -1, 16)
        cv2.circle(canvas, tuple(point.tolist()), 4, PAPER, 1, 16)
    x, y = int(points[:, 0].min()), int(points[:, 1].min()) - 14
    title = [gesture if gesture is not None else "unknown"]
    if gesture is not None and match.nearest == gesture:  # the probability is the nearest's
        title.append(f"{100 * match.probability:.0f} %")
    if gesture is None and match.label is not None:
        title = [f"{match.label} …"]
    x = max(4, min(x, canvas.shape[1] - pieces_width(title, 26) - 4))
    write_pieces(canvas, title, (x, max(y, 70)), 26, colour)
    write(canvas, f"{hand.side} hand", (x, max(y, 70) - 28), 15, INK)


def _draw_status(canvas: np.ndarray, state: State) -> None:
    far = "not calibrated" if state.far is None else f"false accepts {100 * state.far:g} %"
    gallery, speed = os.path.basename(state.gallery), f"{state.fps:.0f} fps"
    pieces = (gallery, far, speed, f"{state.latency_ms:.0f} ms", "h help")
    _dim(canvas[:26], 0.45)
    write_pieces(canvas, pieces, (8, 19), 15, INK)
    if state.message:
        _draw_message(canvas, state.message)


def _draw_message(canvas: np.ndarray, message: str) -> None:
    lines = wrap(message, 16, canvas.shape[1] - 16)
    low = canvas.shape[0] - 22 * len(lines) - 8
    _dim(canvas[low:], 0.45)
    for i, line in enumerate(lines):
        write(canvas, line, (8, low + 20 + 22 * i), 16, SEEN)


def _draw_panel(canvas: np.ndarray, lines: Sequence[str]) -> None:
    height, width = 34 * len(lines) + 24, max(text_width(line, 20) for line in lines) + 48
    top, left = (canvas.shape[0] - height) // 2, max((canvas.shape[1] - width) // 2, 0)
    area = canvas[max(top, 0) : top + height, left : left + width]
    _dim(area, 0.3)
    for i, line in enumerate(lines):
        write(canvas, line, (left + 24, top + 40 + 34 * i), 20, INK)


def _draw_progress(canvas: np.ndarray, progress: Progress) -> None:
    """What the hand should do, how much of the time is over, and how many views there are."""
    if progress.kept:
        what, views = "turn your hand a little", f"{progress.kept} of {progress.keep} views"
    else:
        what, views = "hold still", "then turn your hand a little"
    band = canvas[-BAND:]  # over the wrist: the fingers stay in view
    _dim(band, 0.3)
    middle, half = band.shape[1] // 2, band.shape[1] // 4
    write(band, what, (middle - text_width(what, 32) // 2, 40), 32, SEEN)
    left, right = middle - half, middle + half
    now = left + round((right - left) * progress.share)
    cv2.rectangle(band, (left, 54), (right, 62), UNKNOWN, 1, 16)
    cv2.rectangle(band, (left, 54), (now, 62), KNOWN, -1)
    write(band, views, (middle - text_width(views, 16) // 2, 86), 16, INK)


def _cut_out(shot: Shot, size: int) -> np.ndarray:
    """The hand of a shot as the selfie view shows it: uint8 (size, size, 3) BGR."""
    hand = shot.hand.square
    square = Square(hand.x, hand.y, hand.width, 0.0)
    return cv2.cvtColor(cut(shot.frame.image, square, size, mirror=True), cv2.COLOR_RGB2BGR)


def _write_centred(canvas: np.ndarray, text: str, size: int) -> None:
    x = (canvas.shape[1] - text_width(text, size)) // 2
    write(canvas, text, (x, canvas.shape[0] // 2 + size // 3), size, INK)


def count_thumbnails(width: int) -> int:
    """How many thumbnails fit into a strip, beside the number of those that don't."""
    return max((width - 30) // (THUMBNAIL + 10), 1)


def make_strip(
    thumbnails: Sequence[tuple[str, np.ndarray]], width: int = SMALLEST, hidden: int = 0
) -> np.ndarray:
    """Draw recorded gestures side by side.

    Args:
        thumbnails: label and uint8 (T, T, 3) BGR each; no more than count_thumbnails(width).
        width: of the strip, in pixels.
        hidden: how many more gestures there are.
    Returns:
        uint8 (STRIP, width, 3) BGR.
    """
    strip = np.full((STRIP, width, 3), PAPER, np.uint8)
    if not thumbnails:
        write(strip, "No gesture recorded yet: press r", (12, STRIP // 2), 16, UNKNOWN)
    for i, (label, picture) in enumerate(thumbnails):
        x = 6 + i * (THUMBNAIL + 10)
        strip[4 : 4 + THUMBNAIL, x : x + THUMBNAIL] = cv2.resize(picture, (THUMBNAIL, THUMBNAIL))
        write(strip, shorten(label, 13, THUMBNAIL + 6), (x, STRIP - 8), 13, INK)
    if hidden:
        at = 6 + len(thumbnails) * (THUMBNAIL + 10)
        write(strip, f"+{hidden}", (at, STRIP // 2), 16, INK)
    return strip
