"""The program talks to nobody: its system calls are traced over whole runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import RUN, environment, hand_picture, write_png

# A socket of that family is enough: what is connected sends without naming it again.
CALLS = re.compile(r"\b(\w+)\(.*AF_INET6?\b")


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    trial = ["strace", "-f", "-e", "trace=network", "true"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="needs strace, and the right to trace")


@pytest.fixture(params=["engine", "mediapipe"])
def detector(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options that choose one; MediaPipe's needs its hand model, fetched before."""
    options = ("--detector", request.param)
    if request.param == "engine":
        return options
    return *options, "--hand-model", str(request.getfixturevalue("hand_model_path"))


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who never started the program."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    return home


def network_calls(folder: Path, *command: object) -> list[str]:
    """The lines of the trace that reach for the internet, of all threads and children."""
    log = folder / "trace.txt"
    trace = ["strace", "-f", "-e", "trace=network", "-o", str(log), *map(str, command)]
    run = subprocess.run(
        trace, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = log.read_text().splitlines()
    assert any("+++ exited with 0 +++" in line for line in lines)
    return [line for line in lines if CALLS.search(line)]


def test_the_trace_would_show_it(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname())\n"
    )
    calls = network_calls(tmp_path, sys.executable, "-c", code)
    assert {re.search(r"(\w+)\(", line)[1] for line in calls} >= {"sendto", "bind", "connect"}  # type: ignore[index]


def test_live(tmp_path: Path, detector: tuple[str, ...]) -> None:
    options = ("--camera", "demo", "--view", "none", "--events", "x.jsonl", "--max-frames", 30)
    assert network_calls(tmp_path, sys.executable, RUN, *options, *detector) == []
    assert '"kind": "start"' in (tmp_path / "x.jsonl").read_text()


def test_the_first_start_fetches_nothing(
    tmp_path: Path, new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it look for a hand model, or keep anything."""
    monkeypatch.setenv("GESTURES_HAND_MODEL", "nowhere.task")
    options = ("--camera", "demo", "--view", "none", "--events", "x.jsonl", "--max-frames", 30)
    assert network_calls(tmp_path, sys.executable, RUN, *options) == []
    assert '"kind": "start"' in (tmp_path / "x.jsonl").read_text()
    assert list(new_home.rglob("*")) == []


@pytest.mark.slow
def test_a_longer_run_sends_and_keeps_nothing(
    tmp_path: Path, detector: tuple[str, ...], new_home: Path
) -> None:
    """Libraries that report usage wait before they do: ONNX Runtime nine seconds."""
    options = ("--camera", "demo", "--view", "none", "--realtime", "--max-frames", 480)
    assert network_calls(tmp_path, sys.executable, RUN, *options, *detector) == []
    assert list(new_home.rglob("*")) == []


def test_record(tmp_path: Path, detector: tuple[str, ...]) -> None:
    image = write_png(tmp_path / "hand.png", hand_picture("L"))
    options = ("record", "L", "--image", image, *detector)
    assert network_calls(tmp_path, sys.executable, RUN, *options) == []
    assert (tmp_path / "gestures" / "L").is_dir()


def test_doctor(tmp_path: Path, detector: tuple[str, ...]) -> None:
    assert network_calls(tmp_path, sys.executable, RUN, "doctor", *detector) == []
