"""Command lines, addresses and event files of any text."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import run
from engines.errors import UserError
from realtime.live.events import EventFile
from realtime.sources.open import open_source
from realtime.views.overlay import write
from realtime.views.video import VideoWriter
from tests.realtime.hostile.changes import MANY, ODD_NUMBERS, ODD_TEXTS

OPTIONS = ["--size", "--fps", "--far", "--hands", "--keep", "--max-frames", "--camera", "--view"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = (
    TEXTS
    | st.sampled_from([*ODD_TEXTS, "1e999", "-5", "1x2x3", "9" * 5000, "٣", "0x10", "1_0"])
    | st.sampled_from(ODD_NUMBERS).map(str)
)


@MANY
@given(st.lists(st.tuples(st.sampled_from(OPTIONS), VALUES), max_size=4))
def test_options_of_the_live_loop(
    capsys: pytest.CaptureFixture[str], options: list[tuple[str, str]]
) -> None:
    """A command line is understood, or refused in one line."""
    try:
        arguments = run.parse([word for option in options for word in option])
        assert isinstance(arguments, argparse.Namespace)
    except SystemExit as end:
        assert end.code in (0, 2)
    said = capsys.readouterr().err
    assert said == "" or said.startswith("error: ")


@MANY
@given(VALUES.filter(lambda text: not text.strip().isdecimal()))
def test_sources_of_any_name(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Nothing in an empty folder has any of these names."""
    name = str(tmp_path_factory.getbasetemp() / "nothing" / "here") + text
    for camera in (name, f"{text}://", f"http://{text[:3]} {text}", f"rtsp://[{text}"):
        with pytest.raises(UserError):
            open_source(camera, max_wait_s=0.2)


@MANY
@given(TEXTS, st.dictionaries(TEXTS, TEXTS))
def test_event_files(
    tmp_path_factory: pytest.TempPathFactory, name: str, header: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("events")
    before = set(folder.parent.iterdir())
    target: Path = folder / (re.sub("[/\0]", "_", name) or "_")
    try:
        EventFile(str(target), header).close()
    except UserError:
        assert not target.is_file()
        return
    line, end = target.read_text(encoding="utf-8").split("\n")
    assert end == "" and json.loads(line) == {"type": "header", "version": 1, **header}
    assert set(folder.parent.iterdir()) == before


BYTES = st.binary(min_size=1, max_size=6).map(lambda data: data.translate(None, b"/\0.") or b"\xe9")


@MANY
@given(BYTES)
def test_names_that_are_not_utf_8(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """OpenCV crashes on the text that Python makes of them; nothing gets that far."""
    folder = tmp_path_factory.mktemp("names")
    path = folder / f"{os.fsdecode(data)}.mp4"
    try:
        path.write_bytes(b"no video")
    except OSError:  # this file system takes UTF-8 alone
        return
    with pytest.raises(UserError):
        open_source(str(path))
    with pytest.raises(UserError, match="gave no picture"):
        open_source(f"rtsp://127.0.0.1:9/{path.name}", max_wait_s=0.2)
    with contextlib.suppress(UserError):
        VideoWriter(path, 30.0).write(np.zeros((16, 16, 3), np.uint8), 0.0)
    canvas = np.zeros((60, 400, 3), np.uint8)
    write(canvas, f"{path.name} is here", (10, 40), 20, (255, 255, 255))
    assert canvas.any()
