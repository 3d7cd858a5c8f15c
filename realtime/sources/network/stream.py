"""Open a stream: pictures over HTTP by ourselves, everything else with FFmpeg."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engines.text.addresses import Address
from realtime.sources.capture import Capture, Reader, open_ffmpeg
from realtime.sources.network.pictures import open_http
from realtime.sources.network.proxy import keep_ffmpeg_off_proxies
from realtime.sources.network.refusal import Refused, refused_by_error
from realtime.sources.network.rtsp import ask_rtsp

SCHEMES = ("http", "https", "rtsp", "rtsps")
ADVICE = "Check its address and the network, or look around with `--camera demo`."


def open_stream(
    address: Address, timeout_s: float, stall_s: float, pause: Callable[[float], object]
) -> tuple[Reader, np.ndarray]:
    """Open a stream and read its first picture.

    Args:
        address: of one of SCHEMES.
        timeout_s: for the server's first answer.
        stall_s: for a picture, or a piece of it.
        pause: waits for so many seconds and says whether there is no need to go on.
    Raises:
        Refused: it gives none.
    """
    try:
        address.full.encode()
    except UnicodeEncodeError as error:
        raise refused_by_error(error, address) from None
    if address.scheme in ("http", "https"):
        pictures = open_http(address, timeout_s, stall_s, pause)
        if pictures is not None:
            return _begin(pictures, "what it sends can't be decoded")
    keep_ffmpeg_off_proxies(address)
    try:
        return _begin(*_play(address, timeout_s, stall_s))
    except Refused:
        if address.scheme in ("http", "https") or ask_rtsp(address, timeout_s):
            raise
    capture, _ = _play(address, timeout_s, stall_s, udp=True)
    return _begin(capture, "it sends over UDP only, and nothing comes through")


def _play(
    address: Address, timeout_s: float, stall_s: float, udp: bool = False
) -> tuple[Capture, str]:
    """A capture of FFmpeg, and what is wrong where it gives no frame."""
    capture = open_ffmpeg(address.full, timeout_s, stall_s, udp)
    went = "opened it but got no frame" if capture.isOpened() else "could not open it"
    return Capture(capture), f"FFmpeg {went}"


def _begin(reader: Reader, fault: str) -> tuple[Reader, np.ndarray]:
    """A reader with its first picture. Raises Refused, with the fault, where there is none."""
    image = reader.read()
    if image is None:
        reader.close()
        raise Refused(fault, ADVICE, final=False)
    return reader, image
