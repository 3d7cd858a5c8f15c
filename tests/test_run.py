"""The command line: a module for each command, loaded when it is named, and one line of error."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import realtime.commands
import run
import train.commands
from realtime.commands.options import settings_of
from realtime.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"numpy", "cv2", "rich", "torch", "onnx", "onnxruntime", "mediapipe", "pygame"}


@pytest.mark.parametrize("name", run.COMMANDS)
def test_a_module_is_all_there_is_of_a_command(name: str) -> None:
    module = importlib.import_module(run.COMMANDS[name])
    assert name == module.NAME and module.HELP and callable(module.options) and callable(module.run)


def test_every_command_is_listed() -> None:
    found = set()
    for package in (realtime.commands, train.commands):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if hasattr(importlib.import_module(info.name), "NAME"):
                found.add(info.name)
    assert found == set(run.COMMANDS.values())


def test_help_needs_nothing_that_must_be_installed() -> None:
    """And answers at once."""
    code = (
        "import contextlib, sys, run\n"
        "for words in [['--help'], *([name, '--help'] for name in run.COMMANDS)]:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        run.parse(words)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.stderr == "[]\n"
    assert all(f"usage: run.py {name} " in answer.stdout for name in run.COMMANDS)


def test_only_the_command_that_is_named_is_imported() -> None:
    code = (
        "import sys, run; run.parse(['record', 'A'])\n"
        "print(sorted(set(run.COMMANDS.values()) & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.stdout == "['realtime.commands.record']\n"


def test_the_defaults_are_those_of_settings() -> None:
    assert settings_of(run.parse([])) == settings_of(run.parse(["live"])) == Settings()
    assert settings_of(run.parse(["record", "A"])) == Settings()
    changed = settings_of(run.parse(["--camera", "demo", "--hands", "1", "--no-mirror-hands"]))
    assert changed == Settings(camera="demo", hands=1, mirror_hands=False)


def test_record_has_the_options_that_matter_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.parse(["record", "--help"])
    shown = capsys.readouterr().out
    for option in ("--image", "--replace", "--camera", "--gallery", "--encoder"):
        assert option in shown
    others = "--events --log-frames --view --save --max-frames --realtime --hands --far"
    assert [option for option in others.split() if option in shown] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "--onnx", "x", "--batch", "0"], "as 1,2,8; got '0' (see run.py build --help)"),
        (["bench-engines", "--rounds", "many"], "--rounds: invalid int value: 'many' (see run.py"),
        (["live", "--size", "0x480"], "--size: width and height are positive; got '0x480' (see"),
        (["lvie"], "no command 'lvie'; there are live, record,"),
        (["record"], "label (see run.py record --help)"),
    ],
)
def test_a_bad_value_is_told_in_one_line(words: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(words)
    [line] = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2 and line.startswith("error: ") and said in line
