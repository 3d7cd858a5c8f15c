"""Without streams, a home or a folder for temporary files: what works, and one sentence else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import UserError, visible
from engines.files import cache_folder, temporary_folder
from engines.selftest.bug_report import collect_private
from realtime.hands.quiet import silence_native_stderr
from tests.cli import ROOT, RUN, environment, hand_picture, teach, write_png

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the streams")
# A process whose user id has no entry, and which has no HOME.
NOBODY = (
    "import pwd, sys\n"
    "def missing(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\n"
    "pwd.getpwuid = missing\n"
    f"sys.path.insert(0, {str(ROOT)!r})\n"
    "from run import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


def without(streams: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`run.py ARGUMENTS` with streams closed as a shell does it, such as `2>&-`."""
    line = f'exec "$@" {streams}'
    command = ["sh", "-c", line, "sh", sys.executable, str(RUN), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True)


@POSIX
@pytest.mark.parametrize("streams", ["2>&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_streams_that_are_closed(tmp_path: Path, streams: str) -> None:
    """A fault's sentence stays off stdout, and nothing is written into a file instead."""
    gallery = teach(tmp_path / "gestures", "Fist")
    image = write_png(tmp_path / "fist.png", hand_picture("Fist"))
    runs = [
        without(streams, "gestures", "delete", "nobody", cwd=tmp_path),
        without(streams, "record", "Fist", "--image", image, cwd=tmp_path),
        without(streams, "gestures", "list", cwd=tmp_path),
        without(streams, "live", "--camera", image, "--events", "e", "--log-frames", cwd=tmp_path),
    ]
    assert [run.returncode for run in runs] == [1, 0, 0, 0]
    for run in runs:
        assert "Traceback" not in run.stdout + run.stderr
        assert "error" not in run.stdout and ("1>&-" not in streams or run.stdout == "")
    events = (tmp_path / "e").read_text().splitlines()
    assert len(events) >= 2 and all(line.startswith('{"type": ') for line in events)
    for path in filter(Path.is_file, gallery.rglob("*")):
        assert b"recorded gesture" not in path.read_bytes()


@POSIX
def test_events_for_a_stdout_that_is_closed(tmp_path: Path) -> None:
    image = write_png(tmp_path / "fist.png", hand_picture("Fist"))
    run = without("1>&-", "live", "--camera", image, "--events", "-", cwd=tmp_path)
    assert run.returncode == 1 and "name a file" in run.stderr and "Traceback" not in run.stderr


def test_native_messages_are_silenced_without_a_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    with silence_native_stderr(), silence_native_stderr():
        pass


@POSIX
def test_a_user_without_a_home(tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        env = environment(HOME=None, XDG_CACHE_HOME=None)
        command = [sys.executable, "-c", NOBODY, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    image = write_png(tmp_path / "fist.png", hand_picture("Fist"))
    assert run("record", "Fist", "--image", image).returncode == 0
    assert run("live", "--camera", image).returncode == 0
    needs_cache = run("live", "--camera", image, "--detector", "mediapipe")
    assert needs_cache.returncode == 1 and "set XDG_CACHE_HOME" in needs_cache.stderr
    examined = run("doctor", "--detector", "mediapipe")
    assert "set XDG_CACHE_HOME" in examined.stdout
    for said in (needs_cache.stderr, examined.stdout, examined.stderr):
        assert "Traceback" not in said and "RuntimeError" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fist.png", "gestures"]


@pytest.mark.parametrize("answer", ["~/.cache/one-shot-gestures", None], ids=["older", "newer"])
def test_no_cache_folder(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """Releases of platformdirs differ in what they say of a user without a home."""
    import platformdirs

    def user_cache_dir(*_: object, **__: object) -> str:
        if answer is None:
            raise RuntimeError("could not determine the home directory")
        return answer

    monkeypatch.setattr(platformdirs, "user_cache_dir", user_cache_dir)
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cache_folder()


def test_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    with temporary_folder("mine-") as folder:
        assert folder.is_dir() and folder.name.startswith("mine-")
    assert not folder.exists()
    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr(tempfile, "_gettempdir", none, raising=False)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_, **__: none())
    with pytest.raises(UserError, match="Set TMPDIR"), temporary_folder():
        pass
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    hidden = collect_private([tmp_path / "a b" / "e.onnx"])
    assert str(tmp_path / "a b") in hidden.paths


@POSIX
def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os\nos.rmdir({str(gone)!r})\n{NOBODY}"
    for words in (["gestures", "list"], ["doctor"], ["record", "x", "--image", "y.png"]):
        run = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=gone,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in run.stderr and "this is a fault" not in run.stdout
        gone.mkdir()


def _read_only() -> bool:
    """Whether a test may look at the system as read-only, in a namespace of its own."""
    probe = "mount --make-rprivate / && mount -o remount,bind,ro /"
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and subprocess.run([unshare, "-m", "sh", "-c", probe], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _read_only(), reason="needs a mount namespace")
def test_a_system_that_is_read_only(tmp_path: Path) -> None:
    """What only reads works, without a temporary folder; what writes says so in a sentence."""
    gallery = teach(tmp_path / "gestures", "Fist")
    image = write_png(tmp_path / "fist.png", hand_picture("Fist"))
    line = 'mount --make-rprivate / && mount -o remount,bind,ro / && exec "$@"'

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "-m", "sh", "-c", line, "sh", sys.executable, str(RUN)]
        options = ("--gallery", gallery) if arguments[0] in ("live", "record", "gestures") else ()
        return subprocess.run(
            [*command, *map(str, (*arguments, *options))],
            cwd=tmp_path,
            env=environment(TMPDIR=str(tmp_path)),
            capture_output=True,
            text=True,
        )

    for words in (["gestures", "list"], ["live", "--camera", image]):
        assert run(*words).returncode == 0, words
    assert "this is a fault of the program" not in run("doctor").stdout
    for words in (
        ["record", "x", "--image", image],
        ["gestures", "delete", "Fist"],
        ["doctor", "engine", ROOT / "models" / "default.onnx"],
        ["live", "--camera", image, "--events", "e"],
        ["bench"],
    ):
        done = run(*words)
        assert done.returncode == 1 and "Traceback" not in done.stderr, words
        assert done.stderr.splitlines()[-1].startswith("error: "), words


def test_text_is_made_visible_once() -> None:
    text = "a\x00\x1b[31m\x7f\x9b\u202e\u2066 é 手 \U0001f44d\u200d"
    shown = visible(text)
    assert shown == "a\\u0000\\u001b[31m\\u007f\\u009b\\u202e\\u2066 é 手 \U0001f44d\u200d"
    assert visible(shown) == shown and visible("a\tb\n", keep="\t\n") == "a\tb\n"
