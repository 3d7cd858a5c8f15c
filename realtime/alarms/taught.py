"""The gestures that are recorded for the drawn hours, and the drawn person who teaches them."""

from __future__ import annotations

import numpy as np

from realtime.drawn.film import draw_state
from realtime.drawn.motion import Key, state_of
from realtime.drawn.pose import GESTURES, HandPose
from realtime.drawn.sitter import random_sitter
from realtime.live.enrol import enrol_drawings
from realtime.recognition.recognizer import Recognizer

# Open hands, fists, claws and the like aren't among them: hands that wave, rest and grasp do hold
# these, and nobody could say which of them were meant.
RECORDED: dict[str, HandPose] = {
    label: GESTURES[label]
    for label in (
        "Victory",
        "Three",
        "Four",
        "Thumb up",
        "L",
        "Rock",
        "Call me",
        "OK",
        "Point",
        "Three with thumb",
    )
}
TEACHER = 10**9  # the number of a film that is never measured: its person teaches
# Yaw and pitch of the views, radians: straight, then turned a little, as people are asked to.
VIEWS = ((0.0, 0.0), (0.3, 0.0), (-0.3, 0.0), (0.0, 0.25), (0.0, -0.25))


def teach(recognizer: Recognizer, seed: int) -> None:
    """Record RECORDED into an empty gallery, each as one showing of `settings.keep` views.

    Args:
        recognizer: Its gallery is left alone where it has gestures.
        seed: Of the measurement; another one has another teacher.

    Raises:
        UserError: Where the detector finds no hand in the drawings of a gesture.
    """
    if not recognizer.gallery.labels():
        keep = recognizer.settings.keep
        drawings = {label: pictures(label, seed)[:keep] for label in RECORDED}
        enrol_drawings(recognizer, drawings, "Try another --seed or --detector.")


def pictures(label: str, seed: int) -> list[np.ndarray]:
    """The teacher shows one of RECORDED: one picture for each of VIEWS, uint8 (480, 640, 3) BGR."""
    teacher = random_sitter(np.random.default_rng((seed, TEACHER)))
    keys = [Key(0.0, RECORDED[label], (yaw, pitch, 0.0), (0.4, 0.78)) for yaw, pitch in VIEWS]
    return [draw_state(teacher, teacher.side, state_of(key), teacher.backdrop) for key in keys]
