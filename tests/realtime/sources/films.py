"""Pictures that show their number, and video files of them, with what a camera's file can have."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

BITS, BLOCK = 10, 32


def numbered(number: int) -> np.ndarray:
    """uint8 (64, 320, 3) BGR: ten blocks, yellow for a 1 and dark blue for a 0, lowest left."""
    image = np.zeros((64, BITS * BLOCK, 3), np.uint8)
    for bit, block in enumerate(np.split(image, BITS, axis=1)):
        block[:] = (0, 230, 230) if number >> bit & 1 else (90, 0, 0)
    return image


def number_of(image: np.ndarray) -> int:
    centres = image[32, BLOCK // 2 :: BLOCK, 1]
    return sum(1 << bit for bit, green in enumerate(centres) if green > 115)


def write_film(
    path: Path,
    pictures: Iterable[np.ndarray],
    codec: str = "libx264",
    rate: Fraction | int = 30,
    times_ms: Sequence[int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Each picture a key frame, so that a damaged one damages no other.

    Args:
        path: the file; its suffix names the format.
        pictures: uint8 (H, W, 3) BGR, all of one size.
        codec: the encoder.
        rate: frames a second, which the file announces.
        times_ms: when each is shown; None: as the rate says.
        metadata: title and the like.
    """
    with av.open(str(path), "w") as out:
        stream = None
        out.metadata.update(metadata or {})
        for index, picture in enumerate(pictures):
            if stream is None:
                stream = out.add_stream(codec, rate=rate, options={"g": "1"})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                if times_ms is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        assert stream is not None
        out.mux(stream.encode(None))
    return path


def damage_frames(path: Path, *frames: int) -> Path:
    """Overwrite frames of a film with zeros."""
    with av.open(str(path)) as film:
        parts = [bytes(packet) for packet in film.demux(video=0)]
    data = bytearray(path.read_bytes())
    for frame in frames:
        begin = data.index(parts[frame])
        data[begin : begin + len(parts[frame])] = bytes(len(parts[frame]))
    path.write_bytes(data)
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Have an MP4 file's track header say that a pixel (x, y) is shown at (ax + cy, bx + dy)."""
    data = bytearray(path.read_bytes())
    begin = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    struct.pack_into(">9i", data, begin, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def trim(path: Path, first: int, count: int, rate: int = 30) -> Path:
    """Have an MP4 file show `count` frames from `first` on, as an editor that cuts nothing does."""
    data = bytearray(path.read_bytes())
    media = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]  # units of a second
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    edit = data.index(b"elst") + 12
    struct.pack_into(">Ii", data, edit, count * movie // rate, first * media // rate)
    path.write_bytes(data)
    return path


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()
