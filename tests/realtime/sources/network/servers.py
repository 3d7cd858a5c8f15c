"""Small servers on loopback that tests start: HTTP by path, and RTSP with MJPEG over RTP."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping

import cv2
import numpy as np

Answer = Callable[["HttpHandler"], None]
STREAM = "multipart/x-mixed-replace; boundary=frame"


def picture(number: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """uint8 BGR of width and height `size`, as bright as its number: 0 to 24."""
    return np.full((size[1], size[0], 3), 10 * number, np.uint8)


def jpeg(number: int, size: tuple[int, int] = (96, 64)) -> bytes:
    return cv2.imencode(".jpg", picture(number, size))[1].tobytes()


def number_of(image: np.ndarray) -> int:
    return round(float(image.mean()) / 10)


def part(data: bytes, length: str | None = "") -> bytes:
    """A part of STREAM; `length` None leaves the length out, a text replaces it."""
    line = "" if length is None else f"Content-Length: {length or len(data)}\r\n"
    return f"--frame\r\nContent-Type: image/jpeg\r\n{line}\r\n".encode() + data + b"\r\n"


class HttpHandler(http.server.BaseHTTPRequestHandler):
    server: HttpServer

    def do_GET(self) -> None:
        with self.server.changed:
            self.server.asked.append(self.path)
        self.server.answers[self.path](self)

    def say(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, **headers}.items():
            if value:
                self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stay(self) -> None:
        """Keep the connection open until the test is over."""
        self.server.ended.wait()

    def log_message(self, *_: object) -> None: ...


class HttpServer(http.server.ThreadingHTTPServer):
    """Answers each path by a function; `asked` are the paths of the requests so far."""

    block_on_close = False

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__(("127.0.0.1", 0), HttpHandler)
        self.answers = answers
        self.asked: list[str] = []
        self.changed, self.ended = threading.Condition(), threading.Event()
        self.place = f"127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None: ...  # clients may hang up


class RtspHandler(socketserver.StreamRequestHandler):
    """OPTIONS, DESCRIBE, SETUP and PLAY of RFC 2326; then pictures by RFC 2435."""

    server: RtspServer

    def handle(self) -> None:
        udp: socket.socket | None = None
        while line := self.rfile.readline().decode().split():
            heads: dict[str, str] = {}
            while text := self.rfile.readline().decode().strip():
                key, _, value = text.partition(":")
                heads[key.lower()] = value.strip()
            method, uri = line[0], line[1]
            status, more, body = "200 OK", [], ""
            if method != "OPTIONS" and not self._knows(method, heads.get("authorization", "")):
                status, more = self.server.refusal, [f"WWW-Authenticate: Digest {CHALLENGE}"]
            elif method == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
                body += "m=video 0 RTP/AVP 26\r\nc=IN IP4 0.0.0.0\r\na=control:track1\r\n"
                more = ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                asked = heads["transport"]
                tcp = "TCP" in asked
                if tcp and self.server.no_tcp:
                    status = self.server.no_tcp
                else:
                    udp, transport = (None, asked) if tcp else self._open_udp(asked)
                    more = [f"Transport: {transport}", "Session: 1"]
            answer = [f"RTSP/1.0 {status}", f"CSeq: {heads['cseq']}", *more, "", body]
            self.wfile.write("\r\n".join(answer).encode())
            self.server.asked.append(f"{method} {uri}")
            if method == "PLAY":
                return self._play(udp)

    def _knows(self, method: str, authorization: str) -> bool:
        if self.server.refusal == "":
            return True
        given = dict(re.findall(r'(\w+)="([^"]*)"', authorization))
        known = ":".join((self.server.user, "here", self.server.password))
        parts = (hashed(known), "n0", hashed(f"{method}:{given.get('uri')}"))
        return given.get("response") == hashed(":".join(parts))

    def _open_udp(self, asked: str) -> tuple[socket.socket, str]:
        found = re.search(r"client_port=(\d+)", asked)
        assert found
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        udp.connect(("127.0.0.1", int(found[1])))
        own = udp.getsockname()[1]
        return udp, f"{asked};server_port={own}-{own + 1}"

    def _play(self, udp: socket.socket | None) -> None:
        sequence = 0
        for number in range(10**6):
            for packet in rtp_packets(jpeg(number % 20), sequence, number * 3000):
                sequence += 1
                with contextlib.suppress(ConnectionRefusedError):  # nobody listens any more
                    if udp is None:
                        self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)
                    else:
                        udp.send(packet)
            if self.server.ended.wait(0.02):
                break
        if udp is not None:
            udp.close()


class RtspServer(socketserver.ThreadingTCPServer):
    """Streams `jpeg`s. `no_tcp` is how it refuses TCP, `refusal` a stranger; "" if it doesn't."""

    block_on_close = False
    daemon_threads = True

    def __init__(self, no_tcp: str = "", refusal: str = "") -> None:
        super().__init__(("127.0.0.1", 0), RtspHandler)
        self.no_tcp, self.refusal = no_tcp, refusal
        self.user, self.password = "me", "p@ss/w%d"
        self.asked: list[str] = []
        self.ended = threading.Event()
        self.place = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None: ...  # clients may hang up


CHALLENGE = 'realm="here", nonce="n0"'


def hashed(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def rtp_packets(data: bytes, sequence: int, timestamp: int) -> Iterator[bytes]:
    """A JPEG file with standard Huffman tables in RTP packets, its quantisation in the first."""
    at, tables, width, height = 2, b"", 0, 0
    while True:
        marker, length = struct.unpack(">HH", data[at : at + 4])
        body = data[at + 4 : at + 2 + length]
        if marker == 0xFFDB:
            tables += b"".join(body[i + 1 : i + 65] for i in range(0, len(body), 65))
        if marker == 0xFFC0:
            height, width = struct.unpack(">HH", body[1:5])
        at += 2 + length
        if marker == 0xFFDA:
            break
    scan = data[at:-2]
    for offset in range(0, len(scan), 1200):
        last = offset + 1200 >= len(scan)
        head = struct.pack(">BBHII", 0x80, 26 | 0x80 * last, sequence & 0xFFFF, timestamp, 1)
        head += struct.pack(">IBBBB", offset, 1, 255, width // 8, height // 8)
        if offset == 0:
            head += struct.pack(">HH", 0, len(tables)) + tables
        yield head + scan[offset : offset + 1200]
        sequence += 1


@contextlib.contextmanager
def serving(server: HttpServer | RtspServer) -> Iterator[HttpServer | RtspServer]:
    """The server, answering in a thread until the block is left."""
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
