"""The gestures that are recorded for the drawn hours, and the drawn person who teaches them."""

from __future__ import annotations

import numpy as np

from engines.errors import UserError
from realtime.drawn.film import draw_state
from realtime.drawn.motion import Key, state_of
from realtime.drawn.pose import GESTURES, HandPose
from realtime.drawn.sitter import random_sitter
from realtime.gallery.reference import make_reference
from realtime.hands.detector import detect_picture
from realtime.live.burst import Shot
from realtime.live.enrol import add_twins
from realtime.recognition.recognizer import Recognizer
from realtime.types import Frame

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
    if recognizer.gallery.labels():
        return
    with recognizer.open_detector(video=False) as detector:
        for label in RECORDED:
            shots = []
            for picture in pictures(label, seed)[: recognizer.settings.keep]:
                detection = detect_picture(detector, picture)
                if detection is not None:
                    shots.append(Shot(Frame(picture, 0, 0.0), recognizer.cut(picture, detection)))
            if not shots:
                raise UserError(
                    f"No hand is found in the drawings of {label!r}. Try another --seed or "
                    "--detector."
                )
            recognizer.gallery.add(add_twins(make_reference(shots, label), detector))
    recognizer.refresh()


def pictures(label: str, seed: int) -> list[np.ndarray]:
    """The teacher shows one of RECORDED: one picture for each of VIEWS, uint8 (480, 640, 3) BGR."""
    teacher = random_sitter(np.random.default_rng((seed, TEACHER)))
    keys = [Key(0.0, RECORDED[label], (yaw, pitch, 0.0), (0.4, 0.78)) for yaw, pitch in VIEWS]
    return [draw_state(teacher, teacher.side, state_of(key), teacher.backdrop) for key in keys]
