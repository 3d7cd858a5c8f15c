"""Fetching the hand model with a pip that only pretends, and all that may go wrong with it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.errors import UserError
from realtime.hands import model as module
from realtime.hands.model import NETWORKS, hand_model
from tests.cli import PATIENCE_S, ROOT, environment, fine, hand_picture, run_py, said, write_png

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the cache lies elsewhere")
NAME = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
# A stand-in for pip: it notes what it was asked for, then does as $PIP_DOES says.
PIP = """
import json, os, shutil, socket, sys
from pathlib import Path

here = Path(__file__).parent
with open(here / "asked.jsonl", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
does = os.environ["PIP_DOES"]
if does == "offline":
    print("WARNING: Retrying (Retry(total=1)) after connection broken")
    print("ERROR: Could not find a version that satisfies the requirement mediapipe==0.10.21")
    print("ERROR: No matching distribution found for mediapipe==0.10.21")
    sys.exit(1)
print("Progress 10 of 20", flush=True)
if does.isdecimal():
    test = socket.create_connection(("127.0.0.1", int(does)))
    test.sendall(f"{os.getpid()}\\n".encode())
    test.recv(1)
if does != "nothing":
    wheel = next(here.glob("*.whl"))
    shutil.copy(wheel, sys.argv[sys.argv.index("--dest") + 1])
"""


@pytest.fixture(scope="module")
def networks(hand_model_path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(hand_model_path) as bundle:
        return {name: bundle.read(name) for name in NETWORKS}


def write_wheel(path: Path, networks: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("mediapipe/__init__.py", "")
        for name, data in networks.items():
            wheel.writestr(NETWORKS[name][0], data)
    return path


@pytest.fixture
def pip(tmp_path: Path, networks: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pip that has the wheel to give; this process uses it too."""
    folder = tmp_path / "site" / "pip"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(PIP)
    write_wheel(folder / NAME, networks)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    monkeypatch.setenv("PIP_DOES", "copy")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the model will be kept; there is nothing yet, not even the folder."""
    path = tmp_path / "cache" / "one-shot-gestures" / "hand_landmarker-0.10.21.task"
    monkeypatch.setattr(module, "cached_path", lambda: path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(module.ENVIRONMENT, raising=False)
    return path


def asked(pip: Path) -> list[list[str]]:
    return [json.loads(line) for line in (pip / "asked.jsonl").read_text().splitlines()]


def left_in(cache: Path) -> list[str]:
    return [path.name for path in cache.parent.iterdir()] if cache.parent.exists() else []


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as bundle:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in bundle.infolist())
        return {name: bundle.read(name) for name in bundle.namelist()}


def test_fetched_once(pip: Path, cache: Path, networks: dict[str, bytes]) -> None:
    assert hand_model() == cache
    assert contents(cache) == networks and left_in(cache) == [cache.name]
    assert hand_model() == cache
    [arguments] = asked(pip)
    assert arguments[0] == "download" and "mediapipe==0.10.21" in arguments
    assert {"--no-deps", "--only-binary=:all:", "--dest", "--no-input"} <= set(arguments)
    assert not os.path.exists(arguments[arguments.index("--dest") + 1])


def test_altered_networks_are_refused(pip: Path, cache: Path, networks: dict[str, bytes]) -> None:
    name = next(iter(networks))
    write_wheel(pip / NAME, {**networks, name: networks[name][:-1] + b"!"})
    with pytest.raises(UserError, match="has SHA-256 .*, expected 1b14e9422c6a.*: it was altered"):
        hand_model()
    assert left_in(cache) == []


@pytest.mark.parametrize("damage", ["no zip", "no networks"])
def test_a_wheel_without_the_networks(pip: Path, cache: Path, damage: str) -> None:
    if damage == "no zip":
        (pip / NAME).write_bytes(b"<html>captive portal</html>")
    else:
        write_wheel(pip / NAME, {})
    with pytest.raises(UserError, match="doesn't hold MediaPipe's hand networks"):
        hand_model()
    assert left_in(cache) == []


def test_offline(pip: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_DOES", "offline")
    with pytest.raises(
        UserError, match=r"\(No matching distribution .*\)\. Connect to the network .*--hand-model"
    ):
        hand_model()
    assert left_in(cache) == []


def test_pip_that_brings_nothing(pip: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_DOES", "nothing")
    with pytest.raises(UserError, match="pip fetched no mediapipe wheel. Try it by hand: pip down"):
        hand_model()
    assert left_in(cache) == []


def test_without_pip(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name)
    )
    with pytest.raises(UserError, match="no pip to fetch it with. Run `uv pip install pip`"):
        hand_model()
    assert left_in(cache) == []


def test_nowhere_to_keep_it(pip: Path, cache: Path) -> None:
    cache.parent.parent.touch()  # a file where the cache's folder should be
    with pytest.raises(UserError, match="can't be kept in .*--hand-model"):
        hand_model()


def test_a_wheel_passed_by_hand(
    tmp_path: Path, cache: Path, networks: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    wheel = write_wheel(tmp_path / NAME, networks)
    assert hand_model(str(wheel)) == cache
    assert contents(cache) == networks and hand_model() == cache  # from then on it is there


def test_a_model_of_ones_own(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = tmp_path / "mine.task", tmp_path / "other.task"
    mine.touch()
    other.touch()
    monkeypatch.setenv(module.ENVIRONMENT, str(mine))
    assert hand_model() == mine
    assert hand_model(str(other)) == other
    monkeypatch.setenv(module.ENVIRONMENT, str(tmp_path / "missing.task"))
    with pytest.raises(UserError, match=r"^\$GESTURES_HAND_MODEL names .*missing.task"):
        hand_model()
    with pytest.raises(UserError, match=r"^--hand-model names gone.task, which is no file"):
        hand_model("gone.task")
    assert left_in(cache) == []


@LINUX
def test_first_start(pip: Path, cache: Path, tmp_path: Path) -> None:
    image = write_png(tmp_path / "hand.png", hand_picture("L"))
    arguments = ("record", "L", "--image", image, "--detector", "mediapipe")
    first = fine(run_py(*arguments, cwd=tmp_path))
    assert [line.split()[0] for line in said(first)] == ["First", "Recorded"]
    assert str(cache.parent) in first.stderr and left_in(cache) == [cache.name]
    assert said(fine(run_py(*arguments, cwd=tmp_path)))[0].startswith("Recorded")
    assert len(asked(pip)) == 1


@LINUX
def test_first_start_offline(pip: Path, cache: Path, tmp_path: Path) -> None:
    options = ("--camera", "demo", "--view", "none", "--detector", "mediapipe")
    run = run_py(*options, cwd=tmp_path, env=environment(PIP_DOES="offline"))
    assert run.returncode == 1 and run.stdout == ""
    news, sentence = said(run)
    assert news.startswith("First use of --detector mediapipe: fetching")
    assert sentence.startswith("error: pip could not fetch the hand model (No matching")
    assert len(asked(pip)) == 1 and left_in(cache) == []


@pytest.fixture
def meeting() -> Iterator[socket.socket]:
    """Where each pip reports, and waits for a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


def fetch(meeting: socket.socket) -> subprocess.Popen[str]:
    port = meeting.getsockname()[1]
    env = environment(PIP_DOES=str(port))
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(ROOT)])
    code = "from realtime.hands.model import hand_model; print(hand_model())"
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)


@LINUX
def test_interrupted(pip: Path, cache: Path, meeting: socket.socket) -> None:
    with fetch(meeting) as process, meeting.accept()[0] as pip_waits:
        number = int(pip_waits.makefile().readline())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0 and "KeyboardInterrupt" in err
    with pytest.raises(ProcessLookupError):  # pip doesn't go on behind the user's back
        os.kill(number, 0)
    assert left_in(cache) == []


@LINUX
def test_two_programs_fetch_at_once(
    pip: Path, cache: Path, meeting: socket.socket, networks: dict[str, bytes]
) -> None:
    with fetch(meeting) as first, fetch(meeting) as second:
        with meeting.accept()[0] as one, meeting.accept()[0] as other:
            one.sendall(b".")
            other.sendall(b".")
        for process in (first, second):
            out, err = process.communicate(timeout=PATIENCE_S)
            assert (process.returncode, out.strip()) == (0, str(cache)), err
    assert contents(cache) == networks and left_in(cache) == [cache.name]
    assert len(asked(pip)) == 2
