"""MediaPipe → hands with upright crops. The only file that imports mediapipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from engines.errors import UserError, short_reason
from engines.files import explain_errors
from engines.quiet import silence_native_stderr
from realtime.drawn.hand import draw_hand
from realtime.drawn.pose import HandPose, joints
from realtime.hands.geometry import (
    bounding_box,
    canonical_world,
    crop_landmarks,
    cut,
    upright_square,
)
from realtime.hands.tracks import Tracker
from realtime.types import Detection, Frame, Hand

STILL_LOOKS = 3  # see HandDetector.detections
STEP_MS = 33  # between looks; VIDEO timestamps must strictly increase
BORDERS = (0.0, 0.25, 0.5)  # of the longer side; a tight picture hides its hand from the detector
BLANK = np.zeros((64, 64, 3), np.uint8)


class Detector(Protocol):
    """What finds hands. Use it as a context manager, or call close()."""

    def detect(self, frame: Frame) -> list[Hand]:
        """Hands in one frame, the larger first."""
        ...

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        """Hands in uint8 (H, W, 3) BGR, untracked and uncut."""
        ...

    def close(self) -> None:
        """Free the networks."""
        ...

    def __enter__(self) -> Detector: ...

    def __exit__(self, *_: object) -> None: ...


class HandDetector:
    """HandLandmarker on BGR pictures.

    video: frames follow one another (hands are tracked); otherwise each picture stands alone.
    crop_size: S of Hand.crop; mirror_hands: left hands are cut as right ones.
    Use as a context manager, or call close().
    """

    def __init__(
        self,
        model: Path,
        *,
        video: bool,
        max_hands: int = 2,
        crop_size: int = 224,
        mirror_hands: bool = True,
        confidence: float = 0.5,
    ) -> None:
        self._video = video
        self._crop_size = crop_size
        self._mirror_hands = mirror_hands
        self._tracker = Tracker()
        self._last_ms = -1
        self._tracking = False
        with silence_native_stderr():  # MediaPipe's C++ notes of its first start and first hand
            self._landmarker = _open_landmarker(model, max_hands, confidence)
            self._look(draw_hand(joints(HandPose())), STEP_MS)
            self._look(BLANK, 2 * STEP_MS)

    def detect(self, frame: Frame) -> list[Hand]:
        """Hands in one frame, the larger first."""
        detections = self.detections(frame.image, frame.time_s)
        tracker = self._tracker if self._video else None
        return cut_hands(frame, detections, self._crop_size, self._mirror_hands, tracker)

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        """What MediaPipe sees in uint8 (H, W, 3) BGR, untracked and uncut.

        A picture that stands alone is looked at STILL_LOOKS times, as if held before a camera:
        the first landmarks, framed by the palm detector, are off by more than a gesture's spread
        until the landmark network has framed the hand itself. (On a video's own frames the
        first look agrees with live tracking to a cosine of 0.98, the third to 0.998.)
        """
        if self._video:
            return self._look(image, max(self._last_ms + 1, round(time_s * 1000)))
        if self._tracking:  # a blank picture makes it forget the one before
            self._look(BLANK, self._last_ms + STEP_MS)
        found = self._look(image, self._last_ms + STEP_MS)
        for _ in range(STILL_LOOKS - 1 if found else 0):
            found = self._look(image, self._last_ms + STEP_MS)
        return found

    def _look(self, image: np.ndarray, time_ms: int) -> list[Detection]:
        import mediapipe

        self._last_ms = time_ms
        height, width = image.shape[:2]
        picture = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB,
            data=cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
        )
        result = self._landmarker.detect_for_video(picture, time_ms)
        self._tracking = bool(result.handedness)
        # In an unmirrored picture the Tasks labels name the person's own hand.
        return [
            Detection(
                np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32),
                np.array([(p.x, p.y, p.z) for p in world], np.float32),
                sides[0].category_name.lower(),
                float(sides[0].score),
            )
            for sides, points, world in zip(
                result.handedness, result.hand_landmarks, result.hand_world_landmarks, strict=True
            )
        ]

    def close(self) -> None:
        self._landmarker.close()

    def __enter__(self) -> HandDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def detect_picture(detector: Detector, image: np.ndarray) -> Detection | None:
    """The largest hand in uint8 (H, W, 3) BGR, in its pixels; small and tight pictures get a
    replicated border first. None where there is no hand."""
    for border in BORDERS:
        pad = round(border * max(image.shape[:2]))
        padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        found = detector.detections(padded)
        if found:
            largest = max(found, key=lambda d: upright_square(d.landmarks).width)
            return replace(
                largest, landmarks=largest.landmarks - np.array([pad, pad, 0], np.float32)
            )
    return None


def cut_hands(
    frame: Frame,
    detections: list[Detection],
    crop_size: int,
    mirror_hands: bool,
    tracker: Tracker | None,
) -> list[Hand]:
    """Detections in a frame → hands, the larger first; without a tracker each is its own track."""
    if tracker is None:
        tracked = list(enumerate(detections))
    else:
        tracked = tracker.update(detections, frame.time_s)
    hands = [
        cut_hand(frame.image, detection, crop_size, mirror_hands, track)
        for track, detection in tracked
    ]
    return sorted(hands, key=lambda hand: -hand.square.width)


def cut_hand(
    image: np.ndarray, detection: Detection, crop_size: int, mirror_hands: bool, track: int = 0
) -> Hand:
    """A detection in its picture (BGR) → Hand. References are cut by this very function too."""
    mirror = mirror_hands and detection.side == "left"
    square = upright_square(detection.landmarks)
    return Hand(
        box=bounding_box(detection.landmarks),
        landmarks=detection.landmarks,
        world_landmarks=detection.world_landmarks,
        side=detection.side,
        score=detection.score,
        crop=cut(image, square, crop_size, mirror),
        mirrored=mirror,
        track=track,
        square=square,
    )


def encoder_inputs(hands: list[Hand]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hands → what Encoder.encode takes: uint8 (N, S, S, 3), float32 (N, 21, 3) twice. N ≥ 1."""
    return (
        np.stack([hand.crop for hand in hands]),
        np.stack([crop_landmarks(h.landmarks, h.square, h.mirrored) for h in hands]),
        np.stack([canonical_world(h.world_landmarks, h.mirrored) for h in hands]),
    )


def _open_landmarker(model: Path, max_hands: int, confidence: float) -> Any:
    from mediapipe.tasks.python import BaseOptions, vision

    with explain_errors(f"The hand model {model} can't be read"):
        data = model.read_bytes()  # MediaPipe's own reading stumbles over some Windows paths
    options = vision.HandLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=data),
        running_mode=vision.RunningMode.VIDEO,
        num_hands=max_hands,
        min_hand_detection_confidence=confidence,
        min_hand_presence_confidence=confidence,
        min_tracking_confidence=confidence,
    )
    try:
        return vision.HandLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, FileNotFoundError, OSError) as error:
        raise UserError(
            f"{model} can't be opened as a MediaPipe hand model ({short_reason(error)}). "
            "Pass another with --hand-model; delete a cached one, and the next start fetches it "
            "anew."
        ) from None
