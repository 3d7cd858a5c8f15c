"""What the parts of a frame cost that are no network: crop, preprocessing, matching, drawing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from calibration.threshold import Calibration
from engines.encoder import Encoder
from engines.hand_networks import HAND
from engines.spec import to_floats
from realtime.hands.geometry import cut
from realtime.hands.search import sample_square
from realtime.live.state import State
from realtime.measuring.scenes import two_hands
from realtime.recognition.match import Matcher
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.types import Frame
from realtime.views.overlay import count_thumbnails, draw, make_strip

GESTURES, REFERENCES, VIEWS = 100, 5, 5  # a large gallery: 100 gestures × 5 references × 5 views
MOST_MS = 1.0  # of processor time that each part may take on a frame
THUMBNAIL = np.full((68, 68, 3), 120, np.uint8)
FRAMES = 8  # until both hands are tracked


def open_parts(settings: Settings) -> dict[str, Callable[[], object]]:
    """The parts by name, each of a frame of 640 × 480 with two hands, ready to be called.

    Raises UserError where the encoder or its networks can't be opened.
    """
    with Recognizer(settings) as recognizer:
        for index in range(FRAMES):
            result = recognizer.step(Frame(two_hands(index), index, index / 30))
        matcher = _large_matcher(recognizer.encoder, recognizer.calibration)
    hands, image = result.hands, result.frame.image
    squares = [hand.square for hand in hands]
    crops = np.stack([cut(image, square, HAND.size, mirror=False) for square in squares])
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(len(hands), recognizer.encoder.spec.dim)).astype(np.float32)
    labels = [f"Gesture {i:03}" for i in range(GESTURES)]
    sides = [hand.side for hand in hands]
    matches = tuple(matcher.match(queries, sides))
    result = dataclasses.replace(result, matches=matches, gestures=tuple(labels[: len(hands)]))
    fit = count_thumbnails(image.shape[1])
    strip = make_strip([(label, THUMBNAIL) for label in labels[:fit]], image.shape[1], 100 - fit)
    state = State("gestures", tuple((label, label) for label in labels), far=0.01, fps=29.9)
    return {
        "compare with the last pass": lambda: [sample_square(image, s) for s in squares],
        "crop": lambda: [cut(image, s, HAND.size, mirror=False) for s in squares],
        "preprocess": lambda: to_floats(crops),
        "match": lambda: matcher.match(queries, sides),
        "draw": lambda: draw(result, state, strip),
    }


def time_parts(parts: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Call the parts in turn, so that all meet the same load.

    Returns:
        Milliseconds of this thread's processor time, (rounds,) each.
    """
    took: dict[str, list[float]] = {name: [] for name in parts}
    for done in range(rounds + 1):
        for name, part in parts.items():
            began_s = time.thread_time()
            part()
            if done:  # the first time, some of them fill caches
                took[name].append(1000 * (time.thread_time() - began_s))
    return {name: np.array(times) for name, times in took.items()}


def _large_matcher(encoder: Encoder, calibration: Calibration) -> Matcher:
    """Each view is there as either hand."""
    rows = GESTURES * REFERENCES * VIEWS * 2
    vectors = np.random.default_rng(0).normal(size=(rows, encoder.spec.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = tuple(f"Gesture {i * GESTURES // rows:03}" for i in range(rows))
    sides = tuple(("left", "right")[i % 2] for i in range(rows))
    return Matcher(encoder.spec, labels, vectors, calibration, sides)
