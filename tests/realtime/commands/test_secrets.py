"""No command shows a password of an address, wherever it is given, nor writes it anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.cli import hand_picture, parsed, run_py
from tests.realtime.sources.network.servers import HttpHandler, HttpServer, serving

SECRET = "s3c/r@t"
NOWHERE = f"http://me:{SECRET}@127.0.0.1:9/video"


@pytest.fixture
def place() -> Iterator[str]:
    shot = cv2.imencode(".jpg", hand_picture("Open hand"))[1].tobytes()

    def answer(handler: HttpHandler) -> None:
        handler.say(200, "image/jpeg", shot)

    with serving(HttpServer({"/shot.jpg": answer, f"/shot.jpg?pw={SECRET}": answer})) as server:
        yield server.place


@pytest.mark.parametrize(
    ("before", "after"),
    [(f"me:{SECRET}@", "/shot.jpg"), ("", f"/shot.jpg?pw={SECRET}")],
    ids=["user", "query"],  # the folder's name has it, and is shown
)
def test_live_run(tmp_path: Path, place: str, before: str, after: str) -> None:
    """A single picture, asked for again and again, is recognised in like a stream."""
    camera = f"http://{before}{place}{after}"
    run = run_py(
        *("--camera", camera, "--view", "none", "--events", "-", "--log-frames"),
        *("--max-frames", 5),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    header, _, frames = parsed(run.stdout)
    assert header["source"] == f"http://{place}/shot.jpg" and len(frames) == 5
    assert [len(frame["hands"]) for frame in frames] == [1] * 5
    assert not any(piece in run.stdout + run.stderr for piece in (SECRET, "s3c", "r@t"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["live", NOWHERE],
        [NOWHERE],
        ["--camera", f"me:{SECRET}@127.0.0.1/video"],
        ["--camera", f"rtmp://me:{SECRET}@127.0.0.1/video"],
        ["--camera", f"http://127.0.0.1:9/video?pw={SECRET}", "--fsp"],
        ["--camera", "demo", "--engine", f"triton://me:{SECRET}@127.0.0.1:9/default"],
        ["--camera", "demo", "--encoder", NOWHERE],
        ["--camera", "demo", "--view", "none", "--save", NOWHERE],
        ["--camera", "demo", "--view", "none", "--max-frames", "1", "--gallery", NOWHERE],
        ["--camera", "demo", "--view", "none", "--events", NOWHERE],
        ["record", "A", "--image", NOWHERE],
        ["gestures", "import", NOWHERE],
        ["embed", NOWHERE, "--out", "a.npz"],
        ["doctor", "--engine", f"triton://me:{SECRET}@127.0.0.1:9/default"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_where_no_address_is_expected(tmp_path: Path, arguments: list[str]) -> None:
    run = run_py(*arguments, cwd=tmp_path)
    assert "Traceback" not in run.stderr
    assert not any(piece in run.stdout + run.stderr for piece in (SECRET, "s3c", "r@t")), run.stderr
