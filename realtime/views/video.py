"""`--save FILE.mp4`: what the window shows, at a constant rate however frames arrive."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.files import check_encodable, explain_errors, replace_path
from realtime.live.state import State
from realtime.pace import Pace
from realtime.picture_files import quiet_opencv
from realtime.types import FrameResult
from realtime.views.canvas import Canvas

LONGEST_GAP_S, LONGEST_GAP_FRAMES = 1.0, 2.5
USUAL_FPS = 30.0  # for a source that doesn't tell its own
LEAST_FPS, MOST_FPS = 1.0, 240.0
LONGEST_SIDE = 4096  # px; MPEG-4 takes 8191


class VideoWriter:
    """Writes beside FILE and renames at close(), so that FILE is a whole video or isn't there.

    Args:
        fps: of the source; the file's own rate is one near it that MPEG-4 can have. A frame is
            repeated or left out so that media time follows frame time; a gap (a pause, an outage)
            is shortened to LONGEST_GAP_S, or to LONGEST_GAP_FRAMES of a slow source.
    Raises:
        UserError: the file can't be written.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        if path.suffix.lower() != ".mp4":
            raise UserError(f"--save writes .mp4 files; got {path}.")
        if not path.parent.is_dir():
            raise UserError(f"--save can't write {path}: there is no folder {path.parent}.")
        quiet_opencv()
        self._path = check_encodable(path)
        # Three digits behind the point, at a high rate, are more than the format has room for.
        self._fps = round(min(max(fps or USUAL_FPS, LEAST_FPS), MOST_FPS), 2)
        self._written = 0
        self._skipped_s = 0.0
        self._pace = Pace()
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._replacing = ExitStack()
        self._part = path  # where it is written until it is whole

    def write(self, picture: np.ndarray, time_s: float) -> None:
        """Write a picture, uint8 (H, W, 3) BGR. The first one sets the size; others are fitted."""
        if self._writer is None:
            self._writer = self._open(picture)
        picture = _fit(picture, self._size)
        behind_s = time_s - self._skipped_s - self._written / self._fps
        self._pace.update(time_s)
        gap_s = self._pace.at_least(LONGEST_GAP_S, LONGEST_GAP_FRAMES)
        self._skipped_s += max(behind_s - gap_s, 0.0)
        while self._written <= round((time_s - self._skipped_s) * self._fps):
            self._writer.write(picture)
            self._written += 1

    def close(self) -> None:
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        with self._replacing:
            # cv2 is silent about a full disk; it shows in what can be read back. Ctrl-C may have
            # come between a frame's writing and its counting: one more is whole too.
            check = cv2.VideoCapture(str(self._part))
            whole = check.get(cv2.CAP_PROP_FRAME_COUNT) >= self._written
            check.release()
            if not whole:
                raise UserError(
                    f"{self._path} could not be written whole: make room on the disk, or choose "
                    "another folder."
                )

    def _open(self, picture: np.ndarray) -> cv2.VideoWriter:
        height, width = picture.shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(width, height))
        self._size = _even(width * scale), _even(height * scale)
        with ExitStack() as stack:
            stack.enter_context(explain_errors(f"--save can't write {self._path}"))
            # Absolute: FFmpeg would take "12:30/a.mp4" for an address.
            part = stack.enter_context(replace_path(Path(os.path.abspath(self._path))))
            part.touch(exist_ok=False)  # says why it can't be written, which cv2 doesn't
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(part), codec, self._fps, self._size)
            if not writer.isOpened():
                raise UserError(
                    f"--save can't write {self._path}: OpenCV has no MPEG-4 encoder for "
                    f"{self._size[0]} × {self._size[1]} pixels at {self._fps:g} frames a second. "
                    "Install it anew with: pip install --force-reinstall opencv-python"
                )
            self._part, self._replacing = part, stack.pop_all()
        return writer

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(Exception):  # the first error is the one to tell
                self.close()


class SavedVideo:
    """`--save` as an output: every frame that it is shown, as the window would show it.

    Args:
        fps: of the source, see VideoWriter.
        canvas: draws the frames.
    Raises:
        UserError: the file can't be written.
    """

    def __init__(self, path: Path, fps: float | None, canvas: Canvas) -> None:
        self._writer = VideoWriter(path, fps)
        self._canvas = canvas
        self._last = -1  # a frame's index: the last result may repeat one

    def show(self, result: FrameResult | None, state: State) -> None:
        if result is not None and result.frame.index > self._last:
            self._last = result.frame.index
            self._writer.write(self._canvas.draw(result, state), result.frame.time_s)

    def close(self) -> None:
        self._writer.close()


def _even(length: float) -> int:
    """MPEG-4 halves the colours' resolution."""
    return max(int(length) // 2 * 2, 2)


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture in a frame of (width, height), as large as it fits, black beside it."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    fitted = max(round(width * scale), 1), max(round(height * scale), 1)
    left, top = (size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2
    framed = np.zeros((size[1], size[0], 3), np.uint8)
    framed[top : top + fitted[1], left : left + fitted[0]] = cv2.resize(
        picture, fitted, interpolation=cv2.INTER_AREA
    )
    return framed
