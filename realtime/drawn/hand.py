"""Draw a hand from its joints, shaded realistically enough for hand detectors.

Tapered round limbs are merged into one height map (pixels towards the camera). Shading, contours
and folds all follow from that map, so crossing fingers need no special case. Joints are (21, 3)
metres, as in realtime/drawn/pose.py. Pictures are uint8 (height, width, 3) BGR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from realtime.drawn.palm import EMPTY, palm_and_arm, raise_limb
from realtime.drawn.pose import PALM_LENGTH, RADII, inner_sides, palm_axes, palm_lines, unit

SIZE = (640, 480)  # width, height
_DISTANCE = 0.55  # metres from the camera to the wrist; less strengthens the perspective


@dataclass(frozen=True)
class HandLook:
    """Look of a drawn hand and its surroundings. Colours are BGR, 0…255.

    Attributes:
        skin: Colour of the skin.
        cloth: Colour of the sleeve.
        wall: Colour of the background.
        scenery: Seed of the blurred shapes in the background.
        light: Direction to the lamp; z is towards the camera.
        creases: Strength of the lines in palm and fingers.
        thickness: Factor of the thickness of the fingers.
        sleeve: Metres from the wrist to the cuff.
    """

    skin: tuple[int, int, int] = (146, 174, 222)
    cloth: tuple[int, int, int] = (120, 84, 62)
    wall: tuple[int, int, int] = (178, 184, 186)
    scenery: int = 1
    light: tuple[float, float, float] = (-0.40, -0.60, 0.70)
    creases: float = 1.0
    thickness: float = 1.0
    sleeve: float = 0.055


def project(
    joints_m: np.ndarray,
    size: tuple[int, int] = SIZE,
    scale: float = 1600.0,
    centre: tuple[float, float] | None = None,
) -> np.ndarray:
    """Project joints into the picture.

    Args:
        joints_m: (N, 3), metres.
        size: Width and height of the picture, px.
        scale: Pixels per metre at the wrist's depth.
        centre: Pixel of the origin (the wrist); None: in the middle of the lower part.

    Returns:
        float32 (N, 2), px.
    """
    return _to_view(joints_m, size, scale, centre)[0][:, :2].astype(np.float32)


def _to_view(joints_m, size, scale, centre) -> tuple[np.ndarray, np.ndarray]:
    """Project to (N, 3) px, with z as height towards the camera, and (N,) pixels per metre."""
    points = np.asarray(joints_m, np.float64)
    zoom = scale * _DISTANCE / np.maximum(_DISTANCE + points[:, 2], 0.1)
    view = points * zoom[:, None] * (1, 1, -1)
    view[:, :2] += (size[0] / 2, size[1] * 0.76) if centre is None else centre
    return view, zoom


@lru_cache(maxsize=16)
def draw_wall(wall, scenery: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a wall with blurred shapes, uint8 (H, W, 3) BGR, and skin mottling, float32 (H, W)."""
    rng = np.random.default_rng(scenery)
    width, height = size[0] // 4, size[1] // 4
    small = np.ones((height, width, 3), np.float32) * wall
    for _ in range(5):
        corner, extent = rng.uniform(0, (width, height)), rng.uniform(16, 60, 2)
        colour = np.clip(np.array(wall) * rng.uniform(0.75, 1.1) + rng.normal(0, 6, 3), 0, 255)
        low, high = np.stack([corner - extent / 2, corner + extent / 2]).astype(int).tolist()
        cv2.rectangle(small, low, high, colour.tolist(), -1)
    small = cv2.GaussianBlur(small, (0, 0), 5)
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    small *= (1 - 0.07 * down - 0.05 * across**2)[..., None].astype(np.float32)
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, 1, large.shape).astype(np.float32)
    mottle = 0.035 * cv2.GaussianBlur(noise[..., 0], (0, 0), 1)
    mottle += 0.45 * cv2.GaussianBlur(noise[..., 1], (0, 0), 8)
    return (large + 1.2 * noise).clip(0, 255).astype(np.uint8), mottle


def _enlarge(half, shape) -> np.ndarray:
    """Double the resolution of a height map, cut it to shape (H, W) and smooth its outline."""
    solid = cv2.threshold(half, EMPTY / 2, 1.0, cv2.THRESH_BINARY)[1]
    parts = (cv2.GaussianBlur(part, (7, 7), 0) for part in (half * solid, solid))
    total, weight = (cv2.resize(p, None, fx=2, fy=2)[: shape[0], : shape[1]] for p in parts)
    return np.where(weight > 0.5, total * 2 / np.maximum(weight, 0.5), np.float32(EMPTY))


