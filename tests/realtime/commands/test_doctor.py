"""`run.py doctor`: each thing that the live loop needs, whether it is well, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import fault, fine, run_py, said


def test_doctor(tmp_path: Path, hand_model_path: Path) -> None:
    run = fine(run_py("doctor", "--hand-model", hand_model_path, cwd=tmp_path))
    rows = [row.split(":")[0].split(maxsplit=1) for row in run.stdout.splitlines()]
    found = {what: mark for mark, what in rows if mark != "→"}
    for what in ("Python", "numpy", "mediapipe", "hand model", "encoder"):
        assert found[what] == "ok", run.stdout
    assert found["display"] == "–"


def test_doctor_finds_what_is_wrong(tmp_path: Path, hand_model_path: Path) -> None:
    (tmp_path / "broken.onnx").write_text("not ONNX")
    run = run_py("doctor", "--encoder", "broken.onnx", cwd=tmp_path)
    assert run.returncode == 1
    [sentence] = said(run)
    assert sentence.startswith("error: ") and "marked wrong" in sentence
    rows = run.stdout.splitlines()
    [at] = [i for i, row in enumerate(rows) if "  encoder: " in row]
    assert rows[at].startswith("wrong  ") and "doesn't work" in rows[at]
    assert "→" in rows[at + 1] and "broken.onnx" in rows[at + 1]


@pytest.mark.parametrize("engine", ["mine.plan", "models/default.onnx"])
def test_doctor_tests_a_file_by_another_command(engine: str, tmp_path: Path) -> None:
    sentence = fault(run_py("doctor", "--engine", engine, cwd=tmp_path))
    assert f"run.py doctor engine {engine}" in sentence
