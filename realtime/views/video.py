"""`--save FILE.mp4`: what the window shows, at a constant rate however frames arrive."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.files import check_encodable, explain_errors, replace_path
from realtime.live.state import State
from realtime.types import FrameResult
from realtime.views.canvas import Canvas

LONGEST_GAP_S = 1.0


class VideoWriter:
    """Writes beside FILE and renames at close(), so that FILE is a whole video or isn't there.

    Args:
        fps: of the file. A frame is repeated or left out so that media time follows frame time; a
            gap (a pause, an outage) is shortened to LONGEST_GAP_S.
    Raises:
        UserError: the file can't be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if path.suffix.lower() != ".mp4":
            raise UserError(f"--save writes .mp4 files; got {path}.")
        if not path.parent.is_dir():
            raise UserError(f"--save can't write {path}: there is no folder {path.parent}.")
        self._path = check_encodable(path)
        self._fps = fps
        self._written = 0
        self._skipped_s = 0.0
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._replacing = ExitStack()
        self._part = path  # where it is written until it is whole

    def write(self, picture: np.ndarray, time_s: float) -> None:
        """Write a picture, uint8 (H, W, 3) BGR; the first one sets the size."""
        if self._writer is None:
            self._writer = self._open(picture)
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size)
        behind_s = time_s - self._skipped_s - self._written / self._fps
        self._skipped_s += max(behind_s - LONGEST_GAP_S, 0.0)
        while self._written <= round((time_s - self._skipped_s) * self._fps):
            self._writer.write(picture)
            self._written += 1

    def close(self) -> None:
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        with explain_errors(f"--save can't write {self._path}"), self._replacing:
            # cv2 is silent about a full disk; it shows in what can be read back. Ctrl-C may have
            # come between a frame's writing and its counting: one more is whole too.
            check = cv2.VideoCapture(str(self._part))
            whole = check.get(cv2.CAP_PROP_FRAME_COUNT) >= self._written
            check.release()
            if not whole:
                raise UserError(f"{self._path} could not be written whole: make room on the disk.")

    def _open(self, picture: np.ndarray) -> cv2.VideoWriter:
        self._size = (picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2)
        self._part = self._replacing.enter_context(replace_path(self._path))
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._part), codec, self._fps, self._size)
        if not writer.isOpened():
            raise UserError(f"--save can't write {self._path}. Choose another folder.")
        return writer

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SavedVideo:
    """`--save` as an output: every frame that it is shown, as the window would show it.

    Args:
        fps: of the file, see VideoWriter.
        canvas: draws the frames.
    Raises:
        UserError: the file can't be written.
    """

    def __init__(self, path: Path, fps: float, canvas: Canvas) -> None:
        self._writer = VideoWriter(path, fps)
        self._canvas = canvas
        self._last = -1  # a frame's index: the last result may repeat one

    def show(self, result: FrameResult | None, state: State) -> None:
        if result is not None and result.frame.index > self._last:
            self._last = result.frame.index
            self._writer.write(self._canvas.draw(result, state), result.frame.time_s)

    def close(self) -> None:
        self._writer.close()
