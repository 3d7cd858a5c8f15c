"""Track hands from frame to frame, and decide by vote whether each is left or right.

MediaPipe decides the side anew on every frame and alternates on hands seen edge-on. A hand doesn't
change sides, so each track votes over the last frames.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from realtime.pace import Pace
from realtime.types import Detection

FORGET_S = 0.5  # seconds until a lost hand is forgotten; also the time constant of the vote
FORGET_FRAMES = 2.5  # and frames, where these take longer: a hand may be missed in one
MAX_STEP = 1.5  # hand sizes that a hand may move between two frames


@dataclass(eq=False)
class _Track:
    number: int
    centre: np.ndarray
    size: float
    vote: float  # > 0 right, < 0 left
    seen_s: float


class Tracker:
    """Assigns detections to the tracks of the last FORGET_S, greedily, nearest first."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0
        self._pace = Pace()

    def update(self, detections: list[Detection], time_s: float) -> list[tuple[int, Detection]]:
        """Assign the detections of a frame, without doubles, to tracks.

        Args:
            detections: The hands of a frame.
            time_s: Time of the frame, seconds.

        Returns:
            The number of the track, and the detection with the voted side, for each hand.
        """
        detections = _drop_doubles(detections)
        self._pace.update(time_s)
        forget_s = self._pace.at_least(FORGET_S, FORGET_FRAMES)
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= forget_s]
        places = [_locate(detection) for detection in detections]
        pairs = sorted(
            (float(np.linalg.norm(track.centre - centre)) / max(track.size, size), i, j)
            for i, (centre, size) in enumerate(places)
            for j, track in enumerate(self._tracks)
        )
        chosen: dict[int, _Track] = {}
        for distance, i, j in pairs:
            if distance <= MAX_STEP and i not in chosen and self._tracks[j] not in chosen.values():
                chosen[i] = self._tracks[j]
        result = []
        for i, detection in enumerate(detections):
            centre, size = places[i]
            track = chosen.get(i)
            if track is None:
                track = _Track(self._next, centre, size, 0.0, time_s)
                self._next += 1
                self._tracks.append(track)
            keep = math.exp(-max(time_s - track.seen_s, 0.0) / forget_s)
            track.vote = track.vote * keep + detection.score * (
                1 if detection.side == "right" else -1
            )
            track.centre, track.size, track.seen_s = centre, size, time_s
            side = "right" if track.vote >= 0 else "left"
            result.append((track.number, dataclasses.replace(detection, side=side)))
        return result


def _locate(detection: Detection) -> tuple[np.ndarray, float]:
    """Return the centre (2,) and the size of a hand, px."""
    points = detection.landmarks[:, :2]
    return points.mean(axis=0), float(np.ptp(points, axis=0).max()) + 1.0


def _drop_doubles(detections: list[Detection]) -> list[Detection]:
    """Drop detections that lie on a more confident one: the same hand, found twice."""
    if len(detections) < 2:
        return detections
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        centre, size = _locate(detection)
        if all(np.linalg.norm(centre - _locate(k)[0]) > 0.25 * size for k in kept):
            kept.append(detection)
    return kept
