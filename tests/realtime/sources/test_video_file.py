"""Video files as cameras, browsers, editors and accidents leave them; the tests make each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import UserError
from realtime.sources import video
from realtime.sources.open import open_source
from realtime.types import Frame
from tests.cli import ROOT
from tests.realtime.sources.films import (
    damage_frames,
    jpeg,
    number_of,
    numbered,
    set_display_matrix,
    trim,
    write_film,
)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(video, "warn", said.append)
    return said


def film(path: Path, frames: int = 40, **options) -> Path:
    return write_film(path, map(numbered, range(frames)), **options)


def play(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        return list(source)


def numbers(path: Path) -> list[int]:
    return [number_of(frame.image) for frame in play(path)]


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mp4"),
        ("libx264", ".mkv"),
        ("libx264", ".ts"),
        ("libsvtav1", ".mp4"),
        ("libvpx", ".webm"),
        ("mpeg4", ".avi"),
        ("mjpeg", ".mov"),
    ],
)
def test_every_frame_of_each_codec(
    tmp_path: Path, warnings: list[str], codec: str, suffix: str
) -> None:
    path = film(tmp_path / f"a{suffix}", codec=codec)
    assert numbers(path) == list(range(40))
    assert warnings == []


@pytest.mark.parametrize("lost", [(0,), (20,), (38,), (39,), (5, 6, 7), (3, 30), tuple(range(12))])
@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", ".mp4"), ("libx264", ".mkv"), ("mjpeg", ".avi")]
)
def test_damaged_frames_cost_no_others(
    tmp_path: Path, warnings: list[str], lost: tuple[int, ...], codec: str, suffix: str
) -> None:
    path = damage_frames(film(tmp_path / f"a{suffix}", codec=codec), *lost)
    frames = play(path)
    left = [number for number in range(40) if number not in lost]
    assert [number_of(frame.image) for frame in frames] == left
    assert [frame.index for frame in frames] == list(range(len(left)))
    times = [(number - left[0]) / 30 for number in left]
    assert np.allclose([frame.time_s for frame in frames], times, atol=0.002)
    assert len(warnings) == 1 and str(path) in warnings[0] and "damaged" in warnings[0]


def test_large_pictures_with_damage(tmp_path: Path, warnings: list[str]) -> None:
    """Their frames are decoded in several threads."""
    pictures = [cv2.resize(numbered(i), (2560, 1024)) for i in range(12)]
    path = damage_frames(write_film(tmp_path / "a.mp4", pictures), 4)
    seen = [number_of(frame.image[::16, ::8]) for frame in play(path)]
    assert seen == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert len(warnings) == 1


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)])
@pytest.mark.parametrize("exchanged", [False, True])
def test_turned_and_mirrored_by_the_display_matrix(
    tmp_path: Path, matrix: tuple[int, int, int, int], exchanged: bool
) -> None:
    """All eight ways; what a player shows is worked out pixel by pixel."""
    a, b, c, d = matrix
    if exchanged:
        a, b, c, d = b, a, d, c
    stored = numbered(37)
    height, width = stored.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    shown = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    shown[down, across] = stored
    path = write_film(tmp_path / "a.mp4", [stored] * 3)
    for frame in play(set_display_matrix(path, a, b, c, d)):
        assert frame.image.shape == shown.shape
        assert np.abs(frame.image.astype(int) - shown).mean() < 8


def test_size_that_changes(tmp_path: Path) -> None:
    upright = cv2.rotate(numbered(5), cv2.ROTATE_90_CLOCKWISE)
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join([jpeg(numbered(5))] * 4 + [jpeg(upright)] * 4))
    frames = play(path)
    assert [frame.image.shape for frame in frames] == [numbered(5).shape] * 4 + [upright.shape] * 4
    assert np.abs(frames[-1].image.astype(int) - upright).mean() < 8


def test_a_size_beyond_reason_is_damage(tmp_path: Path, warnings: list[str]) -> None:
    sound = jpeg(numbered(5))
    size = sound.index(b"\xff\xc0") + 5  # height and width
    huge = sound[:size] + b"\x3f\xf0\x3f\xf0" + sound[size + 4 :]
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join([sound] * 4 + [huge] + [sound] * 4))
    assert numbers(path) == [5] * 8
    assert len(warnings) == 1


def test_real_times_and_a_rate_that_was_never_true(tmp_path: Path) -> None:
    """A browser's recording announces a thousand frames a second."""
    times_ms = [33 * i + (0, 0, 3, 14)[i % 4] for i in range(40)]
    path = film(tmp_path / "a.webm", codec="libvpx", rate=1000, times_ms=times_ms)
    with open_source(str(path)) as source:
        assert source.fps == pytest.approx(30, rel=0.05)
        frames = list(source)
    assert np.allclose([frame.time_s * 1000 for frame in frames], times_ms, atol=1)


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(105611, 1000), 240, 6, 1])
def test_rates_that_are_true(tmp_path: Path, rate: Fraction | int) -> None:
    with open_source(str(film(tmp_path / "a.mp4", 12, rate=rate))) as source:
        assert source.fps == pytest.approx(float(rate), rel=1e-3)


