"""Random looks of drawn hands: skin, sleeve and light. Colours are BGR, 0…255."""

from __future__ import annotations

import numpy as np

from realtime.drawn.hand import HandLook

# The Monk Skin Tone scale, from light to dark.
SKIN_TONES = np.array(
    [
        (228, 237, 246),
        (219, 231, 243),
        (208, 234, 247),
        (186, 218, 234),
        (150, 189, 215),
        (86, 126, 160),
        (67, 92, 130),
        (52, 65, 96),
        (42, 49, 58),
        (32, 36, 41),
    ],
    float,
)
PALM_TONE = np.array((142, 168, 205), float)  # palms of dark hands are lighter than their backs


def random_look(rng: np.random.Generator, palm_seen: bool) -> HandLook:
    """Draw the skin, the sleeve and the light of a hand.

    Args:
        rng: Source of randomness.
        palm_seen: Whether the palm faces the camera, not the back of the hand.
    """
    skin = random_skin(rng)
    if palm_seen:
        skin += 0.45 * np.maximum(PALM_TONE - skin, 0.0)
    skin *= rng.normal(1.0, 0.04, 3)
    bare = rng.random() < 0.35
    return HandLook(
        skin=_to_colour(skin),
        cloth=_to_colour(rng.uniform(15, 240) * rng.normal(1.0, 0.2, 3)),
        scenery=int(rng.integers(4)),  # only mottles the skin: a backdrop replaces the scenery
        light=(rng.normal(0.0, 0.45), rng.normal(-0.4, 0.4), rng.uniform(0.4, 1.0)),
        creases=rng.uniform(0.3, 1.5),
        thickness=float(np.clip(rng.normal(1.0, 0.08), 0.82, 1.2)),
        sleeve=0.25 if bare else rng.uniform(0.0, 0.11),
    )


def random_skin(rng: np.random.Generator) -> np.ndarray:
    """Draw a skin tone, BGR (3,): between two neighbours of SKIN_TONES, warmer and darker."""
    place = rng.uniform(0.5, len(SKIN_TONES) - 1)
    first = min(int(place), len(SKIN_TONES) - 2)
    tone = SKIN_TONES[first] + (place - first) * (SKIN_TONES[first + 1] - SKIN_TONES[first])
    return 0.9 * tone * (1.0 - rng.uniform(0.0, 0.22) * np.array((1.0, 0.55, 0.1)))


def _to_colour(values: np.ndarray) -> tuple[int, int, int]:
    blue, green, red = values.clip(0, 255).astype(int).tolist()
    return blue, green, red
