"""Which poses show the same gesture: a rule on fingertips."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from realtime.drawn.pose import HandPose, joints

TIPS = [4, 8, 12, 16, 20]
# Metres, on the standard hand. People still call a pose at 0.045 an OK; the poses of GESTURES are
# 0.08 apart and more, but for a claw and a bent hand (0.043), a fist and a pinch (0.056).
NEAR_TWIN = 0.06


def tip_distance(a: HandPose, b: HandPose) -> float:
    """How far apart two poses are: metres between the tips of the finger that differs most."""
    return float(np.linalg.norm(joints(a)[TIPS] - joints(b)[TIPS], axis=1).max())


def is_near(pose: HandPose, others: Iterable[HandPose]) -> bool:
    """Whether a pose is a near twin of one of the others: no fingertip is NEAR_TWIN away."""
    return any(tip_distance(pose, other) < NEAR_TWIN for other in others)


def draw_unlike(draw: Callable[[], HandPose], others: Iterable[HandPose]) -> HandPose:
    """Draw poses until one isn't a near twin of any of the others."""
    known = list(others)
    while is_near(pose := draw(), known):
        pass
    return pose
