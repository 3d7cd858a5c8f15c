"""Palms in a picture: the palm network's anchors, its boxes, and which of them are one palm.

The pipeline is described in Bazarevsky and Zhang et al., "MediaPipe Hands: On-device Real-time Hand
Tracking" (2020); the numbers are those of MediaPipe's published graphs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from engines.hand_networks import PALM
from realtime.hands.geometry import thin
from realtime.types import Square

GRIDS = ((24, 2), (12, 6))  # cells along each side of a map, anchors in each cell
JOINTS = 7  # the wrist is the first, the middle finger's knuckle the third
WRIST, MIDDLE = 0, 2
SAME_PALM = 0.3  # overlap of boxes from which on they show one palm
SCALE = 2.6  # width of a hand's square over the longer side of its palm's box
SHIFT_UP = 0.5  # of the box's height: the fingers are above the palm
# MediaPipe's graph says 90 where radians are read, so that its first look at a hand is turned by
# 0.465 rad. Both detectors see a new hand alike this way; from its second look on it is upright.
TILT = math.remainder(90 - math.pi / 2, 2 * math.pi)


@dataclass(frozen=True)
class Palm:
    """A palm in a picture.

    Attributes:
        box: float (4,) x0 y0 x1 y1, pixels.
        joints: float (7, 2), pixels.
        score: 0…1.
    """

    box: np.ndarray
    joints: np.ndarray
    score: float


def anchor_centres() -> np.ndarray:
    """The centres of the network's 2016 anchors, float32 (2016, 2) x y, in picture widths.

    Anchors have no size: boxes are measured in pixels from their centres.
    """
    rows = []
    for cells, anchors in GRIDS:
        places = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(places, places, indexing="ij")
        rows.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors, axis=0))
    return np.concatenate(rows)


ANCHORS = anchor_centres()


def letterbox(image: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Make the palm network's input of a picture.

    Args:
        image: uint8 (H, W, 3) BGR.

    Returns:
        float32 (1, 3, S, S), the picture in the middle and black around it; the picture's pixels
        in the width S; the pixel of the picture at the input's corner, float (2,).
    """
    height, width = image.shape[:2]
    side = float(max(height, width))
    corner = np.array([(width - side) / 2, (height - side) / 2])
    scale = PALM.size / side
    # MediaPipe maps corners to corners and then reads at whole numbers, half a pixel off the
    # pixels' centres. The networks are used to it.
    image, step = thin(image)
    matrix = np.array(
        [[step * scale, 0, -corner[0] * scale], [0, step * scale, -corner[1] * scale]]
    )
    small = cv2.warpAffine(image, matrix, (PALM.size, PALM.size), flags=cv2.INTER_LINEAR)
    return cv2.dnn.blobFromImage(small, 1 / 255, swapRB=True), side, corner


def decode(boxes: np.ndarray, scores: np.ndarray, confidence: float) -> list[Palm]:
    """Turn the network's outputs for one picture into palms in picture widths, surest first.

    Args:
        boxes: float32 (2016, 18), see `engines.hand_networks.PALM`.
        scores: float32 (2016,) logits.
        confidence: the least score, 0…1.
    """
    probabilities = 1 / (1 + np.exp(-np.clip(scores, -100, 100).astype(np.float64)))
    chosen = np.flatnonzero(probabilities >= confidence)
    chosen = chosen[np.argsort(-probabilities[chosen], kind="stable")]
    values = boxes[chosen].reshape(-1, 2 + JOINTS, 2) / PALM.size
    centres, sizes = values[:, 0] + ANCHORS[chosen], values[:, 1]
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    joints = values[:, 2:] + ANCHORS[chosen, None]
    return [
        Palm(box, points, float(score))
        for box, points, score in zip(corners, joints, probabilities[chosen], strict=True)
    ]


def suppress(palms: list[Palm]) -> list[Palm]:
    """Merge the boxes of each palm into one, weighted by their scores.

    Args:
        palms: surest first.

    Returns:
        One for each palm, surest first, with the score of its surest box.
    """
    result = []
    while palms:
        overlaps = [box_overlap(palms[0].box, palm.box) for palm in palms]
        group = [p for p, overlap in zip(palms, overlaps, strict=True) if overlap > SAME_PALM]
        group = group or palms[:1]  # a box without an area doesn't even overlap itself
        weights = np.array([palm.score for palm in group])
        weights /= weights.sum()
        result.append(
            Palm(
                np.tensordot(weights, np.stack([palm.box for palm in group]), 1),
                np.tensordot(weights, np.stack([palm.joints for palm in group]), 1),
                palms[0].score,
            )
        )
        taken = {id(palm) for palm in group}
        palms = [palm for palm in palms if id(palm) not in taken]
    return result


def box_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) x0 y0 x1 y1."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - common
    return common / union if union > 0 else 0.0


def in_picture(palm: Palm, side: float, corner: np.ndarray) -> Palm:
    """A palm in picture widths → in pixels, see `letterbox`."""
    return Palm(palm.box * side + np.tile(corner, 2), palm.joints * side + corner, palm.score)


def palm_square(palm: Palm) -> Square:
    """The square around the hand of a palm, by the line wrist → middle finger's knuckle."""
    dx, dy = palm.joints[MIDDLE] - palm.joints[WRIST]
    angle = math.atan2(dx, -dy) + TILT
    size = palm.box[2:] - palm.box[:2]
    x, y = (palm.box[2:] + palm.box[:2]) / 2
    up = SHIFT_UP * size[1]
    width = max(float(SCALE * size.max()), 1.0)
    return Square(float(x + up * math.sin(angle)), float(y - up * math.cos(angle)), width, angle)
