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
        self._apart = apart and sides is not None
        self._views = Counter(zip(labels, sides or [ANY] * len(labels), strict=True))
        if not self._apart:  # a view and its twin, which shows it by the other hand, count as one
            for (label, _), count in list(self._views.items()):
                self._views[label, ANY] = max(self._views[label, ANY], count)
        self._fars = dict(fars or {})
        rows: dict[str, dict[str, list[int]]] = {}  # by side, then label
        for row, label in enumerate(labels):
            side = sides[row] if self._apart and sides is not None else ANY
            rows.setdefault(side, {}).setdefault(label, []).append(row)
        self._sides = {side: _Side(embeddings, its) for side, its in rows.items()}
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
        if not self._apart:
            sides = [ANY] * len(embeddings)
        return [
            self._match_one(embedding, side)
            for embedding, side in zip(embeddings, sides, strict=True)
        ]

    def _match_one(self, embedding: np.ndarray, side: str) -> Match:
        if side not in self._sides:
            return Match(None, None, 0.0, 0.0, None, 0.0)
        its = self._sides[side]
        # Hand by hand: it is the faster way, see `cosine`, and sides have views of their own.
        scores = similarity(self._spec, embedding[None], its.embeddings)[0]
        return self._decide(its.labels, np.maximum.reduceat(scores, its.starts), side)

    def _decide(self, labels: Sequence[str], scores: np.ndarray, side: str) -> Match:
        order = np.argsort(-scores, kind="stable")
        names = [labels[row] for row in order]
        if names[0] == NOTHING:
            return self._turn_away(names, scores[order])
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
    def _turn_away(names: Sequence[str], scores: np.ndarray) -> Match:
        """The match of a hand that is most like a negative reference."""
        if len(names) == 1:
            return Match(None, None, 0.0, 0.0, None, 0.0, negative=True)
        runner_up = names[2] if len(names) > 2 else None
        return Match(None, names[1], float(scores[1]), 0.0, runner_up, 0.0, negative=True)


class _Side:
    """The views that count for one side, in the order of their labels.

    Attributes:
        labels: (L,), sorted.
        embeddings: float32 (R, D).
        starts: (L,), where each label's views begin.
    """

    def __init__(self, embeddings: np.ndarray, rows: dict[str, list[int]]) -> None:
        # Not numpy's strings: they lose a NUL at the end. Negative references win at a tie.
        self.labels = sorted(rows, key=lambda label: (label != NOTHING, label))
        self.embeddings = embeddings[[row for label in self.labels for row in rows[label]]]
        self.starts = np.cumsum([0, *(len(rows[label]) for label in self.labels[:-1])])
