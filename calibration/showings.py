"""Which pictures form one showing of a gesture, and which lie too near to it. Pure numpy.

Frames of one recording that lie near each other are nearly one picture: together they can be the
views of one showing, but not reference and query.
"""

from __future__ import annotations

import numpy as np

SHOWING_S = 2.0  # how long a showing of several views lasts; a shorter recording is one whole
APART_S = 5.0  # between a showing and a query, or another showing, of the same recording


def find_showings(rows: np.ndarray, times: np.ndarray | None, shots: int, views: int) -> np.ndarray:
    """What a label's references can be.

    Args:
        rows: the pictures of one person and label, (P,) row numbers.
        times: of all pictures, see `LabelledEmbeddings`.
        shots: how many references are to be drawn.
        views: how many pictures each has; several are spread over SHOWING_S of one recording.

    Returns:
        Row numbers (C, views); none where they could run out before all shots are drawn.
    """
    found = rows[:, None] if views == 1 else _find_in_recordings(times, rows, views)
    taken = _near(times, found).sum(axis=1).max(initial=0) if shots > 1 else 0
    return found if len(found) > (shots - 1) * taken else found[:0]


def draw_showings(
    rng: np.random.Generator, showings: np.ndarray, times: np.ndarray | None, shots: int
) -> np.ndarray:
    """Draw references (shots, views) of a label among its `find_showings`."""
    near = _near(times, showings) if shots > 1 else None
    left, drawn = np.arange(len(showings)), []
    for _ in range(shots):
        drawn.append(rng.choice(left))
        left = left if near is None else left[~near[drawn[-1], left]]
    return showings[drawn]


def away(times: np.ndarray, queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Which queries are far enough from all references (L, shots, views): bool (Q,)."""
    first = times[references].min(axis=2).ravel()
    last = times[references].max(axis=2).ravel()
    at = times[queries][:, None]
    return (np.maximum(first - at, at - last) >= APART_S).all(axis=1)


def _find_in_recordings(times: np.ndarray | None, rows: np.ndarray, views: int) -> np.ndarray:
    """Showings of several views: rows (C, views), spread over SHOWING_S each."""
    if times is None:
        return np.zeros((0, views), int)
    rows = rows[np.argsort(times[rows], kind="stable")]
    ends = np.searchsorted(times[rows], times[rows] + SHOWING_S, side="right")
    whole = ends > np.concatenate([[0], ends[:-1]])  # not only the rest of the one before
    spread = np.linspace(0, 1, views)
    return np.array(
        [
            rows[start + np.rint(spread * (end - start - 1)).astype(int)]
            for start, end in enumerate(ends)
            if whole[start] and end - start >= views
        ],
        int,
    ).reshape(-1, views)


def _near(times: np.ndarray | None, showings: np.ndarray) -> np.ndarray:
    """Which showings (C, V) are too near to each other to be two references: bool (C, C)."""
    if times is None:
        return np.eye(len(showings), dtype=bool)
    first, last = times[showings].min(axis=1), times[showings].max(axis=1)
    gap = first[:, None] - last[None, :]  # of one that follows, otherwise negative
    return np.maximum(gap, gap.T) < APART_S
