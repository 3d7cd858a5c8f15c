"""What an address shows of itself, and how it is read."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engines.text.addresses import hide_addresses, public_address, read_address

SECRETS = [
    "secret",
    "s/cret",
    "s@cret",
    "s@c/ret",
    "se/c@ret",
    "sec#ret",
    "sec?ret",
    "s:e@c/r?e#t",
    "100%",
    "p@ss/w?r#d",
    "geheim ü",
]
HOSTS = ["cam", "cam:8080", "cam.local:80", "192.168.1.5", "192.168.1.5:554", "[fe80::1]:80"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("rest", ["", "/", "/video", "/a/b.mjpg?c=1"])
def test_password_as_it_is(secret: str, host: str, rest: str) -> None:
    text = f"http://me:{secret}@{host}{rest}"
    address = read_address(text)
    assert address is not None
    assert (address.user, address.password) == ("me", secret)
    assert (address.place, address.rest) == (host, rest)
    standard = urlsplit(address.full)  # another reader finds the same
    assert (standard.username, standard.password) == ("me", quote(secret, safe=""))
    assert standard.netloc.rpartition("@")[2] == host
    shown = public_address(text)
    assert shown.startswith(f"http://{host}") and secret not in shown and "me" not in shown


@pytest.mark.parametrize("secret", [*SECRETS, "1/2345"])
@pytest.mark.parametrize(
    "template",
    [
        "http://cam/video?pw={}",
        "http://cam:80/video?user=me@home&pw={}",
        "http://192.168.1.5/video?a=1&pw={}#x",
        "rtsp://192.168.1.5:554/user=me&password={}&channel=1.sdp",
        "rtsp://cam:554/live/me/{}/1",
        "HTTPS://me:{}@cam",
        "http://{}@cam/x",
        "http://me:x{}@",
        "triton://me:{}@host:8001/model",
        "http://me:{}@cam/x@y?z=a@b",
        "me:{}@cam/video",
        "http:/me:{}@cam/video",
        "cam:8080/video?pw={}",
    ],
)
def test_secret_anywhere(secret: str, template: str) -> None:
    shown = public_address(template.format(secret))
    for piece in re.split("[@/?#:%]", secret):
        assert len(piece) < 3 or piece not in shown, shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://cam:8080/video", "http://cam:8080/video"),
        ("http://me:secret/video", "http://…"),
        ("rtsp://cam/Streaming/Channels/101", "rtsp://cam/…"),
        ("http://cam/video.mjpg?fps=5", "http://cam/video.mjpg"),
        ("http://cam/", "http://cam/"),
        ("rtsps://192.168.1.1:7441/AbCdEf0123456789", "rtsps://192.168.1.1:7441/…"),
        ("clip.mp4", "clip.mp4"),
        ("12:30.mp4", "12:30.mp4"),
        ("C:\\me@home.mp4", "C:\\me@home.mp4"),
        ("what?a.mp4", "what?a.mp4"),
        ("demo", "demo"),
        ("", ""),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert public_address(text) == shown


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)


@given(scheme=st.sampled_from(["http", "RTSP"]), user=TEXT, secret=TEXT, tail=TEXT)
def test_no_reading_fails_or_shows_a_password(
    scheme: str, user: str, secret: str, tail: str
) -> None:
    marked = f"Q{secret}Z"
    assume("Q" not in user + tail + secret and "Z" not in user + tail + secret)
    shown = public_address(f"{scheme}://{user}:{marked}@cam/{tail}")
    assert "Q" not in shown and "Z" not in shown


@given(st.text())
def test_any_text_is_read_or_not(text: str) -> None:
    for each in (text, f"http://{text}", f"rtsp://a:{text}@b"):
        public_address(each)
        address = read_address(each)
        if address is not None:
            again = read_address(address.full)
            assert again is None or again.full.startswith(address.scheme)
            assert isinstance(address.port, (int, type(None)))


@pytest.mark.parametrize("secret", SECRETS)
def test_messages_that_quote_the_command_line(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"http://me:{secret}@cam/video"
    monkeypatch.setattr(sys, "argv", ["run.py", "--image", text, f"--camera={text}"])
    for message in (f"no {text}!", f"no {text!r}!", f"no {Path(text)}", f"no {Path(text).parent}"):
        assert secret not in hide_addresses(message), message
    assert hide_addresses("There is no picture a.jpg.") == "There is no picture a.jpg."