def test_what_an_editor_cut_off_is_no_damage(tmp_path: Path, warnings: list[str]) -> None:
    assert numbers(trim(film(tmp_path / "a.mp4"), 10, 15)) == list(range(10, 25))
    assert warnings == []


NONE, DEFAULT, ATTACHED = 0, 1, 0x400


@pytest.mark.parametrize("disposition", [NONE, DEFAULT, ATTACHED, ATTACHED | DEFAULT])
def test_cover_before_the_film(tmp_path: Path, disposition: int) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(film(tmp_path / "plain.mkv"))) as plain, av.open(str(path), "w") as out:
        cover = out.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = 64, 320, "yuvj420p"
        cover.disposition = disposition
        source = plain.streams.video[0]
        copy = out.add_stream_from_template(source)
        picture = av.VideoFrame.from_ndarray(numbered(1023), format="bgr24")
        out.mux(cover.encode(picture))
        out.mux(cover.encode(None))
        for packet in plain.demux(source):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert numbers(path) == list(range(40))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n%s\n#EXT-X-ENDLIST\n"),
        ("list.mp4", b"ffconcat version 1.0\nfile '%s'\n"),
        ("call.sdp", b"v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 26\n"),
        ("notes.mp4", b"No frames here.\n" * 500),
    ],
)
def test_what_leads_elsewhere(tmp_path: Path, name: str, content: bytes) -> None:
    """A list of other files, or an address, is no video, and nothing of it is opened."""
    other = film(tmp_path / "secret.ts")
    path = tmp_path / name
    path.write_bytes(content.replace(b"%s", os.fsencode(other)))
    with pytest.raises(UserError, match="no video") as caught:
        open_source(str(path))
    assert str(path) in str(caught.value)


def test_codec_that_is_unknown(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(UserError, match=r"codec is unknown here\. Convert it.*ffmpeg -i"):
        open_source(str(path))


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        silence = np.zeros((2, 44100), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
        frame.sample_rate = 44100
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(UserError, match="no video"):
        open_source(str(path))


def test_one_picture_stands_alone(tmp_path: Path) -> None:
    with open_source(str(film(tmp_path / "a.mp4", 1))) as source:
        assert source.unrelated
        assert [number_of(frame.image) for frame in source] == [0]
    with open_source(str(film(tmp_path / "b.mp4", 2))) as source:
        assert not source.unrelated


@pytest.mark.parametrize("name", [b"12:30.mp4", b"caf\xe9.mp4", b"http:x.mp4", b"-i.mp4"])
def test_any_name_is_a_file(tmp_path: Path, name: bytes) -> None:
    try:
        path = film(tmp_path / "a.mp4").rename(tmp_path / os.fsdecode(name))
    except OSError:
        pytest.skip("this system has no such names")
    assert numbers(path) == list(range(40))


def test_title_that_is_no_utf8(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", metadata={"title": "Gesture"})
    path.write_bytes(path.read_bytes().replace(b"Gesture", b"Gest\xfcre"))
    assert numbers(path) == list(range(40))


def test_closing_from_another_thread(tmp_path: Path, warnings: list[str]) -> None:
    with open_source(str(film(tmp_path / "a.mp4", 400))) as source:
        closing = threading.Thread(target=source.close)
        seen = 0
        for frame in source:
            seen += 1
            if frame.index == 2:
                closing.start()
        closing.join()
    assert 3 <= seen < 400
    assert warnings == []


def test_ffmpeg_is_quiet_about_damage(tmp_path: Path) -> None:
    whole = damage_frames(film(tmp_path / "a.mp4"), 7)
    cut = film(tmp_path / "b.mkv")
    cut.write_bytes(cut.read_bytes()[:-3000])
    script = (
        "import sys; from realtime.sources.open import open_source\n"
        "for path in sys.argv[1:]: print(sum(1 for _ in open_source(path)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(whole), str(cut)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[0] == "39"
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["warning"] * len(lines), done.stderr


FORMATS = [("libx264", ".mp4"), ("libx264", ".mkv"), ("libvpx", ".webm"), ("mjpeg", ".avi")]


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sound")
    return [film(folder / f"a{suffix}", 8, codec=codec) for codec, suffix in FORMATS]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    which=st.integers(0, len(FORMATS) - 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=40)), max_size=6),
    kept=st.floats(0, 1),
)
def test_any_damage_ends_in_frames_or_in_a_sentence(
    sound_files: list[Path],
    warnings: list[str],
    which: int,
    changes: list[tuple[float, bytes]],
    kept: float,
) -> None:
    sound = sound_files[which]
    data = bytearray(sound.read_bytes())
    for place, change in changes:
        begin = int(place * (len(data) - len(change)))
        data[begin : begin + len(change)] = change
    path = sound.with_name(f"damaged{sound.suffix}")
    path.write_bytes(data[: max(1, int(kept * len(data)))])
    try:
        frames = play(path)
    except UserError as error:
        assert str(path) in str(error)
        return
    assert [frame.index for frame in frames] == list(range(len(frames)))
    times = [frame.time_s for frame in frames]
    assert times[0] == 0 and all(np.diff(times) > 0)
    assert all(frame.image.dtype == np.uint8 and frame.image.ndim == 3 for frame in frames)
