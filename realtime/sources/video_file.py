"""Read the pictures of a video file with PyAV. The only file that imports av."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from engines.errors import UserError, short_reason
from realtime.quiet import silence_native_stderr

TEXT = {"ansi", "bintext", "idf", "xbin"}  # FFmpeg "plays" any text as a console recording
COVERS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff"}  # beside another codec they are covers
ATTACHED_PICTURE = 0x400  # FFmpeg's flag of a stream that is a cover
STILLS = {"avif", "heic", "heix", "mif1"}  # brands of files whose streams may be a picture's tiles
HEAD_PACKETS, HEAD_BYTES = 50, 16_000_000  # that are read ahead to learn the rate, at most
ODD_STEP = 1.5  # usual steps; a longer one between two frames is a gap and no rate
SAME_RATE = 0.1  # the announced rate may differ by this share from the one of the times
MOST_FAILURES = 100  # of reading, one after the other, before the rest is given up
THREADS = 4  # of a decoder, at most; each holds a picture
LARGE = 2_100_000  # px; pictures that are larger take several threads
LIMITS = {"max_pixels": str(1 << 26)}  # twice 8K; a damaged size would take gigabytes

Picture = tuple[np.ndarray, float]
Value = TypeVar("Value")


class VideoFile:
    """The pictures of a video file, in order and upright; what can't be decoded is passed over.

    Iterate it in one thread, once; close it from any.

    Attributes:
        rate: Frames a second; None where its times don't tell.
        still: It holds one picture.
        announced: How many frames it says that it shows; 0 where it doesn't say.
        unreadable: Parts that were passed over so far.

    Raises:
        UserError: The file can't be played.
    """

    def __init__(self, path: Path) -> None:
        with silence_native_stderr():  # macOS complains that OpenCV has brought an FFmpeg, too
            import av
            from av.video.reformatter import VideoReformatter
        # Of FFmpeg, of the disk, of text that isn't UTF-8, of sizes beyond reason.
        self._damage: tuple[type[Exception], ...] = (
            av.FFmpegError,
            OSError,
            ValueError,
            MemoryError,
        )
        self._converter = VideoReformatter()  # one for all pictures: it keeps its tables
        self._lock = threading.Lock()  # to close a file while it is decoded would crash
        self._closed = self._failing = False
        self.unreadable = 0
        self._container = self._open(path, av.open)
        try:
            self._stream = _choose_stream(path, self._container)
        except BaseException:
            self.close()
            raise
        codec = self._stream.codec_context
        # Threads that decode a frame each lose the last ones of a file that is damaged near its
        # end. Threads within a frame don't, and do for pictures of a usual size.
        self._stream.thread_type = "AUTO" if codec.width * codec.height > LARGE else "SLICE"
        codec.thread_count, codec.options = THREADS, LIMITS
        packets = self._read_packets()
        head = list(_head(packets))
        self._packets = itertools.chain(head, packets)
        pictures = [packet for packet in head if packet.size]
        self.still = len(pictures) == 1 < len(head)  # what follows it is the end
        self.rate = _rate(self._stream.average_rate, [_time_of(packet) for packet in pictures])
        self.announced = _announced(self._container, self._stream, self.rate)

    def __iter__(self) -> Iterator[Picture]:
        """Yield pictures, uint8 (H, W, 3) BGR, and their times in seconds, NaN without one."""
        for packet in self._packets:
            frames: Sequence[Any] = self._try(packet.decode, ())
            for frame in frames:
                image = self._try(functools.partial(self._convert, frame), None)
                if image is not None:
                    yield image, _time_of(frame)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._container.close()
                self._file.close()

    def _open(self, path: Path, open_container: Callable[..., Any]) -> Any:
        try:
            # Python's file: FFmpeg would take "12:30.mp4" for an address.
            self._file = path.open("rb")
        except OSError as error:
            raise refusal(path, short_reason(error)) from None
        # A list of other files opens none of them.
        options = {"protocol_whitelist": "none", **LIMITS}
        try:
            if not self._file.read(1):
                raise refusal(path, "it is empty")
            self._file.seek(0)
            try:
                return open_container(self._file, options=options)
            except UnicodeDecodeError:  # its title, or the like
                self._file.seek(0)
                return open_container(self._file, options=options, metadata_encoding="latin-1")
        except self._damage:
            self._file.close()
            raise refusal(path, "it is no video, or one whose end is missing") from None
        except BaseException:
            self._file.close()
            raise

    def _read_packets(self) -> Iterator[Any]:
        """Yield the stream's parts; the last, which is empty, makes the decoder give what is left.

        An unreadable one ends the library's own iterator, but not the file.
        """
        failures = 0
        parts = self._container.demux(self._stream)
        while failures < MOST_FAILURES and not self._closed:
            part = self._try(functools.partial(next, parts, None), self)
            if part is None:
                return
            if part is self:
                failures += 1
                parts = self._container.demux(self._stream)
            else:
                failures = 0
                yield part

    def _try(self, work: Callable[[], Value], otherwise: Value) -> Value:
        """What the library makes of the next bytes, or `otherwise` where they are damaged."""
        with self._lock:
            if self._closed:
                return otherwise
            try:
                value = work()
            except self._damage:
                self.unreadable += not self._failing
                self._failing = True
                return otherwise
            self._failing = False
            return value

    def _convert(self, frame: Any) -> np.ndarray:
        image = self._converter.reformat(frame, format="bgr24").to_ndarray()
        return _upright(image, _display_matrix(frame))


def refusal(path: Path, reason: str, remedy: str = "Copy or record it again") -> UserError:
    """The error for a file that can't be played: why, and what to do."""
    return UserError(
        f"{path} can't be played as a video: {reason}. {remedy}, or name another --camera."
    )


