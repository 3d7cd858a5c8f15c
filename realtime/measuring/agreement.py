"""Figures on how far our own hand detector agrees with MediaPipe's, with 95 % intervals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.metrics import Figure, figure, weighted_percentile
from realtime.measuring.appearances import Delay, Trial
from realtime.measuring.side_by_side import Seen

LEAST_SHARE = 0.995  # of frames or hands on which the two agree
MOST_APART = {50: 0.01, 95: 0.025}  # percentile of landmarks: widths of the hand's square
MOST_FRAMES_LATER = 2.0  # median, of a hand that comes back
MOST_SECOND_S = 0.3  # median, of a second hand


@dataclass(frozen=True)
class Landmarks:
    """Hands that both found, all of them or those of one side.

    Attributes:
        hands: How many.
        same_side: Share that both say are of the same side.
        tracked: How many both had found in the frame before, too; the following are of these.
        median: Median distance of landmarks, widths of the hand's square.
        p95: Its 95th percentile.
        right: Mean offset of our landmarks to the right, as the hand is held upright, in the same
            unit.
        down: Mean offset of our landmarks down.
    """

    hands: int
    same_side: Figure
    tracked: int
    median: Figure | None
    p95: Figure | None
    right: Figure | None
    down: Figure | None


@dataclass(frozen=True)
class Delays:
    """How late hands are found. One that isn't is counted as found when it could be no longer.

    Attributes:
        count: How many came into view.
        ours: Median seconds until our own detector found them.
        theirs: Median seconds until MediaPipe found them.
        frames_later: Median of how many frames later than MediaPipe our own found them.
        missed_by_ours: How many our own detector didn't find.
        missed_by_theirs: How many MediaPipe didn't find.
    """

    count: int
    ours: Figure
    theirs: Figure
    frames_later: Figure
    missed_by_ours: int
    missed_by_theirs: int


@dataclass(frozen=True)
class Agreement:
    """What came out on one source.

    Attributes:
        source: Its name.
        frames: How many frames or pictures.
        ours: In how many our own detector found a hand.
        theirs: In how many MediaPipe found one.
        only_ours: In how many only our own did.
        only_theirs: In how many only MediaPipe did.
        same_frames: Share in which both found a hand, or neither.
        same_count: Share in which both found as many.
        landmarks: Of "all" hands, and of the "left" and "right" ones where there are any.
        back: Of hands that came after frames in which neither found one; None in pictures.
        first: Of hands that appeared in composed frames out of nothing.
        second: Of hands that appeared in composed frames beside a tracked one.
    """

    source: str
    frames: int
    ours: int
    theirs: int
    only_ours: int
    only_theirs: int
    same_frames: Figure
    same_count: Figure
    landmarks: dict[str, Landmarks]
    back: Delays | None
    first: Delays | None
    second: Delays | None


def agreement(
    source: str, seen: Sequence[Seen], fps: float | None = None, trials: Sequence[Trial] = ()
) -> Agreement:
    """Compute the figures of a source.

    Args:
        source: Its name.
        seen: Its frames, one or more.
        fps: Frames per second of a video; None for pictures.
        trials: Of composed frames.
    """
    ours, theirs = (np.array([getattr(s, who) for s in seen]) for who in ("ours", "theirs"))
    block = np.array([s.block for s in seen])
    return Agreement(
        source,
        len(seen),
        int((ours > 0).sum()),
        int((theirs > 0).sum()),
        int(((ours > 0) & (theirs == 0)).sum()),
        int(((ours == 0) & (theirs > 0)).sum()),
        _share((ours > 0) == (theirs > 0), block),
        _share(ours == theirs, block),
        _landmarks(seen),
        None if fps is None else _delays(comebacks(ours > 0, theirs > 0), fps),
        None if fps is None else _delays([trial.first for trial in trials], fps),
        None if fps is None else _delays([trial.second for trial in trials], fps),
    )


def _share(hits: np.ndarray, block: np.ndarray) -> Figure:
    return figure(block, lambda w: float((hits * w).sum() / w.sum()))


def _landmarks(seen: Sequence[Seen]) -> dict[str, Landmarks]:
    result = {}
    for name, sides in (("all", ("left", "right")), ("left", ("left",)), ("right", ("right",))):
        pairs = [(s.block, pair) for s in seen for pair in s.pairs if pair.side in sides]
        if not pairs:
            continue
        same = _share(
            np.array([pair.same_side for _, pair in pairs]), np.array([b for b, _ in pairs])
        )
        tracked = [(block, pair.away) for block, pair in pairs if pair.tracked]
        if not tracked:
            result[name] = Landmarks(len(pairs), same, 0, None, None, None, None)
            continue
        block = np.array([block for block, _ in tracked])
        away = np.stack([away for _, away in tracked])  # (P, 21, 2)
        mean = away.mean(axis=1)
        apart = np.linalg.norm(away, axis=2).ravel()
        order = np.argsort(apart)
        ordered, hand = apart[order], order // away.shape[1]

        def percentile(
            percent: float, ordered: np.ndarray = ordered, hand: np.ndarray = hand
        ) -> Callable[[np.ndarray], float]:
            return lambda w: weighted_percentile(ordered, w[hand], percent)

        def offset(axis: int, mean: np.ndarray = mean) -> Callable[[np.ndarray], float]:
            return lambda w: float((mean[:, axis] * w).sum() / w.sum())

        result[name] = Landmarks(
            len(pairs),
            same,
            len(tracked),
            *(figure(block, percentile(p)) for p in MOST_APART),
            *(figure(block, offset(axis)) for axis in (0, 1)),
        )
    return result


def comebacks(ours: np.ndarray, theirs: np.ndarray) -> list[Delay]:
    """When each found a hand again, after frames in which neither did.

    Args:
        ours: bool (F,), whether our own detector found a hand in each frame.
        theirs: bool (F,), whether MediaPipe did.

    Returns:
        A delay for each stretch that follows frames without a hand and in which either found one;
        it is counted from the stretch's first frame, and ends with the stretch at the latest.
    """
    either = ours | theirs
    edges = np.flatnonzero(np.diff(either.astype(int))) + 1
    result = []
    for start, end in itertools.pairwise([*edges, len(either)]):
        if either[start]:
            found = [np.flatnonzero(each[start:end]) for each in (ours, theirs)]
            first, second = (int(at[0]) if len(at) else None for at in found)
            result.append(Delay(first, second, int(end - start)))
    return result


def _delays(delays: Sequence[Delay], fps: float) -> Delays | None:
    if not delays:
        return None
    frames = np.array(
        [[d.most if each is None else each for each in (d.ours, d.theirs)] for d in delays], float
    )
    trial = np.arange(len(delays))

    def median(values: np.ndarray) -> Figure:
        order = np.argsort(values)
        return figure(trial, lambda w: weighted_percentile(values[order], w[order], 50))

    return Delays(
        len(delays),
        median(frames[:, 0] / fps),
        median(frames[:, 1] / fps),
        median(frames[:, 0] - frames[:, 1]),
        sum(delay.ours is None for delay in delays),
        sum(delay.theirs is None for delay in delays),
    )
