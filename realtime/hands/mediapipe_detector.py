"""Find hands with MediaPipe's package. The only file that imports mediapipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.errors import UserError, short_reason
from engines.files import explain_errors
from realtime.drawn.hand import draw_hand
from realtime.drawn.pose import HandPose, joints
from realtime.hands.cutting import cut_hands
from realtime.hands.detector import STILL_LOOKS
from realtime.hands.tracks import Tracker
from realtime.quiet import silence_native_stderr
from realtime.types import Detection, Frame, Hand

STEP_MS = 33  # between looks; timestamps must strictly increase
BLANK = np.zeros((64, 64, 3), np.uint8)


class HandDetector:
    """MediaPipe's HandLandmarker on BGR pictures. Use it as a context manager, or call close().

    Args:
        model: MediaPipe's hand model.
        video: Whether frames follow one another and hands are tracked; otherwise each picture
            stands alone.
        max_hands: The most hands to find.
        crop_size: Width S of the crops, px.
        mirror_hands: Whether left hands are cut as right ones.
        confidence: MediaPipe's thresholds for detection, presence and tracking, 0…1.

    Raises:
        UserError: The model can't be read or opened.
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
        self.engine = "its package"
        self.skip_still = False  # it has no such shortcut
        self.stages_ms: dict[str, float] = {}  # MediaPipe's graph doesn't say
        self._video = video
        self._crop_size = crop_size
        self._mirror_hands = mirror_hands
        self._tracker = Tracker()
        self._last_ms = -1
        self._tracking = False
        with silence_native_stderr():  # MediaPipe logs at its first start and its first hand
            self._landmarker = _open_landmarker(model, max_hands, confidence)
            self._look(draw_hand(joints(HandPose())), STEP_MS)
            self._look(BLANK, 2 * STEP_MS)

    def detect(self, frame: Frame) -> list[Hand]:
        """Find and cut the hands of a frame, the larger first."""
        detections = self.detections(frame.image, frame.time_s)
        tracker = self._tracker if self._video else None
        return cut_hands(frame, detections, self._crop_size, self._mirror_hands, tracker)

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        """Find the hands of a picture, without tracking and cutting.

        A single picture is processed STILL_LOOKS times, as if it were held before a camera. The
        first landmarks, whose crop comes from the palm detector, differ from tracked ones by more
        than a gesture varies; later ones come from the landmark network's own crop. (The cosine to
        embeddings of live tracking is 0.98 after the first pass and 0.998 after the third.)

        Args:
            image: uint8 (H, W, 3) BGR.
            time_s: Time of the frame, seconds; only used for video.
        """
        if self._video:
            return self._look(image, max(self._last_ms + 1, round(time_s * 1000)))
        if self._tracking:  # a blank picture ends the tracking of the last one
            self._look(BLANK, self._last_ms + STEP_MS)
        found = self._look(image, self._last_ms + STEP_MS)
        for _ in range(STILL_LOOKS - 1 if found else 0):
            found = self._look(image, self._last_ms + STEP_MS)
        return found

    def _look(self, image: np.ndarray, time_ms: int) -> list[Detection]:
        self._last_ms = time_ms
        height, width = image.shape[:2]
        result = run_landmarker(self._landmarker, image, time_ms)
        self._tracking = bool(result.handedness)
        # In an unmirrored picture, MediaPipe Tasks label the person's own hand.
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


def _open_landmarker(model: Path, max_hands: int, confidence: float) -> Any:
    from mediapipe.tasks.python import BaseOptions, vision

    with explain_errors(f"The hand model {model} can't be read"):
        data = model.read_bytes()  # MediaPipe can't open some Windows paths
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


def open_bare(model: Path, max_hands: int) -> Any:
    """MediaPipe's own HandLandmarker by itself, for `run_landmarker` at times above 0 ms.

    Raises UserError, as HandDetector does.
    """
    with silence_native_stderr():
        landmarker = _open_landmarker(model, max_hands, 0.5)
        run_landmarker(landmarker, BLANK, 0)
    return landmarker


def run_landmarker(landmarker: Any, image: np.ndarray, time_ms: int) -> Any:
    """MediaPipe's own result for a frame, uint8 (H, W, 3) BGR; times must strictly increase."""
    import mediapipe

    picture = mediapipe.Image(
        image_format=mediapipe.ImageFormat.SRGB, data=cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    )
    return landmarker.detect_for_video(picture, time_ms)
