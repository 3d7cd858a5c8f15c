"""A kinematic hand: 21 joints from joint angles and bone lengths.

Joints are in MediaPipe's order: 0 wrist; 1-4 thumb (CMC, MCP, IP, tip); 5-8 index (MCP, PIP,
DIP, tip); 9-12 middle; 13-16 ring; 17-20 pinky.

The canonical frame, in metres, is that of a right hand held up with its palm to a camera: origin at
the wrist, x to the picture's right (the thumb's side), y down (straight fingers point to −y), z
away from the camera (the palm faces −z). A left hand is the mirror image: x negated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_ANGLES = 21  # 5 for the thumb, then 4 for each finger
# Parents of joints 1…20; bone i ends in joint i + 1.
PARENTS = np.array([0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19])

PALM_LENGTH = 0.094  # metres from wrist to middle knuckle, of the hand that RADII are of
# Radii in metres at the knuckle, two joints and the tip of thumb, index, middle, ring and pinky.
RADII = np.array(
    [
        [0.0155, 0.0124, 0.0110, 0.0083],
        [0.0112, 0.0102, 0.0090, 0.0073],
        [0.0116, 0.0105, 0.0093, 0.0075],
        [0.0111, 0.0100, 0.0088, 0.0072],
        [0.0098, 0.0087, 0.0076, 0.0063],
    ]
)
# Control points of the palm's lines (Bézier), in the axes wrist → index knuckle, wrist → pinky
# knuckle, wrist → thumb MCP.
_PALM_LINES = np.array(
    [
        [[0.14, 0.84, 0], [0.34, 0.50, 0], [0.58, 0.36, 0], [0.86, 0.12, 0]],
        [[0.78, 0.00, 0.14], [0.56, 0.22, 0.1], [0.34, 0.40, 0], [0.16, 0.52, 0]],
        [[0.78, 0.00, 0.14], [0.55, 0.15, 0.1], [0.26, 0.24, 0.08], [0.06, 0.14, 0.02]],
    ]
)

# Spread is positive away from the middle finger; that of the middle finger, towards the thumb.
_SPREAD_SIGN = np.array([1.0, 1.0, -1.0, -1.0])


@dataclass(frozen=True)
class HandShape:
    """Build of one person's hand.

    Attributes:
        palm: Positions of the thumb CMC and of the index, middle, ring and pinky MCP in the
            canonical frame, metres.
        bones: Lengths of three bones of thumb, index, middle, ring and pinky, from the palm
            outwards, metres.
        fan: Directions of index, middle, ring and pinky without spread, from −y towards the
            thumb, radians.
    """

    palm: tuple[tuple[float, ...], ...] = (
        (0.021, -0.024, -0.008),
        (0.025, -0.093, -0.002),
        (0.003, -0.094, 0.000),
        (-0.017, -0.088, -0.001),
        (-0.035, -0.077, -0.004),
    )

    bones: tuple[tuple[float, ...], ...] = (
        (0.042, 0.034, 0.028),
        (0.042, 0.026, 0.023),
        (0.046, 0.030, 0.024),
        (0.043, 0.028, 0.024),
        (0.034, 0.020, 0.021),
    )

    fan: tuple[float, ...] = (0.06, 0.0, -0.05, -0.13)


@dataclass(frozen=True)
class HandPose:
    """Joint angles in radians; the default is a relaxed, flat, open hand.

    Attributes:
        thumb: Radial abduction from the palm's edge; palmar abduction out of the palm's plane;
            opposition, which turns the thumb's plane of bending from across the palm towards the
            viewer; MCP flexion; IP flexion.
        index: Spread away from the middle finger; MCP, PIP and DIP flexion.
        middle: The same; its spread is towards the thumb.
        ring: The same as `index`.
        pinky: The same as `index`.
    """

    thumb: tuple[float, ...] = (0.75, 0.30, 0.2, 0.05, 0.05)
    index: tuple[float, ...] = (0.05, 0.05, 0.08, 0.05)
    middle: tuple[float, ...] = (0.0, 0.05, 0.08, 0.05)
    ring: tuple[float, ...] = (0.05, 0.05, 0.08, 0.05)
    pinky: tuple[float, ...] = (0.1, 0.05, 0.08, 0.05)


def angles(pose: HandPose) -> np.ndarray:
    """Return a pose as one vector, float64 (21,) radians: thumb first, then index to pinky."""
    return np.array(pose.thumb + pose.index + pose.middle + pose.ring + pose.pinky)


def pose_of(vector: np.ndarray) -> HandPose:
    """Return the pose whose `angles` are `vector`, (21,) radians."""
    v = tuple(float(a) for a in vector)
    return HandPose(v[:5], v[5:9], v[9:13], v[13:17], v[17:21])


def joints_of_angles(
    vectors: np.ndarray, palm: np.ndarray, bones: np.ndarray, fan: np.ndarray
) -> np.ndarray:
    """Compute the joints of many poses at once.

    The build is one hand's, or one for each pose.

    Args:
        vectors: (..., 21) radians.
        palm: (..., 5, 3) metres, as in HandShape.
        bones: (..., 5, 3) metres, as in HandShape.
        fan: (..., 4) radians, as in HandShape.

    Returns:
        float32 (..., 21, 3), metres.
    """
    vectors = np.asarray(vectors, np.float64)
    thumb = vectors[..., :5]
    fingers = vectors[..., 5:].reshape(*vectors.shape[:-1], 4, 4)

    turn = fan + _SPREAD_SIGN * fingers[..., 0]
    out = np.stack([np.sin(turn), -np.cos(turn), np.zeros_like(turn)], -1)  # (..., 4, 3)
    radial, palmar, roll = thumb[..., 0], thumb[..., 1], thumb[..., 2]
    along = np.stack(
        [np.sin(radial) * np.cos(palmar), -np.cos(radial) * np.cos(palmar), -np.sin(palmar)], -1
    )
    # The thumb bends towards the component of "across the palm" orthogonal to its metacarpal.
    across = np.stack([-np.cos(roll), np.zeros_like(roll), -np.sin(roll)], -1)
    inward = unit(across - (across * along).sum(-1, keepdims=True) * along)

    ahead = np.concatenate([along[..., None, :], out], -2)  # (..., 5, 3) straight direction
    bend = np.empty_like(ahead)  # (..., 5, 3) direction of bending
    bend[..., 0, :] = inward
    bend[..., 1:, :] = (0.0, 0.0, -1.0)
    flexion = np.zeros((*vectors.shape[:-1], 5, 3))
    flexion[..., 0, 1:] = thumb[..., 3:]
    flexion[..., 1:, :] = fingers[..., 1:]
    flexion = np.cumsum(flexion, -1)[..., None]

    steps = np.cos(flexion) * ahead[..., None, :] + np.sin(flexion) * bend[..., None, :]
    steps *= bones[..., None]
    chain = np.concatenate([np.zeros_like(steps[..., :1, :]), np.cumsum(steps, -2)], -2)
    chain += palm[..., None, :]
    result = np.zeros((*vectors.shape[:-1], 21, 3), np.float32)
    result[..., 1:, :] = chain.reshape(*vectors.shape[:-1], 20, 3)
    return result


def joints(pose: HandPose, shape: HandShape = HandShape()) -> np.ndarray:
    """Compute the joints, float32 (21, 3) metres, of a right hand in the canonical frame."""
    return joints_of_angles(
        angles(pose), np.array(shape.palm), np.array(shape.bones), np.array(shape.fan)
    )


def mirror(points: np.ndarray) -> np.ndarray:
    """Mirror joints (..., 3), which makes a right hand a left one."""
    return points * np.array([-1.0, 1.0, 1.0], points.dtype)


def mix(a: HandPose, b: HandPose, t: float) -> HandPose:
    """Interpolate from pose a (t = 0) to b (t = 1), with a smooth start and stop."""
    t = min(max(t, 0.0), 1.0)
    t = t * t * (3.0 - 2.0 * t)
    return pose_of((1.0 - t) * angles(a) + t * angles(b))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (..., 3) to length 1."""
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(-1, keepdims=True)), 1e-9)


