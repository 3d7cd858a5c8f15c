"""Videos, folders and pictures on disk, with real files."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime import picture_files as picture_file
from realtime.folders import list_pictures
from realtime.picture_files import read_picture, write_picture
from realtime.sources import pictures, video
from realtime.sources.open import open_source
from tests.realtime.sources.films import BITS, BLOCK, number_of, numbered

ROOT = Path(__file__).resolve().parents[3]


def write_video(path: Path, frames: int, code: str = "mp4v", mirror: bool = False) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 30.0, (BITS * BLOCK, 64))
    assert writer.isOpened()
    for number in range(frames):
        image = numbered(number)
        writer.write(cv2.flip(image, 1) if mirror else image)
    writer.release()
    return path


def half_of(path: Path) -> Path:
    data = path.read_bytes()
    half = path.with_name(f"half {path.name}")
    half.write_bytes(data[: len(data) // 2])
    return half


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    for module in (video, pictures):
        monkeypatch.setattr(module, "warn", said.append)
    return said


def test_video_gives_every_frame_in_order(tmp_path: Path, warnings: list[str]) -> None:
    path = write_video(tmp_path / "vidéo 100%d.mp4", 70)
    with open_source(str(path)) as source:
        assert (source.live, source.unrelated, source.fps) == (False, False, 30.0)
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(70))
    assert [frame.index for frame in frames] == list(range(70))
    assert np.allclose([frame.time_s for frame in frames], np.arange(70) / 30, atol=0.002)
    assert warnings == []


def test_mirrored_video_comes_unmirrored(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 5, mirror=True)
    with open_source(str(path), mirrored=True) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(5))
    assert all(frame.image.flags.c_contiguous for frame in frames)


def test_realtime_paces_a_video_without_dropping(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 16)
    with open_source(str(path), realtime=True) as source:
        began = time.monotonic()
        arrived = [(number_of(frame.image), time.monotonic() - began) for frame in source]
    assert [number for number, _ in arrived] == list(range(16))
    assert all(at >= number / 30 - 0.01 for number, at in arrived)
    assert arrived[-1][1] < 3


@pytest.mark.parametrize("kind", ["empty", "text", "console text", "no index"])
def test_what_is_no_video(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mp4"
    if kind == "no index":
        path = half_of(write_video(path, 30))
    elif kind == "console text":
        path = tmp_path / "notes.txt"
    path.touch()
    if "text" in kind:
        path.write_text("No frames here.\n" * 500)
    with pytest.raises(UserError, match="empty" if kind == "empty" else "no video") as caught:
        open_source(str(path))
    assert str(path) in str(caught.value)


def test_video_that_breaks_off(tmp_path: Path, warnings: list[str]) -> None:
    path = half_of(write_video(tmp_path / "a.avi", 60, "MJPG"))
    with open_source(str(path)) as source:
        numbers = [number_of(frame.image) for frame in source]
    assert 15 < len(numbers) < 45
    assert numbers == list(range(len(numbers)))
    assert [f"ended at frame {len(numbers)} of 60" in said for said in warnings] == [True]


def test_closing_ends_the_frames_without_a_warning(tmp_path: Path, warnings: list[str]) -> None:
    with open_source(str(write_video(tmp_path / "a.mp4", 20))) as source:
        for frame in source:
            if frame.index == 3:
                source.close()
    assert frame.index == 3
    assert warnings == []


def test_opencv_is_quiet_about_broken_files(tmp_path: Path) -> None:
    path = half_of(write_video(tmp_path / "a.mp4", 30))
    script = (
        "import sys; from engines.errors import UserError\n"
        "from realtime.sources.open import open_source\n"
        "try: open_source(sys.argv[1])\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run(  # FFmpeg reads its log level once in the life of a process
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, timeout=30
    )
    assert b"no video" in done.stdout
    assert done.stderr == b""


def test_folder_in_order_without_what_is_corrupt(tmp_path: Path, warnings: list[str]) -> None:
    for number, name in enumerate(["a.PNG", "b.Bmp", "c.jpeg", "ç.webp"]):
        encoded = cv2.imencode(Path(name).suffix.lower(), numbered(number + 1))[1]
        (tmp_path / name).write_bytes(encoded.tobytes())
    (tmp_path / "bb.png").write_bytes((tmp_path / "a.PNG").read_bytes()[:60])
    (tmp_path / "bc.png").touch()
    (tmp_path / "._a.png").write_bytes(b"a companion of another system")
    (tmp_path / "notes.txt").write_text("no picture")
    with open_source(str(tmp_path)) as source:
        assert source.unrelated and not source.live
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [1, 2, 3, 4]
    assert [(f.index, f.time_s) for f in frames] == [(i, i / 30) for i in range(4)]
    assert [Path(warning.split()[0]).name for warning in warnings] == ["bb.png", "bc.png"]


def test_single_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", numbered(9))
    with open_source(str(tmp_path / "a.png"), mirrored=True) as source:
        (frame,) = source
    assert np.array_equal(frame.image, cv2.flip(numbered(9), 1))


def test_a_large_photograph_says_how_much_smaller_it_is(tmp_path: Path) -> None:
    write_picture(tmp_path / "large.png", np.zeros((1024, 4096, 3), np.uint8))
    with open_source(str(tmp_path / "large.png")) as source:
        [frame] = source
    assert frame.image.shape == (512, 2048, 3) and frame.scale == 2.0


def test_folders_without_a_usable_picture(tmp_path: Path, warnings: list[str]) -> None:
    with pytest.raises(UserError, match="no picture"):
        open_source(str(tmp_path))
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(UserError, match="None of the 2 pictures"):
        list(open_source(str(tmp_path)))
    assert len(warnings) == 2


@pytest.mark.parametrize("camera", ["nowhere.mp4", "", "ftp://host/a", "x" * 5000, "a\0b"])
def test_what_does_not_exist(camera: str) -> None:
    with pytest.raises(UserError, match="--camera takes"):
        open_source(camera)


def test_demo_is_the_same_every_time() -> None:
    pytest.importorskip("realtime.sources.demo")
    with open_source("demo") as one, open_source("demo", mirrored=True) as other:
        pairs = [pair for pair, _ in zip(zip(one, other, strict=False), range(3), strict=False)]
    for index, (frame, flipped) in enumerate(pairs):
        assert frame.image.shape == (480, 640, 3)
        assert (frame.index, frame.time_s) == (index, index / 30)
        assert np.array_equal(cv2.flip(frame.image, 1), flipped.image)


def test_read_picture_turns_it_upright(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", numbered(5))[1].tobytes()
    # One EXIF entry: orientation (0x112), a short, 6 = to be turned clockwise.
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    image = read_picture(tmp_path / "a.jpg")
    assert image.shape == (BITS * BLOCK, 64, 3)
    assert number_of(cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no picture"), (b"", "empty file"), (b"hello", "can't be read as a picture")],
)
def test_read_picture_says_what_is_wrong(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    with pytest.raises(UserError, match="can't be read as a picture"):
        read_picture(tmp_path)


@pytest.mark.parametrize("name", ["ü.png", "a.BMP"])
def test_write_picture_and_read_it_back(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, numbered(1))
    write_picture(tmp_path / name, numbered(77))
    assert np.array_equal(read_picture(tmp_path / name), numbered(77))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_write_picture_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.png", numbered(1))

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(picture_file.os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_picture(tmp_path / "a.png", numbered(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert np.array_equal(read_picture(tmp_path / "a.png"), numbered(1))
    with pytest.raises(FileNotFoundError):
        write_picture(tmp_path / "missing" / "a.png", numbered(2))
    with pytest.raises(UserError, match="ends in"):
        write_picture(tmp_path / "a.txt", numbered(2))


def test_list_pictures(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.png", "sub/c.webp", ".hidden.png", "d.jpg.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert list_pictures(tmp_path) == [tmp_path / "a.png", tmp_path / "b.jpg"]
    assert list_pictures(tmp_path, recursive=True)[2:] == [tmp_path / "sub" / "c.webp"]
    with pytest.raises(UserError, match="not a folder"):
        list_pictures(tmp_path / "a.png")
