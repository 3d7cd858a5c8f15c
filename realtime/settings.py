"""What a run of the live loop can be told, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass

from engines.errors import UserError

MOST_KEPT = 5  # of a recording
GALLERY = "gestures"  # the folder, in the current one
CALIBRATED_FAR = 0.01  # the false-accept rate that a threshold is fitted at


@dataclass(frozen=True)
class Settings:
    """What the command line can say, with the same names and defaults."""

    camera: str = "0"
    size: tuple[int, int] | None = None
    fps: float | None = None
    mirrored: bool = False
    realtime: bool = False
    gallery: str | None = None  # None: GALLERY, or a temporary one for the demo
    encoder: str = "default"
    engine: str = "auto"
    detector: str = "engine"  # or "mediapipe"
    hand_model: str | None = None  # of MediaPipe's detector; None: the cached one
    hands: int = 2
    every_frame: bool = False  # the engine's networks see frames that haven't changed, too
    mirror_hands: bool = True
    far: float | None = None  # None: what the encoder was calibrated at
    keep: int = MOST_KEPT  # views of a recording at most; 1 is recorded in half a second

    def __post_init__(self) -> None:
        if not 1 <= self.keep <= MOST_KEPT:
            raise UserError(f"A recording keeps 1 to {MOST_KEPT} views; got --keep {self.keep}.")
