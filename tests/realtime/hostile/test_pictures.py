"""Pictures and videos that are changed by chance: read, or refused in a sentence."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import UserError
from realtime.picture_files import read_picture
from realtime.sources.open import open_source
from tests.cli import write_video
from tests.realtime.hostile.changes import MANY, changed_bytes

MOST_FRAMES = 300
NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
SUFFIXES = [".jpg", ".png", ".bmp", ".webp", ".tif", ".gif", ".avif"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the file that is tried; after a crash of the process it is still there."""
    return tmp_path_factory.mktemp("hostile")


def encoded(suffix: str) -> bytes:
    try:
        return cv2.imencode(suffix, NOISE)[1].tobytes()
    except cv2.error:  # this OpenCV can't write it
        return cv2.imencode(".jpg", NOISE)[1].tobytes()


PICTURES = {suffix: encoded(suffix) for suffix in SUFFIXES}
# OpenCV writes no EXIF: an orientation of 6, as a phone that is held upright says.
EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
PICTURES[".jpeg"] = (
    PICTURES[".jpg"][:2] + b"\xff\xe1" + (len(EXIF) + 2).to_bytes(2, "big") + EXIF
) + PICTURES[".jpg"][2:]


@MANY
@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_pictures(folder: Path, suffix: str, data: st.DataObject) -> None:
    path = folder / f"a{suffix}"
    path.write_bytes(data.draw(changed_bytes(PICTURES[suffix])))
    with contextlib.suppress(UserError):
        image = read_picture(path)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("videos")
    pictures = [np.roll(NOISE, 2 * i, axis=1).repeat(2, 0).repeat(2, 1) for i in range(12)]
    files = {
        suffix: write_video(folder / f"a{suffix}", pictures, 12).read_bytes()
        for suffix in (".mp4", ".avi")
    }
    files[".mjpeg"] = b"".join(cv2.imencode(".jpg", each)[1].tobytes() for each in pictures)
    return files


@MANY
@given(st.sampled_from([".mp4", ".avi", ".mjpeg", ".m3u8", ".txt"]), st.data())
def test_videos(folder: Path, videos: dict[str, bytes], suffix: str, data: st.DataObject) -> None:
    path = folder / f"a{suffix}"
    content = videos.get(suffix) or data.draw(st.sampled_from(sorted(videos.values())))
    path.write_bytes(data.draw(changed_bytes(content)))
    with contextlib.suppress(UserError), open_source(str(path)) as source:
        before = -1.0
        for frame in itertools.islice(source, MOST_FRAMES):
            assert frame.image.dtype == np.uint8 and frame.image.shape[2:] == (3,)
            assert before < frame.time_s < float("inf")
            before = frame.time_s


PLAYLISTS = [
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile '{}'\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 26\n",
    '<?xml version="1.0"?><MPD><Period><BaseURL>{}</BaseURL></Period></MPD>',
]


@pytest.mark.parametrize("text", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".sdp", ".jpg"])
def test_files_that_name_others_open_no_connection(folder: Path, text: str, suffix: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        path = folder / f"list{suffix}"
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path.write_text(text.format(address), encoding="utf-8")
        with pytest.raises(UserError), open_source(str(path)) as source:
            next(iter(source))
        with pytest.raises(TimeoutError):
            server.accept()
