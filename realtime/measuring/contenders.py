"""What `run.py bench` times: our whole loop with either detector, and MediaPipe bare."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from engines.errors import UserError, at_end
from realtime.hands.mediapipe_detector import open_bare, run_landmarker
from realtime.hands.model import hand_model
from realtime.live.opening import open_session
from realtime.live.session import Session
from realtime.settings import Settings
from realtime.types import Frame

# Our whole loop with either detector; MediaPipe's HandLandmarker alone, for so many hands.
OURS, WRAPPED, BARE_TWO, BARE_ONE = CONTENDERS = (
    "engine loop",
    "mediapipe loop",
    "bare 2",
    "bare 1",
)
# A frame → how many hands were found, and milliseconds by stage.
Step = Callable[[Frame], tuple[int, dict[str, float]]]


@contextmanager
def open_contenders(settings: Settings) -> Iterator[tuple[dict[str, Step], str | None]]:
    """Open all contenders that can run here, fresh, with the demo's ten gestures in the gallery.

    Args:
        settings: Encoder, engine and MediaPipe's model.

    Yields:
        The contenders by name, and a sentence on what is left out.

    Raises:
        UserError: Our own loop can't be opened.
    """
    settings = dataclasses.replace(settings, camera="demo", gallery=None)
    with ExitStack() as stack:

        def open_loop(detector: str, model: str | None) -> Step:
            wanted = dataclasses.replace(settings, detector=detector, hand_model=model)
            return _loop(stack.enter_context(open_session(wanted)))

        contenders = {OURS: open_loop("engine", None)}
        left_out = None
        try:
            contenders[WRAPPED] = open_loop("mediapipe", settings.hand_model)
            for name, hands in ((BARE_TWO, 2), (BARE_ONE, 1)):
                landmarker = open_bare(hand_model(settings.hand_model), hands)
                stack.enter_context(at_end(landmarker.close))
                contenders[name] = _bare(landmarker)
        except (ModuleNotFoundError, UserError) as error:
            left_out = f"Only our own engine is timed: {error}"
        if left_out:
            contenders = {OURS: contenders[OURS]}
        yield contenders, left_out


def _loop(session: Session) -> Step:
    """The whole loop as it runs live, without a view."""

    def step(frame: Frame) -> tuple[int, dict[str, float]]:
        result = session.step(frame)
        stages = {}
        for stage, took_ms in result.timings_ms.items():
            stages[stage] = took_ms
            if stage == "hands":
                inside = session.recognizer.detector.stages_ms
                stages |= {f"{stage}: {name}": value for name, value in inside.items()}
        return len(result.hands), stages

    return step


def _bare(landmarker: Any) -> Step:
    """MediaPipe alone, on pictures as OpenCV gives them."""
    last_ms = 0

    def step(frame: Frame) -> tuple[int, dict[str, float]]:
        nonlocal last_ms
        last_ms = max(last_ms + 1, round(frame.time_s * 1000))
        return len(run_landmarker(landmarker, frame.image, last_ms).handedness), {}

    return step
