"""How alike two views of a hand are, by its joints.

Joints, not embeddings: they are there with every encoder and stay the same when it is replaced, so
these bounds do, too. On drawn hands that turn, views chosen by joints came as near to other views
of the hand as those chosen by embeddings.
"""

from __future__ import annotations

import numpy as np

from realtime.hands.geometry import crop_landmarks, upright_square
from realtime.types import Hand

# Of one gesture turned by up to 25° (drawn, 14 gestures, four directions), 96 % of the views are
# within both bounds; of two other gestures, turned alike, 0.3 %. Of a hand that spells letters for
# two seconds each, 99.8 % are; of two letters, 3.5 %, mostly of fists.
FARTHEST = 0.06  # difference
MISSHAPEN = 0.2  # misfit


def difference(a: Hand, b: Hand) -> float:
    """How differently two views of the same side show a hand.

    Args:
        a: a hand.
        b: a hand of the same side.

    Returns:
        The mean distance of its joints in the upright crop, in crop widths. Where the hand is, how
        large and how it is turned within the picture doesn't count, as it doesn't for an encoder.
    """
    return float(np.linalg.norm(_flat(a) - _flat(b), axis=1).mean())


def misfit(a: Hand, b: Hand) -> float:
    """How far two hands' shapes differ, however they are turned: 0 for the same.

    Args:
        a: a hand.
        b: a hand of the same side.

    Returns:
        The mean distance of the world landmarks after the best rotation (Kabsch 1976), in root
        mean square sizes of the hand.
    """
    ours, theirs = _centred(a), _centred(b)
    u, _, v = np.linalg.svd(ours.T @ theirs)
    u[:, -1] *= np.sign(np.linalg.det(u @ v))  # a rotation, no reflection
    return float(np.linalg.norm(ours @ u @ v - theirs, axis=1).mean())


def same_gesture(a: Hand, b: Hand) -> bool:
    """Whether two views can be of one gesture, turned a little."""
    return a.side == b.side and difference(a, b) <= FARTHEST and misfit(a, b) <= MISSHAPEN


def _flat(hand: Hand) -> np.ndarray:
    """Joints in the upright crop, float32 (21, 2), crop widths.

    The square follows the joints: a one-pass encoder's own square follows the frame before.
    """
    return crop_landmarks(hand.landmarks, upright_square(hand.landmarks), False)[:, :2]


def _centred(hand: Hand) -> np.ndarray:
    """World landmarks around their mean, of root mean square length 1, float64 (21, 3)."""
    points = hand.world_landmarks.astype(np.float64)
    points -= points.mean(axis=0)
    return points / max(np.sqrt((points**2).sum(axis=1).mean()), 1e-9)