def draw_hand(
    joints_m: np.ndarray,
    look: HandLook = HandLook(),
    size: tuple[int, int] = SIZE,
    scale: float = 1600.0,
    centre: tuple[float, float] | None = None,
    side: str = "right",
    backdrop: np.ndarray | None = None,
    sink: tuple[float, float] = (0.0, 0.5),
    forearm: float = 0.2,
) -> np.ndarray:
    """Draw a hand.

    Args:
        joints_m: (21, 3), metres.
        look: The look.
        size: Width and height of the picture, px.
        scale: Pixels per metre at the wrist's depth.
        centre: Pixel of the wrist; None: in the middle of the lower part.
        side: "right" or "left"; distinguishes the palm from the back of the hand.
        backdrop: uint8 (size[1], size[0], 3) BGR to draw on instead of the look's wall and scenery.
        sink: Offset of the elbow, in the picture's x and y, from straight behind the hand.
        forearm: Metres of arm behind the wrist; a hand high in the picture needs more than 0.2.

    Returns:
        uint8 (size[1], size[0], 3) BGR.
    """
    view, zoom = _to_view(joints_m, size, scale, centre)
    grow = np.linalg.norm(joints_m[9] - joints_m[0]) / PALM_LENGTH
    px = float(zoom[0] * grow)
    radii = RADII * look.thickness * grow * zoom[1:].reshape(5, 4)
    across, palm = palm_axes(joints_m, side) * (1, 1, -1)
    inner = inner_sides(joints_m, side) * (1, 1, -1)
    down = unit(unit(view[0] - view[[5, 9, 13, 17]].mean(0)) + (*sink, 0))

    # Work only in the part of the picture that has the hand and the arm in it.
    wide = 0.05 + 0.055 * (forearm - 0.2)
    arm = np.array([[0, 0.03], [0, -0.03], [forearm, wide], [forearm, -wide]]) * px
    ends = np.concatenate([view, view[0] + arm @ np.stack([down, across])])[:, :2]
    x0, y0 = np.clip(ends.min(0) - 0.022 * px, 0, np.array(size) - 16).astype(int)
    x1, y1 = np.clip(ends.max(0) + 0.022 * px, (x0 + 16, y0 + 16), size).astype(int)
    view[:, :2] -= (x0, y0)
    shape = (y1 - y0, x1 - x0)
    # Palm and arm are smooth, so half the resolution is enough.
    half, half_shape = (view - (0.5, 0.5, 0)) / 2, ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    half = palm_and_arm(half, half_shape, px / 2, radii / 2, across, palm, down, forearm)
    palm_only = _enlarge(half, shape)
    height = palm_only.copy()
    # The sleeve is a thicker arm, cut straight at the cuff.
    cuff = view[0] + down * look.sleeve * px
    below = slice(int(np.clip(cuff[1] - 0.04 * px, 0, shape[0] - 1)), None)
    thick = np.ones((int(0.012 * px) | 1,) * 2, np.uint8)
    sleeve = np.full_like(palm_only, EMPTY)
    sleeve[below] = cv2.dilate(palm_only[below], thick) + len(thick) / 3
    left, above = cuff[0] - np.arange(shape[1]), cuff[1] - np.arange(shape[0])
    sleeve[-left * down[0] < above[:, None] * down[1]] = EMPTY
    for f, chain in enumerate(view[1:].reshape(5, 4, 3).copy()):
        chain[3] -= unit(chain[3] - chain[2]) * radii[f, 3] * 0.75
        for b in range(f == 0, 3):
            r, blend = radii[f, b], (0.003 if b else 0.006) * px
            raise_limb(height, chain[b], chain[b + 1], r, radii[f, b + 1], blend, 0.05 * r)

    details = _details(view, palm_only, height, radii, inner, palm, px)
    scene, mottle = draw_wall(look.wall, look.scenery, size)
    backdrop = scene if backdrop is None else backdrop
    at, picture = np.s_[y0:y1, x0:x1], backdrop.copy()
    patch, mask = _shade(height, sleeve, *details, look, px, mottle[at])
    alpha = cv2.GaussianBlur(mask, (5, 5), 1.0)
    picture[at] = cv2.blendLinear(patch, backdrop[at], alpha, 1 - alpha)
    return picture


