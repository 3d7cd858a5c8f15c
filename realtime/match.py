"""Embedding + gallery + calibration → Match. Pure numpy."""

from __future__ import annotations

import numpy as np

from calibration.episodes import relative_margin
from calibration.threshold import Calibration
from engines.similarity import similarity
from engines.spec import EncoderSpec
from realtime.types import Match


class Matcher:
    """The nearest recorded gesture, or unknown.

    embeddings float32 (R, D), one per reference; labels (R,) of them, repeats allowed: a
    gesture is as near as its nearest reference. With no references everything is unknown.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        labels: tuple[str, ...],
        embeddings: np.ndarray,
        calibration: Calibration,
    ) -> None:
        self._spec = spec
        self._embeddings = embeddings
        self._labels = sorted(set(labels))
        names = np.array(labels, object)  # numpy's own strings lose a NUL at the end
        self._columns = [np.flatnonzero(names == label) for label in self._labels]
        self.calibration = calibration

    def match(self, embeddings: np.ndarray) -> list[Match]:
        """float32 (N, D) → one Match per row."""
        if not self._labels:
            return [Match(None, None, 0.0, 0.0, None, 0.0) for _ in embeddings]
        scores = similarity(self._spec, embeddings, self._embeddings)  # (N, R)
        by_label = np.stack([scores[:, c].max(axis=1) for c in self._columns], axis=1)  # (N, L)
        return [self._decide(row) for row in by_label]

    def _decide(self, scores: np.ndarray) -> Match:
        order = np.argsort(-scores, kind="stable")
        nearest, score = self._labels[order[0]], float(scores[order[0]])
        runner_up, margin = None, 1.0
        if len(order) > 1:
            runner_up = self._labels[order[1]]
            margin = float(relative_margin(scores[order[0]], scores[order[1]]))
        known = self.calibration.accepts(score, margin)
        return Match(
            label=nearest if known else None,
            nearest=nearest,
            score=score,
            probability=self.calibration.probability(score, margin),
            runner_up=runner_up,
            margin=margin,
        )
