"""What HTTP servers send and refuse, each in a sentence of its own; real servers on loopback."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime.sources import camera
from realtime.sources.open import open_source
from tests.cli import write_video
from tests.realtime.sources.network.servers import (
    STREAM,
    Answer,
    HttpHandler,
    HttpServer,
    jpeg,
    number_of,
    part,
    serving,
)

Serve = Callable[[Answer], str]


@pytest.fixture
def news(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(camera, "tell", said.append)
    return said


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(HttpServer({})) as server:
        assert isinstance(server, HttpServer)
        yield server


@pytest.fixture
def serve(server: HttpServer, news: list[str]) -> Serve:
    """Has an answer given at /video, and returns its address."""

    def add(answer: Answer) -> str:
        server.answers = {"/video": answer}
        return f"http://{server.place}/video"

    return add


def refusal(address: str, wait_s: float = 10.0) -> str:
    """What is said about a camera that can't be opened; the address is left out."""
    with pytest.raises(UserError) as caught:
        open_source(address, max_wait_s=wait_s)
    return re.sub(r"Camera http://[^ ]+ ", "", str(caught.value))


def stream(*bodies: bytes, kind: str = STREAM) -> Answer:
    """An answer of these bytes that stays open."""

    def answer(handler: HttpHandler) -> None:
        handler.say(200, kind, b"".join(bodies))
        handler.stay()

    return answer


def paced(bodies: list[bytes], kind: str = STREAM) -> Answer:
    """One every hundredth of a second, so that none is overtaken by the next; then the last."""

    def answer(handler: HttpHandler) -> None:
        handler.say(200, kind, b"")
        for body in itertools.chain(bodies, itertools.repeat(bodies[-1])):
            handler.wfile.write(body)
            if handler.server.ended.wait(0.03):
                return

    return answer


def until(source: Iterator[np.ndarray], last: int) -> list[int]:
    numbers: list[int] = []
    for image in source:
        numbers.append(number_of(image))
        if numbers[-1] == last:
            return numbers
    raise AssertionError(numbers)


def images(source: camera.Source) -> Iterator[np.ndarray]:
    return (frame.image for frame in source)


UNREADABLE = [b"no picture at all" * 20, jpeg(3)[:40], b"", jpeg(3)[:2] + b"\0" * 500]


@pytest.mark.parametrize("bad", UNREADABLE)
def test_unreadable_part_costs_itself_alone(
    serve: Serve, server: HttpServer, news: list[str], bad: bytes
) -> None:
    parts = [part(jpeg(i)) for i in range(5)] + [part(bad)] * 2 + [part(jpeg(i)) for i in (8, 9)]
    with open_source(serve(paced(parts))) as source:
        seen = until(images(source), 9)
    assert set(seen) <= {0, 1, 2, 3, 4, 8, 9}
    assert server.asked == ["/video"] and news == []


@pytest.mark.parametrize("kind", [STREAM, "application/octet-stream", "video/x-motion-jpeg"])
def test_size_may_change(serve: Serve, news: list[str], kind: str) -> None:
    pictures = [*(jpeg(i) for i in range(4)), *(jpeg(i, (64, 96)) for i in (8, 9))]
    parts = [part(each) for each in pictures] if kind == STREAM else pictures
    with open_source(serve(paced(parts, kind))) as source:
        shapes = {}
        for frame in source:
            shapes[number_of(frame.image)] = frame.image.shape[:2]
            if 9 in shapes:
                break
    assert shapes == {n: (64, 96) if n < 8 else (96, 64) for n in shapes}
    assert min(shapes) < 8 and news == []


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (STREAM, None),
        (STREAM, "17000000000000000000"),
        (STREAM, "-5"),
        (STREAM, "many"),
        ('multipart/x-mixed-replace;boundary="--frame"', ""),
        ("text/plain", ""),  # the server doesn't say what it sends
        ("", ""),
    ],
)
def test_ways_to_write_a_stream(
    serve: Serve, news: list[str], kind: str, length: str | None
) -> None:
    with open_source(serve(paced([part(jpeg(i), length) for i in range(6)], kind))) as source:
        assert until(images(source), 5)[-1] == 5
    assert news == []


def test_single_picture_is_asked_for_again(
    serve: Serve, server: HttpServer, news: list[str]
) -> None:
    def answer(handler: HttpHandler) -> None:
        number = len(handler.server.asked)
        if number in (3, 5):  # busy once, and once half a picture
            handler.say(503, "text/plain", b"busy") if number == 3 else handler.say(
                200, "image/jpeg", jpeg(5)[:30]
            )
        else:
            handler.say(200, "image/jpeg", jpeg(min(number, 20)))

    with open_source(serve(answer)) as source:
        seen = until(images(source), 8)
    assert set(seen) <= {1, 2, 4, 6, 7, 8} and news == []