def _details(view, palm_only, height, radii, inner, palm, px) -> tuple[np.ndarray, np.ndarray]:
    """Draw masks, uint8 (H, W) each: lines of the palm and the finger joints, and nails."""
    lines, nails = np.zeros((2, *height.shape), np.uint8)

    def to_fixed_point(points) -> list[np.ndarray]:
        return [np.round(points[:, :2] * 16).astype(np.int32)]

    def is_visible(point) -> bool:
        x, y = int(point[0] + 0.5), int(point[1] + 0.5)
        inside = 0 <= y < height.shape[0] and 0 <= x < height.shape[1]
        return inside and height[y, x] - point[2] < 0.006 * px

    if palm[2] > 0.2:
        for curve in palm_lines(view):
            cv2.polylines(lines, to_fixed_point(curve), False, 90, 2, cv2.LINE_AA, 4)
        lines[height - palm_only > 0.002 * px] = 0
    arc, ring = np.linspace(-0.9, 0.9, 7)[:, None], np.linspace(0, 2 * np.pi, 16)[:, None]
    bones = unit(np.diff(view[1:].reshape(5, 4, 3), axis=1))
    rights = np.cross(bones, inner)
    for f, chain in enumerate(view[1:].reshape(5, 4, 3)):
        for j in (1, 2):  # folds inside, wrinkles on the back
            normal = unit(inner[f, j - 1] + inner[f, j])
            sign = 1 if normal[2] > 0 else -1
            if abs(normal[2]) > 0.15 and is_visible(chain[j] + sign * normal * radii[f, j]):
                curve = np.cos(arc) * normal * sign + np.sin(arc) * rights[f, j - 1]
                tone = int((90 if sign > 0 else 50) * min(1.0, abs(normal[2]) * 1.5))
                curve = chain[j] + curve * radii[f, j] * 0.95
                cv2.polylines(lines, to_fixed_point(curve), False, tone, 2, cv2.LINE_AA, 4)
        bone, back, r = bones[f, 2], -inner[f, 2], radii[f, 3]
        if back[2] > 0.1 and is_visible(chain[3] - bone * r * 0.8 + back * r):
            oval = np.cos(ring) * bone * 1.05 + np.sin(ring) * rights[f, 2] * 0.72
            oval = chain[3] + (back - bone) * r * 0.75 + oval * r
            cv2.fillPoly(nails, to_fixed_point(oval), 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(lines, (5, 5), 0), cv2.GaussianBlur(nails, (3, 3), 0)


def _shade(height, sleeve, lines, nails, look, px, mottle) -> tuple[np.ndarray, np.ndarray]:
    """Shade the height map: colours, uint8 (H, W, 3) BGR, and coverage, float32 (H, W) 0…1."""
    whole = cv2.max(height, sleeve)
    mask = (whole > EMPTY / 2).astype(np.float32)
    # Extend the rim outwards; otherwise outlines would be as dark as a drop to the background.
    rim = cv2.dilate(whole, np.ones((7, 7), np.uint8)) - 3.0
    rim = np.maximum(rim, whole[mask > 0].min(initial=0.0) - np.float32(3.0))
    smooth = cv2.GaussianBlur(np.where(mask > 0, whole, rim), (0, 0), max(0.0011 * px, 0.6))
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    light = [float(c) for c in unit(np.array(look.light))]
    steep = cv2.sqrt(cv2.accumulateSquare(gy, gx * gx) + 1)
    tone = cv2.addWeighted(gx, -0.40 * light[0], gy, -0.40 * light[1], 0.40 * light[2] + 0.20)
    tone = tone / steep + 0.54
    # Folds and gaps lie lower than their surroundings; half the resolution is enough.
    low = cv2.resize(smooth, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    solid = cv2.resize(mask, low.shape[::-1], interpolation=cv2.INTER_AREA)
    window = (int(0.008 * px) | 1,) * 2
    mean = cv2.blur(low * solid, window) / np.maximum(cv2.blur(solid, window), 1e-3)
    hollow = ((mean - low) * (0.40 / (0.016 * px))).clip(0.0, 0.40)
    tone += mottle - cv2.resize(hollow, tone.shape[::-1])
    tone -= lines * np.float32(0.35 * look.creases / 255)
    grey = cv2.merge([cv2.convertScaleAbs(np.maximum(tone, 0.0), alpha=200)] * 3)
    # Light scattered in the skin is red and brightens the shadows.
    level = np.linspace(0, 255 / 200, 256)[:, None]
    skin = np.array(look.skin) * (0.20 + 0.80 * level) ** np.array([1.25, 1.15, 0.85])
    picture = cv2.LUT(grey, skin.clip(0, 255).astype(np.uint8)[None])
    for part, table in (
        (nails, skin * 1.05 + (14, 10, 12)),
        (cv2.blur((sleeve > height).astype(np.uint8) * 255, (3, 3)), np.array(look.cloth) * level),
    ):
        x, y, w, h = cv2.boundingRect(part)
        if w:
            at = np.s_[y : y + h, x : x + w]
            painted = cv2.LUT(grey[at], table.clip(0, 255).astype(np.uint8)[None])
            amount = part[at] * np.float32(1 / 255)
            picture[at] = cv2.blendLinear(painted, picture[at], amount, 1 - amount)
    return picture, mask