def palm_axes(points: np.ndarray, side: str = "right") -> np.ndarray:
    """Compute unit vectors (2, 3): across the palm, to the index finger, and out of the palm.

    Args:
        points: (21, 3), the joints of a hand in any orientation.
        side: "right" or "left".
    """
    across = points[5] - points[17]
    out = np.cross(across, points[9] - points[0]) * (1.0 if side == "right" else -1.0)
    return unit(np.stack([across, out]))


def inner_sides(points: np.ndarray, side: str = "right") -> np.ndarray:
    """Compute unit vectors (5, 3, 3) out of the palmar side of three bones of each finger.

    A finger bends about an axis across the palm, the thumb about one that brings it to the far
    knuckle. Nails are on the opposite side.

    Args:
        points: (21, 3), the joints of a hand in any orientation.
        side: "right" or "left".
    """
    bones = np.diff(points[1:].reshape(5, 4, 3), axis=1)
    axes = np.repeat(palm_axes(points, side)[:1], 5, 0) * (-1.0 if side == "right" else 1.0)
    axes[0] = np.cross(points[17] - points[2], points[3] - points[2])
    return unit(np.cross(bones, axes[:, None]))


def palm_lines(points: np.ndarray) -> np.ndarray:
    """Compute the palm's three main lines, (3, 12, 3), from joints (21, 3)."""
    u = np.linspace(0.0, 1.0, 12)[:, None]
    weights = np.hstack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3])
    return weights @ _PALM_LINES @ (points[[5, 17, 2]] - points[0]) + points[0]