def test_picture_of_another_kind_is_asked_for_again(serve: Serve, news: list[str]) -> None:
    data = cv2.imencode(".png", np.full((8, 8, 3), 70, np.uint8))[1].tobytes()
    with open_source(serve(lambda handler: handler.say(200, "image/png", data))) as source:
        assert [number_of(image) for image, _ in zip(images(source), "123", strict=False)] == [
            7
        ] * 3
    assert news == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, r"\(it asks for a user name and password, 401\).*http://NAME:PASSWORD@HOST"),
        (403, r"\(it forbids this, 403\).*Allow"),
        (404, r"\(it has nothing at this path, 404\).*Correct what follows the host"),
        (410, r"\(it has nothing at this path, 410\)"),
        (405, r"\(it refuses the request, 405 Method Not Allowed\)"),
        (499, r"\(it refuses the request, 499\)"),
    ],
)
def test_refusals_are_told_at_once(
    serve: Serve, server: HttpServer, status: int, says: str
) -> None:
    address = serve(lambda handler: handler.say(status, "text/html", b"<html>no</html>"))
    assert re.match("gave no picture " + says, refusal(address, wait_s=500))
    assert server.asked == ["/video"]


def test_busy_server_is_waited_for(serve: Serve, server: HttpServer, news: list[str]) -> None:
    busy = lambda handler: handler.say(503, "text/plain", b"")  # noqa: E731
    play = paced([part(jpeg(4))])
    address = serve(lambda handler: (busy if len(server.asked) < 3 else play)(handler))
    with open_source(address) as source:
        assert number_of(next(images(source))) == 4
    assert len(server.asked) == 3 and ["not open yet" in line for line in news] == [True]
    said = refusal(serve(busy), wait_s=0.5)
    assert re.match(r"gave no picture within 0.5 s \(it can't serve this now, 503 Service Un", said)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream", ""])
def test_web_page(serve: Serve, kind: str) -> None:
    page = b"\n<!DOCTYPE html><html><body><img src=/shot.jpg>" + b" " * 100
    address = serve(lambda handler: handler.say(200, kind, page))
    assert "(it is a web page, not a stream). Give the address of the picture" in refusal(address)


def test_what_is_neither_picture_nor_video(
    serve: Serve, news: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "STALL_S", 0.3)
    address = serve(lambda handler: handler.say(200, "application/json", b'{"ok": 1}' + b" " * 80))
    assert "(it sends application/json, not a stream)" in refusal(address)
    assert "it sends nothing" in refusal(serve(lambda handler: handler.say(200, "", b"")), 0.3)
    address = serve(lambda handler: handler.say(200, "image/jpeg", jpeg(3)[:40]))
    assert "what it sends can't be decoded" in refusal(address, 2)


