"""Backgrounds of drawn hands, and the effects of a webcam. Colours are BGR, 0…255."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from realtime.drawn.random_look import random_skin

SCENES, SCENE_SIZE = 96, 480


def random_backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    """Cut a background out of a scene and change its light and tint.

    Args:
        rng: Source of randomness.
        size: Width of the result, px; less than SCENE_SIZE.

    Returns:
        uint8 (size, size, 3) BGR.
    """
    scene = scenes()[rng.integers(SCENES)]
    x, y = rng.integers(0, SCENE_SIZE - size, 2)
    part = scene[y : y + size, x : x + size]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    gain, shift = rng.uniform(0.6, 1.2) * rng.normal(1.0, 0.05, 3), rng.uniform(-25, 25)
    levels = np.arange(256)[:, None] * gain + shift
    return cv2.LUT(part, levels.clip(0, 255).astype(np.uint8)[None])


@lru_cache(maxsize=1)
def scenes() -> list[np.ndarray]:
    """Draw the backgrounds: walls, and rooms full of blurred shapes; the same every time.

    Returns:
        SCENES pictures, uint8 (SCENE_SIZE, SCENE_SIZE, 3) BGR.
    """
    rng = np.random.default_rng(7)
    return [_draw_scene(rng, shapes) for shapes in rng.choice((0, 6, 20, 60), SCENES)]


def _draw_scene(rng: np.random.Generator, shapes: int) -> np.ndarray:
    wall = rng.uniform(20, 240) * rng.normal(1.0, 0.12, 3)
    picture: np.ndarray = np.ones((SCENE_SIZE, SCENE_SIZE, 3), np.float32) * wall.astype(np.float32)
    for _ in range(shapes):
        random = rng.random() < 0.5
        colour = rng.uniform(0, 255, 3) if random else wall * rng.uniform(0.4, 1.5)
        if rng.random() < 0.15:
            colour = random_skin(rng)  # faces and other people
        colour = colour.clip(0, 255).tolist()
        at = rng.integers(0, SCENE_SIZE, 2)
        extent = np.exp(rng.uniform(np.log(8), np.log(160), 2)).astype(int)
        kind = rng.integers(4)
        if kind == 0:
            cv2.rectangle(picture, at.tolist(), (at + extent).tolist(), colour, -1)
        elif kind == 1:
            cv2.ellipse(
                picture, at.tolist(), extent.tolist(), rng.uniform(0, 180), 0, 360, colour, -1
            )
        elif kind == 2:
            corners = at + rng.normal(0.0, 1.0, (4, 2)) * extent
            cv2.fillPoly(picture, [corners.astype(int)], colour)
        else:  # books, blinds, a keyboard
            step = int(rng.integers(6, 30))
            for i in range(int(rng.integers(3, 9))):
                start = at + (i * step, 0)
                cv2.rectangle(
                    picture, start.tolist(), (start + (step // 2, extent[1])).tolist(), colour, -1
                )
    picture = cv2.GaussianBlur(picture, (0, 0), float(np.exp(rng.uniform(np.log(0.5), np.log(8)))))
    grain = rng.normal(0.0, 1.0, (SCENE_SIZE // 4, SCENE_SIZE // 4, 1)).astype(np.float32)
    for scale, strength in ((8, 60.0), (2, 12.0)):  # uneven light, cloth and plaster
        cloud = cv2.GaussianBlur(grain, (0, 0), scale) * scale * strength * rng.uniform(0, 1)
        picture = picture + cv2.resize(cloud, (SCENE_SIZE, SCENE_SIZE))[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def photograph(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Degrade a drawing, uint8 (H, W, 3), as a webcam does: exposure, tint, blur, noise, JPEG."""
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.15:
        picture = _blur_motion(rng, picture)
    gain = np.exp(rng.normal(-0.05, 0.16)) * rng.normal(1.0, 0.05, 3)
    level = np.linspace(0.0, 1.0, 256)[:, None] ** np.exp(rng.normal(0.0, 0.2))
    level = (level - 0.5) * rng.uniform(0.75, 1.2) + 0.5
    table = 255 * level * gain + rng.normal(0.0, 8.0)
    picture = cv2.LUT(picture, table.clip(0, 255).astype(np.uint8)[None])
    if rng.random() < 0.6:
        height, width = picture.shape[:2]
        x, y = rng.integers(0, (SCENE_SIZE - width, SCENE_SIZE - height))
        noise = _sensor_noise(int(rng.integers(1, 10)))[y : y + height, x : x + width]
        picture = cv2.add(picture, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
        assert decoded is not None
        picture = decoded
    return picture


@lru_cache(maxsize=9)
def _sensor_noise(deviation: int) -> np.ndarray:
    """Draw noise of this standard deviation: int16 (SCENE_SIZE, SCENE_SIZE, 3)."""
    noise = np.random.default_rng(deviation).normal(0.0, deviation, (SCENE_SIZE, SCENE_SIZE, 3))
    return noise.round().astype(np.int16)


def _blur_motion(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Blur by a movement of a few pixels in a random direction."""
    kernel, turn = np.zeros((9, 9), np.float32), rng.uniform(0, np.pi)
    reach = rng.uniform(1.0, 4.0) * np.array((np.cos(turn), np.sin(turn)))
    start, end = (np.array([4 - reach, 4 + reach]) * 16).astype(int).tolist()
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
    return cv2.filter2D(picture, -1, kernel / max(float(kernel.sum()), 1e-3))
