"""How far apart a source's frames come: a time constant must span some, however slow it is."""

from __future__ import annotations

import statistics
from collections import deque

STEPS = 5  # enough that one gap doesn't pass for a slow source, few enough to notice one soon


class Pace:
    """Follows the times of frames.

    Attributes:
        step_s: The mean of the last STEPS times between two frames, seconds; 0 before there is one.
    """

    def __init__(self) -> None:
        self.step_s = 0.0
        self._steps: deque[float] = deque(maxlen=STEPS)
        self._last_s: float | None = None

    def update(self, time_s: float) -> None:
        """Take in the time of the next frame."""
        if self._last_s is not None and time_s > self._last_s:  # clocks may be set back
            self._steps.append(time_s - self._last_s)
            self.step_s = statistics.fmean(self._steps)
        self._last_s = time_s

    def at_least(self, seconds: float, frames: float) -> float:
        """A time constant: `seconds`, or so many frames where these take longer."""
        return max(seconds, frames * self.step_s)
