"""What --camera names → frames: a camera, a stream, a video, a folder of pictures, the demo."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from engines.errors import UserError
from engines.say import warn
from realtime.picture_files import is_picture, list_pictures, quiet_opencv, read_picture
from realtime.sources.camera import SLICE_S, Camera, camera_choices, is_device, next_image
from realtime.types import Frame

PICTURE_FPS = 30.0  # for what has no time of its own
LATE_S = 0.5  # a paced source that falls behind by more lets the lost time go
STREAMS = ("http://", "https://", "rtsp://", "rtsps://")
TAKES = (
    "--camera takes the index of a camera (0), a device path, an http(s) or rtsp address, "
    "a video file, a folder of pictures, or demo."
)


class Source(Protocol):
    """Frames to iterate over once, in one thread; close(), or use `with`.

    name: for messages; live: only the newest frame is kept, others are dropped; unrelated: the
    pictures stand alone, no video; fps: nominal frames per second, None when unknown.
    """

    name: str
    live: bool
    unrelated: bool
    fps: float | None
    idle: Callable[[], None] | None  # called now and then while a live source has nothing new

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Source: ...

    def __exit__(self, *_: object) -> None: ...


def open_source(
    camera: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    mirrored: bool = False,
    realtime: bool = False,
    max_wait_s: float = 10.0,
) -> Source:
    """Open what `camera` names; see TAKES.

    size (width, height) in pixels and fps are asked of cameras; mirrored: what comes is
    mirrored, frames are flipped back; realtime: a video or the demo comes no faster than it
    would from a camera, still without a gap; max_wait_s: for a camera's first frame.
    Raises UserError when there is nothing to open, or it gives no picture.
    """
    if camera == "demo":
        return _Demo(mirrored, realtime)
    if camera.lower().startswith(STREAMS):
        return Camera(camera, mirrored=mirrored, max_wait_s=max_wait_s)
    if is_device(camera):
        _refuse_missing(camera)
        return Camera(camera, size=size, fps=fps, mirrored=mirrored, max_wait_s=max_wait_s)
    path = Path(camera)
    if os.path.isdir(camera):
        pictures = list_pictures(path)
        if not pictures:
            raise UserError(
                f"The folder {path} holds no picture (those in its folders don't count). {TAKES}"
            )
        return _Pictures(path.name or camera, pictures, mirrored)
    if not os.path.isfile(camera):
        raise UserError(f"There is nothing named {camera!r}. {TAKES}")
    if is_picture(path):
        return _Pictures(path.name, [path], mirrored)
    return _Video(path, mirrored, realtime)


class _Closing:
    """What sources without a thread share."""

    live = False
    unrelated = False
    idle: Callable[[], None] | None = None

    def __init__(self, name: str, fps: float | None, mirrored: bool) -> None:
        self.name = name
        self.fps = fps
        self._mirrored = mirrored
        self._closed = threading.Event()
        self._began_s: float | None = None  # when the frame at time 0 was due

    def close(self) -> None:
        self._closed.set()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frame(self, image: np.ndarray, index: int, time_s: float) -> Frame:
        return Frame(cv2.flip(image, 1) if self._mirrored else image, index, time_s)

    def _pace(self, time_s: float) -> None:
        """Wait until a frame is due, or close(). Who paused doesn't get the rest in a rush."""
        now_s = time.monotonic()
        self._began_s = max(self._began_s or now_s - time_s, now_s - time_s - LATE_S)
        while (left_s := self._began_s + time_s - time.monotonic()) > 0:
            if self._closed.wait(min(left_s, SLICE_S)):
                return


class _Demo(_Closing):
    """Drawn frames without end, 30 per second of their own time."""

    def __init__(self, mirrored: bool, realtime: bool) -> None:
        super().__init__("demo", PICTURE_FPS, mirrored)
        self._realtime = realtime

    def __enter__(self) -> _Demo:
        return self

    def __iter__(self) -> Iterator[Frame]:
        from realtime.sources.demo import demo_image

        index = 0
        while not self._closed.is_set():
            image = demo_image(index)
            if self._realtime:
                self._pace(index / PICTURE_FPS)
            yield self._frame(image, index, index / PICTURE_FPS)
            index += 1


class _Pictures(_Closing):
    """Pictures in the given order. One that can't be read is warned about and left out."""

    unrelated = True

    def __init__(self, name: str, paths: list[Path], mirrored: bool) -> None:
        super().__init__(name, PICTURE_FPS, mirrored)
        self._paths = paths

    def __enter__(self) -> _Pictures:
        return self

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for path in self._paths:
            if self._closed.is_set():
                return
            try:
                image = read_picture(path)
            except UserError as error:
                if len(self._paths) == 1:
                    raise
                warn(f"{error} It is left out.")
                continue
            yield self._frame(image, index, index / PICTURE_FPS)
            index += 1
        if index == 0:
            raise UserError(f"None of the {len(self._paths)} pictures in {self.name} can be read.")


class _Video(_Closing):
    """Every frame of a video file, in order. Frame.time_s is media time from its first frame."""

    def __init__(self, path: Path, mirrored: bool, realtime: bool) -> None:
        quiet_opencv()
        # Absolute: FFmpeg would take "a:b.mp4" for an address.
        self._capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        super().__init__(path.name, fps if 0 < fps <= 1000 else None, mirrored)
        self._path = path
        self._realtime = realtime
        # FFmpeg "plays" any text as a console recording.
        text = self._capture.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"ansi")
        self._first = None if text else next_image(self._capture)
        if self._first is None:
            self._capture.release()
            raise UserError(_not_a_video(path))

    def __enter__(self) -> _Video:
        return self

    def close(self) -> None:
        super().close()
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        step_s = 1 / (self.fps or PICTURE_FPS)
        image, self._first = self._first, None
        start_s = self._position_s()
        index, time_s = 0, 0.0
        while image is not None and not self._closed.is_set():
            if self._realtime:
                self._pace(time_s)
            yield self._frame(image, index, time_s)
            image = next_image(self._capture)
            index += 1
            position_s = self._position_s() - start_s
            # Some files carry no time stamps, or some that jump back.
            time_s = position_s if position_s > time_s else time_s + step_s
        # The count is often an estimate from the length: only a clear gap is worth a word.
        if not self._closed.is_set() and announced - index > max(2, 0.05 * announced):
            warn(f"{self._path} ended at frame {index} of {announced:.0f}: the file is damaged.")

    def _position_s(self) -> float:
        """Media time of the frame that was read last, NaN when there is none."""
        position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return position_ms / 1000 if 0 <= position_ms < math.inf else math.nan


def _not_a_video(path: Path) -> str:
    try:
        empty = path.stat().st_size == 0
        reason = "it is empty" if empty else "it is no video, or one whose end is missing"
        path.open("rb").close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
    return f"{path} can't be played as a video: {reason}. Copy or record it again. {TAKES}"


def _refuse_missing(camera: str) -> None:
    """Linux says beforehand which cameras there are; a wait for one would be in vain."""
    if sys.platform != "linux":
        return
    path = f"/dev/video{camera}" if camera.isdecimal() else camera
    if not os.path.exists(path):
        raise UserError(f"There is no camera {camera} ({path} does not exist). {camera_choices()}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise UserError(
            f"Camera {camera} may not be opened: this user has no right to {path} (on most "
            "systems `sudo usermod -aG video $USER` and a new login give it)."
        )
