"""Random hands: builds as people's vary, and plausible poses."""

from __future__ import annotations

import numpy as np

from realtime.drawn.pose import HandPose, HandShape, pose_of

# Limits of joint angles (21,), radians.
_LOW = np.array([-0.1, -0.1, -0.7, -0.3, -0.3] + [-0.3, -0.35, -0.05, -0.15] * 4)
_HIGH = np.array([1.2, 1.0, 1.2, 1.2, 1.4] + [0.45, 1.65, 1.9, 1.3] * 4)


def random_shape(rng: np.random.Generator) -> HandShape:
    """Draw a hand as people's hands vary: in size, width of the palm and lengths of fingers."""
    base = HandShape()
    size = rng.normal(1.0, 0.06)
    palm = np.array(base.palm) * size * (1.0 + rng.normal(0.0, (0.06, 0.03, 0.10)))
    palm += rng.normal(0.0, 0.001, palm.shape)
    finger = rng.normal(1.0, 0.03) * rng.normal(1.0, 0.03, (5, 1))
    bones = np.array(base.bones) * size * finger * rng.normal(1.0, 0.03, (5, 3))
    fan = np.array(base.fan) + rng.normal(0.0, 0.02, 4)
    return HandShape(
        tuple(tuple(map(float, p)) for p in palm),
        tuple(tuple(map(float, b)) for b in np.maximum(bones, 0.012)),
        tuple(map(float, fan)),
    )


def random_angles(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw plausible joint angles, (count, 21) radians."""
    # Half the fingers are nearly straight or nearly closed, as in gestures, the others anywhere;
    # in a quarter of the hands all fingers bend alike.
    curl = np.where(
        rng.random((count, 4)) < 0.5, rng.random((count, 4)).round(), rng.random((count, 4))
    )
    together = rng.random((count, 1)) < 0.25
    curl = np.where(together, curl[:, :1], curl)
    fingers = np.empty((count, 4, 4))
    fingers[..., 0] = rng.normal(0.06, 0.12, (count, 4)) * (1.0 - 0.7 * curl)
    fingers[..., 1] = 1.35 * curl + rng.normal(0.05, 0.22, (count, 4))
    fingers[..., 2] = 1.60 * curl + rng.normal(0.10, 0.20, (count, 4))
    fingers[..., 3] = 0.60 * fingers[..., 2] + rng.normal(0.0, 0.15, (count, 4))
    # Some hands bend only at the knuckles (flat O) or only beyond them (claw).
    odd = rng.random(count)
    fingers[odd < 0.1, :, 2:] *= 0.25
    fingers[odd > 0.9, :, 1] *= 0.25
    thumb = rng.uniform((0.0, 0.0, -0.3, -0.1, -0.2), (1.0, 0.9, 0.8, 1.0, 1.2), (count, 5))
    return np.clip(np.concatenate([thumb, fingers.reshape(count, 16)], 1), _LOW, _HIGH)


def random_pose(rng: np.random.Generator) -> HandPose:
    """Draw one plausible pose; `random_angles` draws many at once."""
    return pose_of(random_angles(rng, 1)[0])
