"""The examples run as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import ROOT, environment

pytestmark = pytest.mark.usefixtures("hand_model_path")


def test_a_front_end_of_one_class(tmp_path: Path) -> None:
    """Record, name, recognised, delete, undo: through the session alone."""
    command = [sys.executable, str(ROOT / "examples" / "front_end.py")]
    run = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    lines = [line.strip() for line in run.stdout.splitlines()]
    steps = [line for line in lines if not line.endswith(("start mine", "end mine"))]
    taught, own = steps[:10], steps[10:]
    assert all(step.startswith("Delete: Deleted ") for step in taught)
    assert own == [
        "Record: done",
        "Name: Recorded mine.",
        "Delete: Deleted a reference of mine.",
        "Undo: Brought back mine.",
        "Quit: done",
        "Gestures: mine",
    ]
    named, deleted = lines.index("Name: Recorded mine."), lines.index(own[2])
    starts = [i for i, line in enumerate(lines) if line.endswith("start mine")]
    assert starts and starts[0] < deleted and named - 1 <= starts[0]
    assert list(tmp_path.iterdir()) == []
