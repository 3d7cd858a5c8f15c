"""RTSP over TCP and UDP, and what its servers refuse; a real server on loopback."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engines.errors import UserError
from realtime.sources import camera
from realtime.sources.open import open_source
from tests.realtime.sources.network.servers import RtspServer, serving

UNSUPPORTED = "461 Unsupported Transport"


@pytest.fixture(autouse=True)
def news(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(camera, "tell", said.append)
    return said


def refusal(address: str, wait_s: float = 500.0) -> str:
    with pytest.raises(UserError) as caught:
        open_source(address, max_wait_s=wait_s)
    return str(caught.value)


@pytest.mark.parametrize("no_tcp", ["", UNSUPPORTED, "400 Bad Request", "501 Not Implemented"])
def test_tcp_and_udp(no_tcp: str, news: list[str]) -> None:
    """A server that knows UDP alone says so in one way or another."""
    with serving(RtspServer(no_tcp)) as server:
        with open_source(f"RTSP://{server.place}/live") as source:
            frames = [frame for frame, _ in zip(source, range(5), strict=False)]
        assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
        transports = [each.split()[0] for each in server.asked if each.startswith("SETUP")]
    assert len(transports) >= 1 + bool(no_tcp) and news == []


def test_password_with_marks(news: list[str]) -> None:
    with serving(RtspServer(refusal="401 Unauthorized")) as server:
        with open_source(f"rtsp://me:p@ss/w%25d@{server.place}/live") as source:
            assert next(iter(source)).image.shape == (64, 96, 3)
        said = refusal(f"rtsp://me:wr0ng@{server.place}/live")
        assert "(it refuses the user name and password, 401)" in said and "wr0ng" not in said
        said = refusal(f"rtsp://{server.place}/live")
        assert "(it asks for a user name and password, 401)" in said and "rtsp://NAME:" in said


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("403 Forbidden", "(it forbids this, 403)"),
        ("404 Not Found", "(it has nothing at this path, 404)"),
        ("454 Session Not Found", "(it refuses the request, 454)"),
    ],
)
def test_refusals(status: str, says: str) -> None:
    with serving(RtspServer(refusal=status)) as server:
        assert says in refusal(f"rtsp://{server.place}/live")


def test_busy_server_is_asked_again() -> None:
    with serving(RtspServer(refusal="503 Service Unavailable")) as server:
        said = refusal(f"rtsp://{server.place}/live", 2)
    assert "within 2 s (it can't serve this now, 503 Service Unavailable)" in said


@contextmanager
def answering(text: bytes) -> Iterator[str]:
    """The place of a server that gives everybody this answer."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(text)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "it answered something that isn't RTSP"),
        (b"", "it closed the connection"),
        (b"RTSP/1.0 404 x\r\n" + b"a: b\r\n" * 1000, "404"),
        (b"RTSP/1.0 404 x\r\nContent-Length: 99999999999\r\n\r\n", "404"),
    ],
)
def test_odd_answers(text: bytes, says: str) -> None:
    with answering(text) as place:
        assert says in refusal(f"rtsp://{place}/live", 3 if text == b"" else 500)


def test_nobody_there() -> None:
    with answering(b"") as place:
        pass
    assert "nothing answers at this port" in refusal(f"rtsp://{place}/live", 0.3)
    assert "no host is named nowhere.invalid" in refusal("rtsp://nowhere.invalid/live", 0.3)
