"""Pictures over HTTP: a multipart stream (MJPEG), JPEGs in a row, or one picture to ask for again.

FFmpeg would play the streams, too. It doesn't say why a server refuses, takes an unreadable picture
for the end, squeezes pictures whose size changes, and stops after a single one.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable

import cv2
import numpy as np

from engines.text.addresses import Address
from realtime.picture_files import decode_quietly
from realtime.picture_header import size_of
from realtime.sources.network.refusal import Refused, refused_by_error
from realtime.sources.network.request import request

SNAPSHOT_S = 0.1  # between two requests for a single picture
MOST_BYTES = 64 << 20  # of one picture
CHUNK, LINE = 1 << 16, 1 << 12  # bytes: read at once; longest line between two pictures
SNIFF = 64  # bytes that tell what a server sends
END_AND_BEGIN = b"\xff\xd9\xff\xd8"  # of two JPEGs in a row
PICTURE = re.compile(rb"\xff\xd8|\x89PNG|RIFF....WEBP|BM|GIF8", re.DOTALL)  # how one begins

MOST_PIXELS = 1 << 25  # of a frame; more than any camera sends


class HttpPictures:
    """The pictures that a server sends; `read` gives them in turn. Used by one thread."""

    def __init__(
        self, address: Address, stall_s: float, pause: Callable[[float], object], body: _Body
    ) -> None:
        self._address, self._stall_s, self._pause, self._body = address, stall_s, pause, body
        self._count = 0  # of the pictures in this answer

    def read(self) -> np.ndarray | None:
        """The next picture, uint8 (H, W, 3) BGR; None where none came within stall_s.

        One that can't be decoded is left out.
        """
        deadline_s = time.monotonic() + self._stall_s
        while time.monotonic() < deadline_s:
            data = self._next(deadline_s)
            if data is None:
                return None
            image = decode(data)
            if image is not None:
                return image
        return None

    def close(self) -> None:
        self._body.response.close()

    def _next(self, deadline_s: float) -> bytes | None:
        """The next picture's file; empty where an answer had none, None after the last one."""
        single = self._body.over and self._count == 1 and self._body.boundary is None
        try:
            if single:
                if self._pause(SNAPSHOT_S):
                    return None
                self.close()
                self._body, self._count = _ask(self._address, self._stall_s, self._stall_s), 0
            self._body.deadline_s = deadline_s
            self._count += 1
            return self._body.part()
        except Refused:
            return b""  # a single picture that is refused now and then
        except (OSError, http.client.HTTPException, ValueError):
            return b"" if single else None


class _Body:
    """What a server sends, cut into pictures.

    Attributes:
        response: what it is read from.
        boundary: between the parts of a multipart body, without dashes; else None.
        deadline_s: of the next part, on the monotonic clock.
        over: whether all has been read.
    """

    def __init__(self, response: http.client.HTTPResponse, deadline_s: float) -> None:
        self.response, self.deadline_s = response, deadline_s
        self.over = False
        self._read = bytearray()  # and not cut yet
        while len(self._read) < SNIFF and self._more():
            pass
        self.begin = bytes(self._read[:SNIFF])
        self.boundary = _boundary(response.headers.get("Content-Type", ""), self.begin)

    def part(self) -> bytes | None:
        """The next picture's file, None after the last."""
        if self.boundary is None:
            data = self._until(END_AND_BEGIN, keep=2)
            return data or None
        while self._line().strip(b"-\r\n \t") != self.boundary:
            if self.over and not self._read:
                return None
        length = 0
        while line := self._line().strip():
            key, _, value = line.partition(b":")
            if key.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
        if not 0 < length <= MOST_BYTES:
            return self._until(b"--" + self.boundary)
        while len(self._read) < length and self._more():
            pass
        return self._cut(length)

    def _line(self) -> bytes:
        while (end := self._read.find(b"\n")) < 0 and len(self._read) < LINE and self._more():
            pass
        return self._cut(end + 1 if end >= 0 else LINE)

    def _until(self, mark: bytes, keep: int = 0) -> bytes:
        """Up to a mark, of which the first `keep` bytes belong to it; without one, all there is."""
        looked = 0
        while (end := self._read.find(mark, max(looked - len(mark), 0))) < 0:
            looked = len(self._read)
            if looked > MOST_BYTES or not self._more():
                return self._cut(looked)
        return self._cut(end + keep)

    def _cut(self, length: int) -> bytes:
        data = bytes(self._read[:length])
        del self._read[:length]
        return data

    def _more(self) -> bool:
        """Read on; False at the end. Raises TimeoutError where that takes too long."""
        if time.monotonic() > self.deadline_s:
            raise TimeoutError
        data = b"" if self.over else self.response.read1(CHUNK)
        self._read += data
        self.over = not data
        return not self.over


def open_http(
    address: Address, timeout_s: float, stall_s: float, pause: Callable[[float], object]
) -> HttpPictures | None:
    """Ask a server for pictures.

    Args:
        address: of scheme http or https.
        timeout_s: for its answer.
        stall_s: between two pictures.
        pause: waits for so many seconds and says whether there is no need to go on.
    Returns:
        None where it sends something else that may be a video: it is for FFmpeg.
    Raises:
        Refused: it sends no pictures.
    """
    try:
        body = _ask(address, timeout_s, stall_s)
    except http.client.HTTPException:  # not quite HTTP; FFmpeg is less strict
        return None
    kind = body.response.headers.get_content_type()
    begin = body.begin.lstrip().lower()
    if body.boundary is not None or PICTURE.match(body.begin):
        return HttpPictures(address, stall_s, pause, body)
    body.response.close()
    if not begin:
        raise Refused("it sends nothing", "Correct the address, or restart the camera.", False)
    if kind in ("text/html", "application/xhtml+xml") or begin.startswith((b"<!doctype", b"<html")):
        raise Refused(
            "it is a web page, not a stream",
            "Give the address of the picture in it: in a browser, right-click the picture and copy "
            "its address.",
        )
    if kind in ("application/json", "text/xml", "application/xml") or (
        kind.startswith("text/") and not begin.startswith(b"#extm3u")
    ):
        raise Refused(f"it sends {kind}, not a stream", "Correct the address.")
    return None


def _ask(address: Address, timeout_s: float, stall_s: float) -> _Body:
    """Raises Refused and HTTPException, as `request` does."""
    response = request(address, timeout_s, stall_s)
    try:
        return _Body(response, time.monotonic() + timeout_s)
    except OSError as error:
        raise refused_by_error(error, address) from None


def decode(data: bytes) -> np.ndarray | None:
    """A picture's file as uint8 (H, W, 3) BGR, turned upright; None where it can't be read.

    Positions in the picture are told to others, so that unlike a photograph it isn't scaled down.
    """
    width, height = size_of(data) or (0, 0)
    if not data or width * height > MOST_PIXELS:
        return None
    return decode_quietly(data, cv2.IMREAD_COLOR)


def _boundary(content_type: str, begin: bytes) -> bytes | None:
    """What stands between the parts of a multipart body, without dashes; None: it has no parts."""
    if content_type.lower().startswith("multipart/"):
        found = re.search(r'boundary="?([^";]+)', content_type, re.IGNORECASE)
        if found:
            return found[1].strip().strip("-").encode()
    line = re.match(rb"\s*--([^\r\n]{1,70})\r?\n", begin)  # a server that doesn't say what it sends
    return line[1].strip(b"- ") if line else None
