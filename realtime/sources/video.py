"""Video files: every frame, in order."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from engines.errors import UserError, short_reason
from engines.files import check_encodable
from engines.say import warn
from realtime.picture_files import quiet_opencv
from realtime.sources.capture import next_image
from realtime.sources.source import PICTURE_FPS, WaitingSource
from realtime.types import Frame


class Video(WaitingSource):
    """Every frame of a video file. Frame.time_s is media time from its first frame.

    Raises UserError where the file can't be played.
    """

    def __init__(self, path: Path, mirrored: bool, realtime: bool) -> None:
        quiet_opencv()
        # Absolute: FFmpeg would take "a:b.mp4" for an address.
        self._capture = cv2.VideoCapture(os.path.abspath(check_encodable(path)), cv2.CAP_FFMPEG)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        super().__init__(path.name, fps if 0 < fps <= 1000 else None, mirrored, realtime)
        self._path = path
        # FFmpeg "plays" any text as a console recording.
        text = self._capture.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"ansi")
        self._first = None if text else next_image(self._capture)
        if self._first is None:
            self._capture.release()
            raise UserError(
                f"{path} can't be played as a video: {_fault(path)}. Copy or record it again, or "
                "name another --camera."
            )

    def close(self) -> None:
        super().close()
        self._capture.release()

    def read(self) -> Iterator[Frame]:
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        step_s = 1 / (self.fps or PICTURE_FPS)
        image, self._first = self._first, None
        start_s = self._position_s()
        index, time_s = 0, 0.0
        while image is not None and not self._closed.is_set():
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


def _fault(path: Path) -> str:
    try:
        path.open("rb").close()
        empty = path.stat().st_size == 0
    except OSError as error:
        return short_reason(error)
    return "it is empty" if empty else "it is no video, or one whose end is missing"
