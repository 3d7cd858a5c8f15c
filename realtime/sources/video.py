"""Video files: every frame, in order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from engines.say import warn
from realtime.sources.source import PICTURE_FPS, WaitingSource
from realtime.sources.video_file import VideoFile, refusal
from realtime.types import Frame


class Video(WaitingSource):
    """Every frame of a video file. Frame.time_s is media time from its first frame.

    A file that holds one picture is that picture (`unrelated`). Frames may differ in size.

    Raises UserError where the file can't be played.
    """

    def __init__(self, path: Path, mirrored: bool, realtime: bool) -> None:
        self._file = VideoFile(path)
        super().__init__(path.name, self._file.rate, mirrored, realtime)
        self.unrelated = self._file.still
        self._path = path
        self._pictures = iter(self._file)
        self._first = next(self._pictures, None)
        if self._first is None:
            self._file.close()
            raise refusal(path, "none of its frames can be decoded")

    def close(self) -> None:
        super().close()
        self._file.close()

    def read(self) -> Iterator[Frame]:
        step_s = 1 / (self.fps or PICTURE_FPS)
        picture, self._first = self._first, None
        start_s = math.nan if picture is None else picture[1]
        index, time_s = 0, 0.0
        while picture is not None and not self._closed.is_set():
            yield self._frame(picture[0], index, time_s)
            picture = next(self._pictures, None)
            index += 1
            since_s = math.nan if picture is None else picture[1] - start_s
            # Some files carry no time stamps, or some that jump back.
            time_s = since_s if since_s > time_s else time_s + step_s
        if not self._closed.is_set():
            self._tell_of_damage(index)

    def _tell_of_damage(self, frames: int) -> None:
        announced, unreadable = self._file.announced, self._file.unreadable
        # The count is often an estimate from the length: only a clear gap is worth a word.
        if announced - frames > max(2, 0.05 * announced):
            warn(f"{self._path} ended at frame {frames} of {announced}: the file is damaged.")
        elif unreadable:
            parts = "A part" if unreadable == 1 else f"{unreadable} parts"
            warn(f"{parts} of {self._path} can't be decoded and is left out: the file is damaged.")