def _choose_stream(path: Path, container: Any) -> Any:
    """The stream that a player would show. Raises UserError where there is none."""
    videos = list(container.streams.video)
    if container.metadata.get("major_brand") in STILLS and len(videos) > 1:
        raise refusal(path, "it is a picture in several parts", "Save it as JPEG or PNG")
    films = [each for each in videos if not each.disposition.value & ATTACHED_PICTURE]
    known = [each for each in films if each.codec_context is not None]
    played = {each.index: each for each in known if each.codec_context.name not in TEXT}
    if played:
        best = container.streams.best("video")  # by default flag and number of frames
        return min(
            played.values(),
            key=lambda each: (each.codec_context.name in COVERS, each.index != best.index),
        )
    if len(known) < len(films):
        remedy = f'Convert it, such as with: ffmpeg -i "{path.name}" "{path.stem}-h264.mp4"'
        raise refusal(path, "its codec is unknown here", remedy)
    if videos and not films:
        raise refusal(path, "its only picture is a cover")
    raise refusal(path, "it is no video")


def _head(packets: Iterator[Any]) -> Iterator[Any]:
    """The first packets, up to a bound."""
    size = 0
    for packet in itertools.islice(packets, HEAD_PACKETS):
        yield packet
        size += packet.size
        if size > HEAD_BYTES:
            return


def _rate(announced: Any, times: Sequence[float]) -> float | None:
    """Frames a second: as announced where the frames' times agree, else by these.

    A browser's recording announces a thousand, or nothing.
    """
    ordered = sorted(time_s for time_s in times if math.isfinite(time_s))
    steps = [after - before for before, after in itertools.pairwise(ordered) if after > before]
    if not steps:
        return None
    usual = statistics.median(steps)
    step = statistics.fmean(s for s in steps if s <= ODD_STEP * usual)
    if announced and abs(float(announced) * step - 1) <= SAME_RATE:
        return float(announced)
    return round(1 / step, 2)


def _announced(container: Any, stream: Any, rate: float | None) -> int:
    """The frames of a stream; of MP4 and its like, without those that an editor has cut off."""
    frames = int(stream.frames)
    if rate and stream.duration and "mp4" in container.format.name:
        frames = min(frames, round(float(stream.duration * stream.time_base) * rate))
    return frames


def _time_of(part: Any) -> float:
    """The time of a packet or a frame in seconds, NaN where it has none."""
    stamp = part.pts if part.pts is not None else part.dts
    return math.nan if stamp is None or not part.time_base else float(stamp * part.time_base)


def _display_matrix(frame: Any) -> tuple[int, int, int, int] | None:
    """(a, b, c, d): a pixel at (x, y) is shown at (a·x + c·y, b·x + d·y), up to scale and place."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # some releases stumble over side data that they don't know
        return QUARTER_TURNS.get(round(frame.rotation / 90) % 4)
    if data is None or len(bytes(data)) < 36:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    return a, b, c, d


# By quarter turns counter-clockwise.
QUARTER_TURNS = {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}


def _upright(image: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """The picture as it is to be shown; matrices turn and mirror by right angles only."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if abs(a) + abs(d) < abs(b) + abs(c):  # x and y change places
        image = cv2.transpose(image)
        a, d = c, b
    flips = {(True, False): 1, (False, True): 0, (True, True): -1}  # cv2's codes
    code = flips.get((a < 0, d < 0))
    return image if code is None else cv2.flip(image, code)
