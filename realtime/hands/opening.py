"""Open what finds hands: MediaPipe's detector, or its networks on our own engines."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2

from engines.encoder import HAND_FILE, PALM_FILE, Encoder, open_hand_networks
from engines.errors import UserError
from engines.files import explain_errors
from engines.hand_networks import HAND
from realtime.hands.detector import Detector
from realtime.hands.engine_detector import EngineDetector
from realtime.hands.mediapipe_detector import HandDetector
from realtime.hands.model import hand_model
from realtime.hands.package import check_package

DETECTORS = ("engine", "mediapipe")


def open_detector(
    kind: str,
    encoder: Encoder | None = None,
    *,
    video: bool,
    max_hands: int = 2,
    mirror_hands: bool = True,
    model: str | None = None,
    every_frame: bool = False,
) -> Detector:
    """Open a detector, and have OpenCV use one thread in this process.

    Args:
        kind: One of DETECTORS.
        encoder: What the hands are cut for. A one-pass encoder takes them unmirrored, and is the
            engine's hand network. None: for hand.onnx. What runs it runs the engine's networks, see
            `open_hand_networks`.
        video: Whether frames follow one another; otherwise each picture stands alone.
        max_hands: The most hands to find.
        mirror_hands: Whether left hands are cut as right ones, for encoders that aren't one-pass.
        model: For "mediapipe": its hand model, where it isn't the cached one.
        every_frame: The engine's networks see each frame of a video, whether it has changed or not.
            MediaPipe's do in any case.

    Raises:
        UserError: There is no such detector, or a network can't be opened.
    """
    # Pictures are small here: with two threads, OpenCV's cut of a crop takes 0.55 ms of processor
    # time instead of 0.16, because the other thread spins.
    cv2.setNumThreads(1)
    one_pass = encoder is not None and encoder.spec.one_pass
    size = HAND.size if encoder is None else encoder.spec.crop_size
    mirror = mirror_hands and not one_pass
    if kind == "mediapipe":
        return HandDetector(
            mediapipe_model(model),
            video=video,
            max_hands=max_hands,
            crop_size=size,
            mirror_hands=mirror,
        )
    if kind != "engine":
        raise UserError(f"--detector takes {' or '.join(DETECTORS)}; got {kind!r}.")
    if model is not None:
        raise UserError(
            f"--hand-model {model} is for MediaPipe's detector, and --detector engine doesn't read "
            "it: add --detector mediapipe, or leave it out."
        )
    if one_pass and size != HAND.size:
        raise UserError(
            f"The encoder looks at crops of {size} px, but hands are found in {HAND.size} px. "
            "Use --detector mediapipe, or export an encoder of that size."
        )
    return EngineDetector(
        *open_hand_networks(encoder),
        video=video,
        max_hands=max_hands,
        crop_size=size,
        mirror_hands=mirror,
        every_frame=every_frame,
    )


def mediapipe_model(override: str | None = None) -> Path:
    """MediaPipe's hand model, fetched where need be, once its package is known to be here.

    Raises UserError, as `check_package` and `hand_model` do.
    """
    check_package()
    return hand_model(override)


def networks_mark(kind: str, model: str | None = None) -> str:
    """What identifies a detector and its networks, whatever the encoder. Raises UserError."""
    files = [mediapipe_model(model)] if kind == "mediapipe" else [PALM_FILE, HAND_FILE]
    digest = hashlib.sha256(kind.encode())
    for file in files:
        with explain_errors(f"The hand model {file} can't be read"):
            digest.update(file.read_bytes())
    return digest.hexdigest()
