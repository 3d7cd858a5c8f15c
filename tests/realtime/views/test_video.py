"""A saved video is whole also where Ctrl-C comes inside the writing of a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.views.video import VideoWriter
from tests.cli import read_video


class StoppedWhileWriting:
    """cv2.VideoWriter, with the signal that arrives as its third frame is on disk."""

    def __init__(self, *arguments: object) -> None:
        self._writer = REAL_WRITER(*arguments)
        self._count = 0

    def write(self, picture: np.ndarray) -> None:
        self._writer.write(picture)
        self._count += 1
        if self._count == 3:
            raise KeyboardInterrupt

    def __getattr__(self, name: str) -> object:
        return getattr(self._writer, name)

    fourcc = cv2.VideoWriter.fourcc


REAL_WRITER = cv2.VideoWriter


def test_interrupted_between_writing_and_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoWriter", StoppedWhileWriting)
    picture = np.full((48, 64, 3), 128, np.uint8)
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "seen.mp4", 30) as video:
        for index in range(10):
            video.write(picture, index / 30)
    assert len(read_video(tmp_path / "seen.mp4")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["seen.mp4"]
