"""Match embeddings against the gallery. Pure numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from calibration.episodes import relative_margin
from calibration.threshold import Calibration
from engines.similarity import similarity
from engines.spec import EncoderSpec
from realtime.types import Match

ANY = ""  # the side of all views where sides aren't told apart
NOTHING = "\ud800"  # stands for all negative references; no label holds half a character


class Matcher:
    """Finds the nearest gesture, or unknown. A gesture is as near as the nearest view of it.

    Negative references draw hands away: one that is nearer to any of them than to all gestures is
    unknown.

    Args:
        spec: of the encoder; its similarity scores.
        labels: of the R views, repeats allowed. Without views everything is unknown.
        embeddings: float32 (R, D), one per view.
        calibration: decides what is known, by score, margin and how many views the nearest gesture
            has. It may be replaced at any time.
        sides: (R,), "left" or "right"; None: unknown.
        apart: a view counts only for a hand of its side; else for both.
        negative: (R,), whether a view is of a negative reference; none by default.
        fars: false-accept rates of gestures that have one of their own.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        labels: tuple[str, ...],
        embeddings: np.ndarray,
        calibration: Calibration,
        sides: tuple[str, ...] | None = None,
        apart: bool = True,
        negative: Sequence[bool] = (),
        fars: Mapping[str, float] | None = None,
    ) -> None:
        self._spec = spec
        if any(negative):
            labels = tuple(
                NOTHING if no else label for label, no in zip(labels, negative, strict=True)
            )
        rows: dict[str, list[int]] = {}  # not numpy's strings: they lose a NUL at the end
        for row, label in enumerate(labels):
            rows.setdefault(label, []).append(row)
        # Negative references first: at a tie they win.
        self._labels = sorted(rows, key=lambda label: (label != NOTHING, label))
        # Views in the order of their labels, and where each label's begin.
        order = [row for label in self._labels for row in rows[label]]
        self._embeddings = embeddings[order]
        self._starts = np.cumsum([0, *(len(rows[label]) for label in self._labels[:-1])])
        self._views = Counter(zip(labels, sides or [ANY] * len(labels), strict=True))
        self._sides = None
        if apart and sides is not None:
            self._sides = np.array([sides[row] for row in order])
        else:  # a view and its twin, which shows it by the other hand, count as one
            for (label, _), count in list(self._views.items()):
                self._views[label, ANY] = max(self._views[label, ANY], count)
        self._fars = dict(fars or {})
        self.calibration = calibration

    @property
    def calibration(self) -> Calibration:
        """The operating point of all gestures without one of their own."""
        return self._calibration

    @calibration.setter
    def calibration(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._own = {label: calibration.near(far) for label, far in self._fars.items()}

    def match(self, embeddings: np.ndarray, sides: Sequence[str] = ()) -> list[Match]:
        """Match N hands.

        Args:
            embeddings: float32 (N, D).
            sides: (N,), needed where the references have sides.
        """
        if not self._labels:
            return [Match(None, None, 0.0, 0.0, None, 0.0) for _ in embeddings]
        scores = similarity(self._spec, embeddings, self._embeddings)  # (N, R)
        if self._sides is None:
            sides = [ANY] * len(embeddings)
        else:
            scores[np.array(sides)[:, None] != self._sides[None, :]] = -np.inf
        by_label = np.maximum.reduceat(scores, self._starts, axis=1)  # (N, L)
        return [self._decide(row, side) for row, side in zip(by_label, sides, strict=True)]

    def _decide(self, scores: np.ndarray, side: str) -> Match:
        order = np.argsort(-scores, kind="stable")
        order = order[np.isfinite(scores[order])]
        if not len(order):
            return Match(None, None, 0.0, 0.0, None, 0.0)
        names = [self._labels[row] for row in order]
        if names[0] == NOTHING:
            return self._turn_away(
                [(n, float(scores[row])) for n, row in zip(names, order, strict=True)]
            )
        nearest, score = names[0], float(scores[order[0]])
        margin = 1.0
        if len(order) > 1:
            margin = float(relative_margin(scores[order[0]], scores[order[1]]))
        runner_up = next((name for name in names[1:] if name != NOTHING), None)
        views = self._views[nearest, side]
        calibration = self._own.get(nearest, self.calibration)
        known = calibration.accepts(score, margin, views)
        return Match(
            label=nearest if known else None,
            nearest=nearest,
            score=score,
            probability=self.calibration.probability(score, margin, views),
            runner_up=runner_up,
            margin=margin,
        )

    @staticmethod
    def _turn_away(ranked: list[tuple[str, float]]) -> Match:
        """The match of a hand that is most like a negative reference."""
        gestures = [*ranked[1:3], (None, 0.0), (None, 0.0)]
        (nearest, score), (runner_up, _) = gestures[:2]
        return Match(None, nearest, score, 0.0, runner_up, 0.0, negative=True)
