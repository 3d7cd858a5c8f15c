"""Match embeddings against the gallery. Pure numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from calibration.episodes import relative_margin
from calibration.threshold import Calibration
from engines.similarity import similarity
from engines.spec import EncoderSpec
from realtime.types import Match

ANY = ""  # the side of all views where sides aren't told apart


class Matcher:
    """Finds the nearest gesture, or unknown. A gesture is as near as the nearest view of it.

    Args:
        spec: of the encoder; its similarity scores.
        labels: of the R views, repeats allowed. Without views everything is unknown.
        embeddings: float32 (R, D), one per view.
        calibration: decides what is known, by score, margin and how many views the nearest gesture
            has. It may be replaced at any time.
        sides: (R,), "left" or "right"; None: unknown.
        apart: a view counts only for a hand of its side; else for both.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        labels: tuple[str, ...],
        embeddings: np.ndarray,
        calibration: Calibration,
        sides: tuple[str, ...] | None = None,
        apart: bool = True,
    ) -> None:
        self._spec = spec
        self._apart = apart and sides is not None
        self._views = Counter(zip(labels, sides or [ANY] * len(labels), strict=True))
        if not self._apart:  # a view and its twin, which shows it by the other hand, count as one
            for (label, _), count in list(self._views.items()):
                self._views[label, ANY] = max(self._views[label, ANY], count)
        rows: dict[str, dict[str, list[int]]] = {}  # by side, then label
        for row, label in enumerate(labels):
            side = sides[row] if self._apart and sides is not None else ANY
            rows.setdefault(side, {}).setdefault(label, []).append(row)
        self._sides = {side: _Side(embeddings, its) for side, its in rows.items()}
        self.calibration = calibration

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
        nearest, score = labels[order[0]], float(scores[order[0]])
        runner_up, margin = None, 1.0
        if len(order) > 1:
            runner_up = labels[order[1]]
            margin = float(relative_margin(scores[order[0]], scores[order[1]]))
        views = self._views[nearest, side]
        known = self.calibration.accepts(score, margin, views)
        return Match(
            label=nearest if known else None,
            nearest=nearest,
            score=score,
            probability=self.calibration.probability(score, margin, views),
            runner_up=runner_up,
            margin=margin,
        )


class _Side:
    """The views that count for one side, in the order of their labels.

    Attributes:
        labels: (L,), sorted.
        embeddings: float32 (R, D).
        starts: (L,), where each label's views begin.
    """

    def __init__(self, embeddings: np.ndarray, rows: dict[str, list[int]]) -> None:
        self.labels = sorted(rows)  # not numpy's strings: they lose a NUL at the end
        self.embeddings = embeddings[[row for label in self.labels for row in rows[label]]]
        self.starts = np.cumsum([0, *(len(rows[label]) for label in self.labels[:-1])])
