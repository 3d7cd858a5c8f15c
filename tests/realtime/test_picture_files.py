"""Pictures of others: every format upright, large ones small, faults told, libraries quiet."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import UserError
from realtime import picture_files
from realtime.picture_files import MOST_PIXELS, MOST_SIDE, decode, load_picture, read_picture
from realtime.picture_header import HEAD, format_of, size_of
from tests.cli import ROOT, environment

WRITTEN = {  # suffix → format
    ".jpg": "JPEG",
    ".png": "PNG",
    ".webp": "WebP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".avif": "AVIF",
    ".gif": "GIF",
    ".pgm": "Netpbm",
    ".ppm": "Netpbm",
    ".jp2": "JPEG 2000",
    ".ras": "Sun raster",
    ".hdr": "Radiance",
}


def corners(height: int = 60, width: int = 100) -> np.ndarray:
    """uint8 (height, width, 3) BGR: another colour in each corner, so that any turn is seen."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (0, 0, 230)
    image[: height // 2, width // 2 :] = (0, 230, 0)
    image[height // 2 :, : width // 2] = (230, 0, 0)
    return image


def encoded(image: np.ndarray, suffix: str, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return data.tobytes()


def png_with(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks behind its header."""
    more = b""
    for name, content in chunks:
        check = struct.pack(">I", zlib.crc32(name + content))
        more += struct.pack(">I", len(content)) + name + content + check
    return data[:33] + more + data[33:]


def noisy_jpeg() -> bytes:
    """libjpeg says "extraneous bytes before marker" about it, and decodes it."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(noise, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    at = data.index(b"\xff\xd1")
    return data[:at] + 8 * b"U" + data[at:]


def noisy_png() -> bytes:
    """libpng warns of its colour profile."""
    return png_with(encoded(corners(), ".png"), (b"iCCP", b"x\0\0"))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_format_and_size_are_those_that_the_decoder_finds(tmp_path: Path, suffix: str) -> None:
    image = corners(137, 153)
    if suffix == ".pgm":
        image = image[..., 0]
    data = encoded(image.astype(np.float32) / 255 if suffix == ".hdr" else image, suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert cv2.haveImageReader(str(path))
    assert format_of(data[:HEAD]) == WRITTEN[suffix]
    assert size_of(data) == (153, 137)
    assert load_picture(path).image.shape == (137, 153, 3)


def test_sizes_of_the_other_kinds_of_webp_and_bmp() -> None:
    lossless = encoded(corners(137, 153), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    assert b"VP8L" in lossless[:16] and size_of(lossless) == (153, 137)
    with_alpha = encoded(np.full((137, 153, 4), 100, np.uint8), ".webp", 64, 80)
    assert b"VP8X" in with_alpha[:16] and size_of(with_alpha) == (153, 137)
    os2 = b"BM" + bytes(12) + struct.pack("<IHH", 12, 153, 137)
    assert size_of(os2) == (153, 137)


@pytest.mark.parametrize("head", [b"", b"hello world, this is text", b"BM is a name", b"P5 what"])
def test_what_is_no_picture(head: bytes) -> None:
    assert format_of(head) is None and size_of(head) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    pil = pytest.importorskip("PIL.Image", reason="Pillow writes the tags")
    from PIL import ImageOps

    exif = pil.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    pil.fromarray(corners()[..., ::-1]).save(file, kind, exif=exif)
    upright = ImageOps.exif_transpose(pil.open(file)).convert("RGB")
    expected = np.asarray(upright)[..., ::-1].astype(int)
    image = decode(file.getvalue(), "a").image
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 12


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("shape", [(3000, 5000), (5000, 3000), (40, 17000), (4096, 16)])
def test_large_pictures_are_seen_smaller(suffix: str, shape: tuple[int, int]) -> None:
    picture = decode(encoded(corners(*shape), suffix), "a")
    height, width = picture.image.shape[:2]
    assert max(height, width) == MOST_SIDE
    assert picture.scale == max(shape) / MOST_SIDE
    assert (height, width) == tuple(max(round(side / picture.scale), 1) for side in shape)
    small = cv2.resize(corners(*shape), (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.image.astype(int) - small).mean() < 4


def test_a_picture_of_moderate_size_keeps_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 255, (1080, MOST_SIDE, 3), np.uint8)
    picture = decode(encoded(image, ".png"), "a")
    assert np.array_equal(picture.image, image) and picture.scale == 1


def test_what_would_take_gigabytes_is_refused_before_it_is_decoded() -> None:
    data = bytearray(encoded(corners(), ".png"))
    side = int(MOST_PIXELS**0.5) + 1
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(UserError, match=f"a has {side} × {side} pixels.*save it smaller"):
        decode(bytes(data), "a")


def test_a_chunk_that_claims_gigabytes_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(png_with(encoded(corners(), ".png"), (b"tEXt", b"a\0b")))
    data[33:37] = struct.pack(">I", 1 << 31)
    monkeypatch.setattr(picture_files.cv2, "imdecode", lambda *_: pytest.fail("it allocates them"))
    with pytest.raises(UserError, match="a can't be read as a picture"):
        decode(bytes(data), "a")


@pytest.mark.parametrize("data", [noisy_jpeg(), noisy_png()], ids=["libjpeg", "libpng"])
def test_libraries_say_nothing_of_small_faults(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    code = (
        "import sys, cv2, numpy as np\n"
        "from realtime.picture_files import decode\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "print(decode(data, 'a').image.shape[2], file=sys.stderr)\n"
        "cv2.imdecode(np.frombuffer(data, np.uint8), 1)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    first, *loud = done.stderr.splitlines()
    assert first == "3"
    assert loud, "the library no longer complains of this file: make another"


def test_heic_is_read_or_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(40)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pi_heif", None)
        with pytest.raises(UserError, match="a.heic is a HEIC picture.*pip install pi-heif"):
            decode(head, "a.heic")
    pytest.importorskip("pi_heif")
    with pytest.raises(UserError, match="a.heic can't be read as a HEIC picture"):
        decode(head, "a.heic")


def test_heic_pixels_are_kept_when_its_file_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """libheif's memory goes with its file; nothing here writes HEIC, so its reader is played."""
    memory = np.pad(corners(), ((0, 0), (0, 4), (0, 0)))  # rows are padded, too

    class File:
        size = (100, 60)
        __array_interface__ = memory.__array_interface__

    pi_heif = pytest.importorskip("pi_heif")
    monkeypatch.setattr(pi_heif, "open_heif", lambda *_, **__: File())
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    image = decode(head, "a").image
    memory[:] = 7
    assert np.array_equal(image, corners())
    assert (decode(head, "a", grey=True).image == 7).all()


def test_names_that_are_no_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read as a picture"):
        read_picture("a\0b.png")


SEEDS = [encoded(corners(64, 80), suffix) for suffix in (".jpg", ".png", ".webp", ".tif", ".avif")]
SEEDS += [encoded(corners(64, 80), suffix) for suffix in (".bmp", ".gif", ".jp2")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_pictures_give_a_picture_or_a_sentence(data: st.DataObject) -> None:
    seed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(seed)))
    damaged = bytes(seed[:cut] if data.draw(st.booleans()) else seed)
    try:
        image = decode(damaged, "a").image
    except UserError as error:
        assert str(error).startswith("a ")
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and max(image.shape) <= MOST_SIDE


def test_only_one_large_picture_is_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "LARGE", 1)
    held: list[bool] = []
    whole = picture_files._decode

    def noting(*arguments: object) -> np.ndarray | None:
        held.append(picture_files._one_at_a_time.locked())
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(picture_files, "_decode", noting)
    decode(encoded(corners(), ".png"), "a")
    monkeypatch.setattr(picture_files, "LARGE", 1 << 24)
    decode(encoded(corners(), ".png"), "a")
    assert held == [True, False]
