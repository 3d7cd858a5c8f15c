"""A saved video is whole, plays at the pace of what it shows, and says why it can't be written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime.views.video import LONGEST_SIDE, MOST_FPS, VideoWriter
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


def grey(width: int = 64, height: int = 48, level: int = 128) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("source_fps", [105.611, 119.881, 1000.0, 29.97002997, 23.976, 6.0, 1.0])
def test_any_rate_of_a_source_can_be_saved(tmp_path: Path, source_fps: float) -> None:
    with VideoWriter(tmp_path / "a.mp4", source_fps) as video:
        for index in range(50):
            video.write(grey(), index / source_fps)
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(min(source_fps, MOST_FPS), rel=1e-3)
    length = len(read_video(tmp_path / "a.mp4")) / capture.get(cv2.CAP_PROP_FPS)
    assert length == pytest.approx(50 / source_fps, abs=2 / min(source_fps, MOST_FPS))


@pytest.mark.parametrize("source_fps", [0.5, 0.1, None])
def test_a_slow_source_keeps_its_time(tmp_path: Path, source_fps: float | None) -> None:
    step_s = 1 / (source_fps or 0.5)  # a camera doesn't tell
    with VideoWriter(tmp_path / "a.mp4", source_fps) as video:
        for index in range(6):
            video.write(grey(level=40 * index), index * step_s)
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    levels = [picture.mean() for picture in read_video(tmp_path / "a.mp4")]
    for index in range(6):
        shown = levels[round(index * step_s * capture.get(cv2.CAP_PROP_FPS))]
        assert shown == pytest.approx(40 * index, abs=6)


def test_pictures_of_another_size_keep_their_shape(tmp_path: Path) -> None:
    upright = np.full((64, 48, 3), 200, np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 30) as video:
        for index in range(4):
            video.write(grey() if index < 2 else upright, index / 30)
    *_, last = read_video(tmp_path / "a.mp4")
    assert last.shape == (48, 64, 3)
    assert last[:, 16:48].mean() == pytest.approx(200, abs=12)  # 36 of 64 columns, in the middle
    assert last[:, :10].max() < 40 and last[:, 54:].max() < 40


def test_a_long_picture_is_saved_smaller(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 30) as video:
        video.write(grey(1080, 17000), 0.0)
    (picture,) = read_video(tmp_path / "a.mp4")
    assert picture.shape[0] == LONGEST_SIDE and picture.shape[1] == pytest.approx(260, abs=2)


@pytest.mark.parametrize("name", ["12:30.mp4", "12:30/seen.mp4", "http:/seen.mp4"])
def test_a_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        Path(name).parent.mkdir(exist_ok=True)
    except OSError:
        pytest.skip("this system has no such names")
    with VideoWriter(Path(name), 30) as video:
        video.write(grey(), 0.0)
    assert [path.name for path in Path(name).parent.iterdir()] == [Path(name).name]


def test_a_folder_that_has_gone_is_told_as_that(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    video = VideoWriter(folder / "a.mp4", 30)
    folder.rmdir()
    with pytest.raises(UserError, match=r"can't write .*a\.mp4 \(No such file or directory\)"):
        video.write(grey(), 0.0)
    video.close()


def test_a_missing_encoder_is_not_told_as_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without(StoppedWhileWriting):
        def isOpened(self) -> bool:
            return False

    monkeypatch.setattr(cv2, "VideoWriter", Without)
    with (
        pytest.raises(UserError, match="no MPEG-4 encoder for 64 × 48 pixels at 30 frames") as told,
        VideoWriter(tmp_path / "a.mp4", 30) as video,
    ):
        video.write(grey(), 0.0)
    assert "disk" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_closing_does_not_hide_the_first_error(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="the first"),
        VideoWriter(tmp_path / "a.mp4", 30) as video,
    ):
        video.write(grey(), 0.0)
        for path in tmp_path.iterdir():
            path.unlink()  # so that it can't be read back
        raise UserError("the first")
    assert list(tmp_path.iterdir()) == []
