"""Why an RTSP server gives no stream: FFmpeg doesn't say, so it is asked again (RFC 2326)."""

from __future__ import annotations

import re
import socket
import ssl
from typing import BinaryIO

from engines.text.addresses import Address
from realtime.sources.network.login import authorization
from realtime.sources.network.refusal import Refused, refused_by_error, refused_by_status

PORTS = {"rtsp": 554, "rtsps": 322}
MOST_LINES, MOST_BODY = 100, 1 << 16  # of an answer: a server may send what it likes
PORT_ADVICE = "Correct the port in the address; RTSP's is 554 on most cameras."
TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


def ask_rtsp(address: Address, timeout_s: float) -> bool:
    """Go through the first steps of RTSP with a server that FFmpeg could not play.

    Returns:
        Whether it would send over TCP; False where it seems to know UDP alone.
    Raises:
        Refused: it can't be reached, or refuses.
    """
    try:
        with _Talk(address, timeout_s) as talk:
            status, heads, body = talk.say("DESCRIBE", address.bare, "Accept: application/sdp")
            if status >= 400:
                raise refused_by_status(status, address.user is not None, address.scheme)
            base = _first(heads, "content-base") or address.bare
            return talk.say("SETUP", _track(base, body), f"Transport: {TCP}")[0] < 400
    except (OSError, ValueError) as error:
        raise refused_by_error(error, address) from None


class _Talk:
    """One connection; each request is sent again where it is answered with a challenge."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        place = address.host, address.port or PORTS[address.scheme]
        self._address, self._number = address, 0
        self._socket = socket.create_connection(place, timeout_s)
        if address.scheme == "rtsps":
            context = ssl.create_default_context()  # cameras sign their certificates themselves
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket, server_hostname=address.host)
        self._file: BinaryIO = self._socket.makefile("rb")

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def say(self, method: str, uri: str, header: str) -> tuple[int, list[tuple[str, str]], str]:
        """Status, headers and body of the answer to a request. Raises OSError, ValueError."""
        status, heads, body = self._ask(method, uri, [header])
        challenges = [value for key, value in heads if key == "www-authenticate"]
        answer = authorization(challenges, self._address, method, uri)
        if status == 401 and answer is not None:
            return self._ask(method, uri, [header, f"Authorization: {answer}"])
        return status, heads, body

    def _ask(
        self, method: str, uri: str, headers: list[str]
    ) -> tuple[int, list[tuple[str, str]], str]:
        self._number += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self._number}", *headers, "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        first = self._line()
        found = re.match(r"RTSP/\d\.\d (\d{3})", first)
        if not found:
            what = "closed the connection" if not first else "answered something that isn't RTSP"
            raise Refused(f"it {what}", PORT_ADVICE, final=bool(first))
        heads: list[tuple[str, str]] = []
        while (line := self._line()) and len(heads) < MOST_LINES:
            key, _, value = line.partition(":")
            heads.append((key.strip().lower(), value.strip()))
        length = _first(heads, "content-length")
        size = min(int(length), MOST_BODY) if length.isdecimal() else 0
        return int(found[1]), heads, self._file.read(size).decode("utf-8", "replace")

    def _line(self) -> str:
        return self._file.readline(MOST_BODY).decode("utf-8", "replace").strip()


def _first(heads: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in heads if key == name), "")


def _track(base: str, description: str) -> str:
    """The address of the first video in a description (SDP, RFC 4566)."""
    video = description.partition("m=video")[2].partition("\nm=")[0]
    found = re.search(r"^a=control:(\S+)", video, re.MULTILINE)
    if not found or found[1] == "*":
        return base
    return found[1] if "://" in found[1] else f"{base.rstrip('/')}/{found[1]}"
