"""OpenCV's captures: how one is opened, and read without taking a bad frame for the end."""

from __future__ import annotations

import os
import sys
import time
from typing import Protocol

import cv2
import numpy as np

UDP = "rtsp_transport;udp"  # for servers that know nothing else; FFmpeg asks for TCP first
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
MISSES = 100  # frames in a row that a capture may fail to give before it is over
BLOCKED_S = 1.0  # a read that fails after so long has waited for what doesn't come
PATIENCE_S = 3.0  # without a frame that can be decoded


class Reader(Protocol):
    """Gives pictures in turn. Used by one thread."""

    def read(self) -> np.ndarray | None:
        """The next picture, uint8 (H, W, 3) BGR; None where no more come."""
        ...

    def close(self) -> None: ...


class Capture:
    """What OpenCV reads, as a Reader. Releasing it during a read crashes."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def read(self) -> np.ndarray | None:
        return next_image(self._capture)

    def close(self) -> None:
        self._capture.release()


def next_image(capture: cv2.VideoCapture) -> np.ndarray | None:
    """The next frame that can be decoded, BGR; None where no more come.

    OpenCV says the same, "no frame", at the end, after a wait in vain, and for a frame that it
    can't decode. Only at the end does it go on saying so.
    """
    began_s = time.monotonic()
    for _ in range(MISSES if capture.isOpened() else 0):
        asked_s = time.monotonic()
        try:
            if capture.grab():
                read, image = capture.retrieve()
                if read:
                    return image
        except cv2.error:  # what came can't be decoded
            pass
        now_s = time.monotonic()
        if now_s - asked_s > BLOCKED_S or now_s - began_s > PATIENCE_S:
            return None
    return None


def open_device(
    backend: int, target: int | str, size: tuple[int, int] | None, fps: float | None
) -> cv2.VideoCapture:
    """Open a camera of this machine, and ask it for a size (width, height) and frames a second."""
    capture = cv2.VideoCapture(target, backend)
    for option, value in _properties(size, fps):
        capture.set(option, value)  # a camera that can't do it goes on with what it has
    return capture


def open_ffmpeg(
    address: str, timeout_s: float, stall_s: float, udp: bool = False
) -> cv2.VideoCapture:
    """Open a stream with FFmpeg; it may fail. An address that isn't UTF-8 crashes OpenCV.

    Args:
        timeout_s: for the first answers.
        stall_s: for a frame.
        udp: of RTSP, take no TCP.
    """
    # FFmpeg hands MJPEG frames on as they come. Every decoder thread beyond the first would hold
    # back one frame of H.264 or MPEG-4.
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(timeout_s * 1000)]
    options += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(stall_s * 1000), cv2.CAP_PROP_N_THREADS, 1]
    own = udp and OPTIONS not in os.environ  # a person's own options stay as they are
    if own:
        os.environ[OPTIONS] = UDP
    try:
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, options)
    finally:
        if own:
            del os.environ[OPTIONS]


def device_ways(camera: str) -> list[tuple[int, int | str]]:
    """What to try in turn for a camera of this machine: OpenCV's back-end, and what to open."""
    if sys.platform == "linux":
        return [(cv2.CAP_V4L2, f"/dev/video{camera}" if camera.isdecimal() else camera)]
    if sys.platform == "darwin":
        return [(cv2.CAP_AVFOUNDATION, int(camera))]
    # DirectShow opens at once where Media Foundation may take many seconds, but some newer
    # cameras are known only to the latter.
    return [(cv2.CAP_DSHOW, int(camera)), (cv2.CAP_MSMF, int(camera))]


def _properties(size: tuple[int, int] | None, fps: float | None) -> list[tuple[int, float]]:
    # Compressed first: uncompressed, USB carries large pictures only a few times a second.
    wishes: list[tuple[int, float]] = [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))]
    if size:
        wishes += [(cv2.CAP_PROP_FRAME_WIDTH, size[0]), (cv2.CAP_PROP_FRAME_HEIGHT, size[1])]
    if fps:
        wishes.append((cv2.CAP_PROP_FPS, fps))
    # Two buffers: with one, the driver drops a frame while we decode.
    return [*wishes, (cv2.CAP_PROP_BUFFERSIZE, 2)]
