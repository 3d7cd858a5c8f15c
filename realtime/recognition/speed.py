"""How fast a hand moves, by its joints."""

from __future__ import annotations

from collections import deque

import numpy as np

from realtime.types import Hand

LOOK_BACK_S = 0.1  # from frame to frame, the speed would be the joints' noise


class Trail:
    """The joints of one hand over the last LOOK_BACK_S."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, np.ndarray]] = deque()

    def speed(self, hand: Hand, time_s: float) -> float:
        """Take in the hand's next frame.

        Returns:
            Crop widths a second by which the joints moved on average, from about LOOK_BACK_S ago
            until now; 0 in the first frame, and where the clock was set back.
        """
        past = self._past
        if past and time_s < past[-1][0]:
            past.clear()
        while len(past) > 1 and time_s - past[1][0] >= LOOK_BACK_S:
            past.popleft()
        past.append((time_s, hand.landmarks))
        before, earlier = past[0]
        moved = float(np.linalg.norm(hand.landmarks - earlier, axis=1).mean())
        return moved / hand.square.width / max(time_s - before, 1e-3)