def test_video_file_is_left_to_ffmpeg(
    serve: Serve, tmp_path: Path, news: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")  # nobody answers there
    monkeypatch.setenv("no_proxy", "elsewhere.invalid")
    pictures = (np.full((64, 96, 3), 60, np.uint8) for _ in range(20))
    data = write_video(tmp_path / "a.avi", pictures, 20).read_bytes()
    address = serve(lambda handler: handler.say(200, "video/avi", data))
    with open_source(address) as source:
        assert number_of(next(images(source))) == 6


def test_capitals_blanks_and_letters(server: HttpServer, news: list[str]) -> None:
    server.answers = {"/v%C3%AFdeo%20%31?a=b%20c": paced([part(jpeg(7))])}
    with open_source(f" HTTP://{server.place}/vïdeo %31?a=b c#end ") as source:
        assert number_of(next(images(source))) == 7


@pytest.mark.parametrize("kind", ["Basic", "Digest", "Digest SHA-256", "Digest MD5 auth"])
@pytest.mark.parametrize("password", ["secret", "p@ss/w?r#d", "100%", "ü:ß"])
def test_user_and_password(serve: Serve, news: list[str], kind: str, password: str) -> None:
    """The server's own reading of RFC 7616: the hash of what it knows."""
    algorithm = next((each for each in ("SHA-256", "MD5") if each in kind), "")

    def hashed(*parts: str) -> str:
        make = hashlib.sha256 if algorithm == "SHA-256" else hashlib.md5
        return make(":".join(parts).encode()).hexdigest()

    def known(header: str) -> bool:
        if kind == "Basic":
            return header == "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
        given = dict(re.findall(r'(\w+)="?([^",]*)"?', header))
        middle = [given[k] for k in ("nc", "cnonce", "qop")] if "auth" in kind.split() else []
        first, second = hashed("me", "a, b", password), hashed("GET", "/video")
        return given.get("response") == hashed(first, "n1", *middle, second)

    def answer(handler: HttpHandler) -> None:
        given = handler.headers.get("Authorization", "")
        if given and known(given):
            return paced([part(jpeg(6))])(handler)
        challenge = f'{kind.split()[0]} realm="a, b", nonce="n1"'
        challenge += f", algorithm={algorithm}" if algorithm else ""
        challenge += ', qop="auth"' if "auth" in kind.split() else ""
        handler.say(401, "text/html", b"", WWW_Authenticate=challenge)

    place = serve(answer).removeprefix("http://")
    with open_source(f"http://me:{password}@{place}") as source:
        assert number_of(next(images(source))) == 6
        assert source.name == f"http://{place}"
    said = refusal(f"http://me:wr0ng@{place}")
    assert "(it refuses the user name and password, 401)" in said and "wr0ng" not in said


def test_password_stays_with_its_server(serve: Serve, server: HttpServer) -> None:
    seen: list[str | None] = []

    def ask(handler: HttpHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        handler.say(401, "text/html", b"", WWW_Authenticate='Basic realm="x"')

    with serving(HttpServer({"/stolen": ask})) as other:
        address = serve(lambda h: h.say(302, "", b"", Location=f"http://{other.place}/stolen"))
        assert "401" in refusal(address.replace("//", "//me:secret@"))
    assert seen == [None]


def test_redirects(serve: Serve, server: HttpServer, news: list[str]) -> None:
    address = serve(lambda handler: handler.say(302, "", b"", Location="/there"))
    server.answers = {**server.answers, "/there": paced([part(jpeg(6))])}
    with open_source(address) as source:
        assert number_of(next(images(source))) == 6
    server.answers = {"/video": lambda h: h.say(302, "", b"", Location="file:///etc/passwd")}
    assert "302" in refusal(address)
    server.answers = {"/video": lambda h: h.say(302, "", b"", Location="/video")}
    assert "gave no picture" in refusal(address)


def test_proxy_is_for_the_world_outside(
    serve: Serve, server: HttpServer, news: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:pr0xy@127.0.0.1:9/")  # nobody answers there
    with open_source(serve(paced([part(jpeg(6))]))) as source:
        assert number_of(next(images(source))) == 6
    said = refusal("http://camera.invalid/video", 0.5)
    assert "through the proxy http://127.0.0.1:9/, which http_proxy names" in said
    assert "pr0xy" not in said
    # A proxy is asked for the whole address.
    monkeypatch.setenv("http_proxy", f"http://{server.place}")
    server.answers = {"http://camera.invalid/video": paced([part(jpeg(8))])}
    with open_source("http://camera.invalid/video") as source:
        assert number_of(next(images(source))) == 8
    monkeypatch.setenv("no_proxy", "camera.invalid")
    assert "(no host is named camera.invalid)" in refusal("http://camera.invalid/video", 0.5)


def test_nobody_there(server: HttpServer, news: list[str]) -> None:
    server.shutdown()
    server.server_close()
    said = refusal(f"http://{server.place}/video", 0.5)
    assert "nothing answers at this port" in said
    assert "it names no host" in refusal("http:///video")
    for address in (f"http://{'a' * 70}.b/", "http://h:99999/", "http://a b/", "http://[::1/"):
        assert "gave no picture" in refusal(address, 0.5)


def test_https_where_there_is_only_http(serve: Serve) -> None:
    address = serve(paced([part(jpeg(6))])).replace("http:", "https:")
    with pytest.raises(UserError, match=r"no encrypted connection.*begin the address with http://"):
        open_source(address)


def flood(head: bytes) -> Answer:
    """Sends the same for ever."""

    def answer(handler: HttpHandler) -> None:
        handler.say(200, STREAM, b"")
        while not handler.server.ended.is_set():
            handler.wfile.write(head)

    return answer


@pytest.mark.parametrize("what", [b"x: y\r\n" * 1000, b"x" * 50000, b"--frame\r\n\r\n" * 1000])
def test_endless_nonsense_ends(serve: Serve, monkeypatch: pytest.MonkeyPatch, what: bytes) -> None:
    monkeypatch.setattr(camera, "STALL_S", 0.5)
    before = threading.active_count()
    began = time.monotonic()
    assert "gave no picture" in refusal(serve(flood(what)), 1.0)
    assert time.monotonic() - began < 10
    assert before <= threading.active_count()


def test_silence_after_a_while_is_an_outage(
    serve: Serve, server: HttpServer, news: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "STALL_S", 0.5)
    monkeypatch.setattr(camera, "PAUSE_S", 0.05)
    silent, play = stream(part(jpeg(3)), b"--fr"), paced([part(jpeg(9))])
    address = serve(lambda handler: (silent if len(server.asked) == 1 else play)(handler))
    with open_source(address) as source:
        assert until(images(source), 9) in ([3, 9], [9])
    assert [line.split(address)[1][:8] for line in news] == [" stopped", " is back"]
