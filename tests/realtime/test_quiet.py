"""What libraries write to descriptor 2 is discarded; what Python says is heard all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from realtime.quiet import silence_native_stderr
from tests.cli import ROOT

TALK = """
import os, sys, threading
from realtime.quiet import part_stderr, silence_native_stderr
part_stderr()
over = threading.Event()
def decode():
    while not over.is_set():
        with silence_native_stderr():
            os.write(2, b"noise\\n")
threads = [threading.Thread(target=decode) for _ in range(3)]
for thread in threads: thread.start()
for i in range(300): print("line", i, file=sys.stderr)
over.set()
for thread in threads: thread.join()
os.write(2, b"loud\\n")
"""


def python(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,  # type: ignore[call-overload]
    )


def test_python_is_heard_while_libraries_are_silenced() -> None:
    lines = python(TALK, stderr=subprocess.PIPE).stderr.splitlines()
    assert lines == [*(f"line {i}" for i in range(300)), "loud"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX descriptors")
def test_a_file_that_got_the_descriptor_of_a_closed_stderr_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from realtime.quiet import part_stderr, silence_native_stderr\n"
        "part_stderr()\n"
        "file = open(sys.argv[1], 'wb', buffering=0)\n"
        "with silence_native_stderr():\n"
        "    file.write(b'data')\n"
        "print(file.fileno())\n"
    )
    path = tmp_path / "out"
    done = python(code, str(path), preexec_fn=lambda: os.close(2))
    assert done.stdout == "2\n" and path.read_bytes() == b"data"


def test_blocks_nest(capfd: pytest.CaptureFixture[str]) -> None:
    with silence_native_stderr():
        with silence_native_stderr():
            os.write(2, b"one")
        os.write(2, b"two")
    os.write(2, b"three")
    assert capfd.readouterr().err == "three"
