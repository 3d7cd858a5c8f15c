"""Streams from a real MJPEG server that can be told to fail, and cameras that don't exist."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime.sources import camera
from realtime.sources.camera import list_cameras
from realtime.sources.open import open_source

ROOT = Path(__file__).resolve().parents[3]
LONG_S = 20.0  # for waits that should end at once
BITS, BLOCK = 12, 16


class Server(http.server.ThreadingHTTPServer):
    """Sends numbered pictures, 50 a second. Modes beside "play": "stall": connections stay open,
    silent for good; "drop": they are closed, and new ones too; "mute": new ones get no answer."""

    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/video"
        self.changed = threading.Condition()
        self.mode = "play"
        self.sent = self.connections = 0
        self.play_at = 0  # the connection at which a server in trouble plays again

    def set(self, mode: str, play_after: int | None = None) -> None:
        """Change the mode; at the play_after-th connection from now it is "play" again."""
        with self.changed:
            self.mode = mode
            self.play_at = self.connections + play_after if play_after else 0
            self.changed.notify_all()

    def wait_for(self, what: str, at_least: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: getattr(self, what) >= at_least, LONG_S)

    def handle_error(self, *_: object) -> None: ...  # clients may hang up


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        with (server := self.server).changed:
            server.connections += 1
            if server.connections == server.play_at:
                server.mode = "play"
            mode = server.mode
            server.changed.notify_all()
            if mode == "mute":
                server.changed.wait_for(lambda: server.mode == "end")
        if mode != "play":
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while self.goes_on():
            data = cv2.imencode(".jpg", numbered(server.sent + 1))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            with server.changed:
                server.sent += 1
                server.changed.notify_all()

    def goes_on(self) -> bool:
        """Wait for the next picture's time; False when this connection is to be closed."""
        with (server := self.server).changed:
            server.changed.wait_for(lambda: server.mode != "play", 0.02)
            if server.mode == "stall":
                server.changed.wait_for(lambda: server.mode == "end")
            return server.mode == "play"

    def log_message(self, *_: object) -> None: ...


def numbered(number: int) -> np.ndarray:
    """uint8 (48, 192, 3) BGR: twelve blocks, bright for a 1, the lowest bit on the left."""
    row = np.repeat([220 * (number >> bit & 1) for bit in range(BITS)], BLOCK)
    return np.tile(row[:, None], (48, 1, 3)).astype(np.uint8)


