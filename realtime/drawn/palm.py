"""Height maps of the drawn hand: round limbs with soft transitions, and the palm and the arm.

Heights, and the z of points, are pixels towards the camera.
"""

from __future__ import annotations

import cv2
import numpy as np

EMPTY = -1e4  # height where there is no hand


def raise_limb(height, a, b, radius_a, radius_b, blend, bulge=0.0) -> None:
    """Merge a tapered round limb into a height map, in place.

    Args:
        height: float32 (H, W), px.
        a: (3,) px, one end of the limb's axis, with z as height.
        b: (3,) px, the other end.
        radius_a: Radius at `a`, px.
        radius_b: Radius at `b`, px.
        blend: Width of the soft transition, px; less towards the rim, so that it stays invisible.
        bulge: Extra radius half-way, px.
    """
    radius_a, radius_b, blend, bulge = map(float, (radius_a, radius_b, blend, bulge))
    reach = max(radius_a, radius_b) + bulge
    x0, y0 = (int(max(min(a[i], b[i]) - reach, 0)) for i in (0, 1))
    x1, y1 = (int(min(max(a[i], b[i]) + reach + 2, height.shape[1 - i])) for i in (0, 1))
    if x0 >= x1 or y0 >= y1:
        return
    x = np.arange(x0, x1, dtype=np.float32) - np.float32(a[0])
    y = (np.arange(y0, y1, dtype=np.float32) - np.float32(a[1]))[:, None]
    axis = b - a
    flat = max(float(np.hypot(axis[0], axis[1])), 1e-2)  # length in the picture
    ux, uy = np.float32(axis[0] / flat), np.float32(axis[1] / flat)
    along = x * ux + y * uy
    off = x * uy - y * ux
    off *= off
    # The sphere of the limb that is nearest to the camera at each pixel (exact for a cylinder).
    middle = 0.5 * (radius_a + radius_b) + bulge
    where = np.sqrt(np.maximum(np.float32(middle**2) - off, 0.0))
    where *= np.float32(axis[2] / np.hypot(flat, axis[2]))
    where += along
    where *= np.float32(1 / flat)
    where = np.minimum(np.maximum(where, 0.0), 1.0)
    radius = where * np.float32(radius_b - radius_a) + np.float32(radius_a)
    if bulge:
        radius += np.float32(4 * bulge) * where * (1 - where)
    along -= where * np.float32(flat)
    radius *= radius
    radius -= along * along
    radius -= off
    front = np.sqrt(np.maximum(radius, 0.0))
    front += where * np.float32(axis[2]) + np.float32(a[2])
    front[radius <= 0] = EMPTY
    part = height[y0:y1, x0:x1]
    near = np.maximum(np.float32(blend) - np.abs(part - front), 0.0)
    near *= near
    near *= np.minimum(np.maximum(radius, 0.0) * (0.6 / blend / middle**2), 0.25 / blend)
    np.add(np.maximum(part, front), near, out=part)


def palm_and_arm(view, shape, px, radii, across, palm, down, forearm) -> np.ndarray:
    """Draw the height map of the forearm, the palm and the skin between the fingers.

    Args:
        view: (21, 3) px, the joints, with z as height.
        shape: Height and width of the map, px.
        px: Pixels per metre of the standard hand.
        radii: (5, 4) px, of the fingers' joints.
        across: Unit vector (3,) across the palm, to the index finger.
        palm: Unit vector (3,) out of the palm.
        down: Unit vector (3,) to the elbow.
        forearm: Metres of arm behind the wrist.

    Returns:
        float32 (H, W), px.
    """
    height = np.full(shape, EMPTY, np.float32)
    knuckles, soft = view[[5, 9, 13, 17]], 0.009 * px
    for shift in (across * -0.0085 * px, across * 0.0085 * px):
        top = view[0] + shift * 0.9 - (palm * 0.004 + down * 0.014) * px
        bottom = view[0] + down * forearm * px + shift * 1.7
        thick = 0.028 + 0.055 * (forearm - 0.2)
        raise_limb(height, top, bottom, 0.0170 * px, thick * px, 0.022 * px)
    heel = view[0] + np.outer((0.0135, 0.005, -0.004, -0.0125), across) * px
    for i in range(4):
        raise_limb(height, heel[i], knuckles[i], 0.0122 * px, radii[i + 1, 0] * 1.06, soft)
    for i in range(3):
        base = 0.5 * (knuckles[i] + knuckles[i + 1])
        web = 0.75 * base + 0.125 * (view[6 + 4 * i] + view[10 + 4 * i])
        raise_limb(height, 0.5 * (heel[i] + heel[i + 1]), base, 0.0125 * px, 0.0105 * px, soft)
        raise_limb(height, base, web, 0.0100 * px, 0.0064 * px, soft)
    # Pad below the fingers; skin between thumb and index finger, thinner towards its rim.
    pads = knuckles + (0.10 * (view[0] - knuckles) + palm * 0.0035 * px)
    raise_limb(height, pads[0], pads[3], 0.0098 * px, 0.0085 * px, soft)
    for t, s, r in ((0.45, 0.60, 0.0100), (0.72, 0.80, 0.0080), (0.95, 0.93, 0.0058)):
        a = view[1] + t * (view[2] - view[1])
        raise_limb(height, a, view[0] + s * (view[5] - view[0]), r * px, r * px, 1.5 * soft)
    # Ball of the thumb and the opposite edge of the hand.
    ball = 0.58 * view[2] + 0.42 * view[1]
    raise_limb(height, heel[0], ball, 0.0130 * px, 0.0135 * px, 1.7 * soft, 0.003 * px)
    raise_limb(height, view[1], view[2], 0.0135 * px, radii[0, 1] * 1.06, 1.7 * soft)
    side = 0.70 * view[17] + 0.30 * view[0] + (palm * 0.002 - across * 0.0005) * px
    raise_limb(height, heel[3], side, 0.0125 * px, 0.0095 * px, 1.5 * soft, 0.0025 * px)
    # Smooth the inside as one skin, and keep the round rims.
    solid = (height > EMPTY / 2).astype(np.float32)
    window = (int(0.015 * px) | 1,) * 2
    weight = cv2.blur(solid, window)
    mean = cv2.blur(height * solid, window) / np.maximum(weight, 1e-3)
    return height + (mean - height) * np.maximum(2 * weight - 1, 0.0) * solid
