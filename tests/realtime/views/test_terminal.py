"""The terminal's table, on a real terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli import environment, hand_picture, start_py, teach, write_video

pytestmark = pytest.mark.usefixtures("hand_model_path")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_table_is_redrawn_and_events_stay(tmp_path: Path) -> None:
    import pty

    teach(tmp_path / "gestures", "Victory")
    pictures = [hand_picture("Victory", centre=(310 + i % 5, 372)) for i in range(40)]
    video = write_video(tmp_path / "victory.avi", pictures, 15)
    options = ("--camera", video, "--realtime", "--view", "terminal")
    ours, theirs = pty.openpty()
    env = environment(TERM="xterm", COLUMNS="100", LINES="30")
    with start_py(*options, cwd=tmp_path, env=env, stderr=theirs) as process:
        os.close(theirs)
        shown = bytearray()
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    text = shown.decode("utf-8", "replace")
    assert process.returncode == 0, text
    for word in ("gesture", "nearest", "similarity", "false accepts 1 %", "right", "Victory"):
        assert word in text
    assert "\x1b[" in text  # it is redrawn in place
    lines = [line for line in text.replace("\r", "\n").split("\n") if "  right  start  " in line]
    assert len(lines) == 1 and "Victory" in lines[0]
