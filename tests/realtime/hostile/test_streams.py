"""HTTP and RTSP servers that answer whatever they like."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.text.addresses import public_address, read_address
from realtime.picture_files import quiet_opencv
from realtime.sources.network.login import authorization
from realtime.sources.network.pictures import HttpPictures, open_http
from realtime.sources.network.refusal import Refused
from realtime.sources.network.rtsp import ask_rtsp
from tests.realtime.hostile.changes import MANY, changed_bytes
from tests.realtime.sources.network.servers import STREAM, jpeg, part

PATIENCE_S = 0.5
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {STREAM}\r\n\r\n".encode()
ONE = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 900\r\n\r\n" + jpeg(4)
CHUNKED = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n100\r\n" + part(jpeg(3)) + b"0\r\n\r\n"
ASKED = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b", qop="auth"\r\n\r\n'
HTTP = [
    HEAD + part(jpeg(1)) + part(jpeg(2), None) + part(jpeg(3)),
    HEAD.replace(b"multipart/x-mixed-replace", b"text/plain") + jpeg(1) + jpeg(2),
    ONE,
    CHUNKED,
    ASKED,
    b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n",
]
SDP = b"v=0\r\nm=video 0 RTP/AVP 26\r\na=control:x"
RTSP = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 43\r\n\r\n" + SDP,
    b'RTSP/1.0 401 No\r\nWWW-Authenticate: Basic realm="a"\r\n'
    b'WWW-Authenticate: Digest nonce="b"\r\n\r\n',
]


class Server(socketserver.ThreadingTCPServer):
    """Gives each connection the same bytes."""

    daemon_threads = True
    data = b""


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.request.recv(4096)
            self.request.sendall(self.server.data)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    quiet_opencv()
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@MANY
@given(st.sampled_from(HTTP), st.data())
def test_http(server: Server, seed: bytes, data: st.DataObject) -> None:
    server.data = data.draw(changed_bytes(seed))
    address = read_address(f"http://me:secret@127.0.0.1:{server.server_address[1]}/video")
    assert address is not None
    began_s = time.monotonic()
    pictures: HttpPictures | None = None
    try:
        pictures = open_http(address, PATIENCE_S, PATIENCE_S, lambda _: True)
        while pictures is not None and (image := pictures.read()) is not None:
            assert image.ndim == 3
    except Refused as refused:
        assert "secret" not in f"{refused} {refused.advice}"
    finally:
        if pictures is not None:
            pictures.close()
    assert time.monotonic() - began_s < 60  # it ends


@MANY
@given(st.sampled_from(RTSP), st.data())
def test_rtsp(server: Server, seed: bytes, data: st.DataObject) -> None:
    server.data = data.draw(changed_bytes(seed))
    address = read_address(f"rtsp://me:secret@127.0.0.1:{server.server_address[1]}/video")
    assert address is not None
    try:
        assert ask_rtsp(address, PATIENCE_S) in (True, False)
    except Refused as refused:
        assert "secret" not in f"{refused} {refused.advice}"


PARTS = st.lists(
    st.sampled_from(
        ["realm", "nonce", "qop", "algorithm", "opaque", "=", '"', '"auth"', ",", " ", "MD5-sess"]
    )
    | st.text(max_size=3)
)


@MANY
@given(st.lists(st.text(max_size=30) | PARTS.map(lambda parts: "Digest " + "".join(parts))))
def test_challenges(challenges: list[str]) -> None:
    """Whatever a server asks, it gets an answer or none."""
    address = read_address("http://me:s@cam/")
    assert address is not None
    answer = authorization(challenges, address, "GET", "/")
    assert answer is None or answer.split()[0] in ("Basic", "Digest")
    assert public_address(address.full) == "http://cam/"