def view_rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Compute a rotation (3, 3), to be applied as `joints @ rotation.T`.

    Roll is applied first, then pitch, then yaw.

    Args:
        yaw: Turn about the vertical axis, radians.
        pitch: Tilt of the fingers towards the camera, radians.
        roll: Tilt of the fingers to the picture's right, radians.
    """
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


_SHUT = (0.0, 1.40, 1.65, 0.60)
_SHUT_PINKY = (-0.08, 1.40, 1.60, 0.60)
_THUMB_OVER = (0.55, 0.80, -0.10, 0.55, 0.85)  # over closed fingers


def _up(spread: float = 0.0) -> tuple[float, float, float, float]:
    """Return the angles of a straight finger."""
    return (spread, 0.03, 0.06, 0.04)


GESTURES: dict[str, HandPose] = {
    "Open hand": HandPose((0.85, 0.20, 0.1, -0.05, 0.0), _up(0.16), _up(), _up(0.14), _up(0.30)),
    "Fist": HandPose(_THUMB_OVER, _SHUT, _SHUT, _SHUT, _SHUT_PINKY),
    "Point": HandPose(_THUMB_OVER, _up(), _SHUT, _SHUT, _SHUT_PINKY),
    "Victory": HandPose(_THUMB_OVER, _up(0.20), _up(-0.20), _SHUT, _SHUT_PINKY),
    "Three": HandPose(
        (0.50, 0.80, -0.1, 0.60, 0.95), _up(0.18), _up(), _up(0.18), (0.0, 1.35, 1.6, 0.8)
    ),
    "Four": HandPose((0.40, 0.65, -0.2, 0.75, 0.90), _up(0.14), _up(), _up(0.12), _up(0.22)),
    "Thumb up": HandPose((0.64, 0.25, 0.1, -0.12, -0.18), _SHUT, _SHUT, _SHUT, _SHUT_PINKY),
    "L": HandPose((1.10, 0.10, 0.1, -0.10, -0.1), _up(0.05), _SHUT, _SHUT, _SHUT_PINKY),
    "Rock": HandPose(_THUMB_OVER, _up(0.10), _SHUT, _SHUT, _up(0.20)),
    "Call me": HandPose((1.05, 0.15, 0.1, -0.10, -0.1), _SHUT, _SHUT, _SHUT, _up(0.30)),
    "OK": HandPose(
        (0.55, 0.75, 0.3, 0.25, 0.55), (0.0, 0.95, 1.0, 0.55), _up(-0.05), _up(0.12), _up(0.28)
    ),
    "Pinch": HandPose(
        (0.55, 0.80, 0.3, 0.25, 0.45), (0.0, 0.95, 0.95, 0.5), _SHUT, _SHUT, _SHUT_PINKY
    ),
    "Claw": HandPose(
        (0.80, 0.50, 0.3, 0.35, 0.6),
        (0.16, 0.25, 1.15, 0.8),
        (0.0, 0.25, 1.15, 0.8),
        (0.12, 0.25, 1.15, 0.8),
        (0.28, 0.25, 1.10, 0.8),
    ),
    "Bent hand": HandPose(
        (0.25, 0.45, 0.2, 0.15, 0.1),
        (0.0, 1.35, 0.1, 0.05),
        (0.0, 1.35, 0.1, 0.05),
        (0.0, 1.35, 0.1, 0.05),
        (0.0, 1.35, 0.1, 0.05),
    ),
    "Three with thumb": HandPose(
        (1.05, 0.15, 0.1, -0.1, -0.1), _up(0.15), _up(-0.12), _SHUT, _SHUT_PINKY
    ),
}