def number_of(image: np.ndarray) -> int:
    return sum(1 << bit for bit, v in enumerate(image[24, BLOCK // 2 :: BLOCK, 1]) if v > 110)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.set("end")
    server.shutdown()
    server.server_close()


@pytest.fixture
def news(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []  # what was told to the person; pauses are shortened too
    monkeypatch.setattr(camera, "PAUSE_S", 0.05)
    monkeypatch.setattr(camera, "STEADY_S", 0.2)
    monkeypatch.setattr(camera, "tell", said.append)
    return said


def test_newest_frame_wins(server: Server, news: list[str]) -> None:
    with open_source(server.url) as source:
        assert (source.live, source.unrelated, source.fps) == (True, False, None)
        frames = iter(source)
        first = next(frames)
        assert (first.index, first.time_s) == (0, 0.0)
        server.wait_for("sent", number_of(first.image) + 60)
        second = next(frames)
        # Fewer would mean a queue; some are on their way through the decoder.
        assert number_of(second.image) >= number_of(first.image) + 30
        assert 0.5 < second.time_s < LONG_S
        rest = [second, *(next(frames) for _ in range(30))]
    assert (np.diff([number_of(frame.image) for frame in rest]) > 0).all()
    assert (np.diff([frame.time_s for frame in rest]) > 0).all()
    assert [frame.index for frame in rest] == list(range(1, 32))
    assert news == []


@pytest.mark.parametrize(("trouble", "attempts"), [("drop", 3), ("stall", 1)])
def test_opens_again(
    server: Server, news: list[str], monkeypatch: pytest.MonkeyPatch, trouble: str, attempts: int
) -> None:
    monkeypatch.setattr(camera, "STALL_S", 1.0)
    with open_source(server.url) as source:
        before = next(iter(source))
        server.set(trouble, play_after=attempts)
        last = server.sent + 1
        after = next(frame for frame in source if number_of(frame.image) > last)
    assert server.connections == 1 + attempts
    assert after.index > before.index and before.time_s < after.time_s < 10
    assert [line.split(server.url)[1][:8] for line in news] == [" stopped", " is back"]


def test_pauses_grow_and_start_short_again(server: Server, news: list[str]) -> None:
    pauses: list[float] = []
    with open_source(server.url) as source:
        # Only the reader waits for it; the pauses are noted, and are over at once.
        source._closed.wait = pauses.append  # type: ignore[method-assign,assignment]
        for _ in range(2):
            server.wait_for("sent", server.sent + 25)
            server.set("drop", play_after=10)
            last = server.sent + 1
            next(frame for frame in source if number_of(frame.image) > last)
    assert pauses[:20] == [*(0.05 * 2**i for i in range(8)), 8, 8] * 2


@pytest.mark.parametrize("mode", ["mute", "drop"])
def test_no_first_picture(server: Server, news: list[str], mode: str) -> None:
    server.set(mode)
    url = server.url.replace("//", "//me:secret@")
    began = time.monotonic()
    with pytest.raises(UserError, match="video gave no picture within 1.5 s .*network") as caught:
        open_source(url, max_wait_s=1.5)
    assert 1.4 < time.monotonic() - began < 3
    assert "secret" not in str(caught.value) + str(news)
    if mode == "drop":
        assert ["does not open yet" in said for said in news] == [True]


def test_late_server_that_is_mirrored(server: Server, news: list[str]) -> None:
    server.set("drop", play_after=3)
    with open_source(server.url, mirrored=True) as source:
        frame = next(iter(source))
    assert frame.image.flags.c_contiguous
    assert 1 <= number_of(cv2.flip(frame.image, 1)) <= server.sent + 1


def test_close_while_the_camera_is_silent(server: Server, news: list[str]) -> None:
    source = open_source(server.url)
    stalled = threading.Event()

    def consume() -> None:
        for frame in source:
            if number_of(frame.image) >= 3 and not stalled.is_set():
                server.set("stall")
                stalled.set()

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    assert stalled.wait(LONG_S)
    began = time.monotonic()
    source.close()
    consumer.join(LONG_S)
    assert time.monotonic() - began < 2  # the blocked read itself takes 3 s
    assert list(source) == [] and news == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no Ctrl-C to one process alone")
@pytest.mark.parametrize("mode", ["mute", "stall"])
def test_ctrl_c_ends_the_wait_at_once(server: Server, mode: str) -> None:
    script = (
        "import sys; from realtime.sources.open import open_source\n"
        "try:\n"
        "    for _ in open_source(sys.argv[1]): print('frame', flush=True)\n"
        "except KeyboardInterrupt: print('stopped by hand')"
    )
    server.set("play" if mode == "stall" else mode)
    command, pipe = [sys.executable, "-c", script, server.url], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as child:
        assert child.stdout is not None
        server.wait_for("connections", 1)
        if mode == "stall":
            assert child.stdout.readline() == b"frame\n"
        server.set(mode)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=LONG_S)
    assert time.monotonic() - began < 2.5
    assert (out.splitlines()[-1], err, child.returncode) == (b"stopped by hand", b"", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell beforehand")
@pytest.mark.parametrize("name", ["0", "/dev/video97", "97"])
def test_camera_that_does_not_exist(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    cameras = list_cameras()
    assert len(cameras) == len(list(Path("/dev").glob("video[0-9]*")))
    if name in {entry.split()[0] for entry in cameras}:
        pytest.skip("this machine has it")
    began = time.monotonic()
    with pytest.raises(UserError, match=f"no camera {name} .*Cameras here: .*--camera demo"):
        open_source(name)
    assert time.monotonic() - began < 1
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere cameras have no path")
def test_device_that_is_no_camera(news: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="V4L2 could not open it.*Close other programs"):
        open_source("/dev/null", size=(640, 480), fps=30, max_wait_s=0.6)
    assert capfd.readouterr().err == ""
