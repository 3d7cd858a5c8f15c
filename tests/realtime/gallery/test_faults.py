"""Kills, full disks and missing permissions: nothing recorded is lost, nothing is half there."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from realtime.gallery.files import LEFTOVER_S
from realtime.gallery.gallery import Gallery
from tests.realtime.gallery.fixtures import (
    NO_WINDOWS,
    RECORD,
    a_reference,
    files_in,
    no_warning,
    output,
    program,
)

# Each fork does the same work and is killed before its k-th change to the file system.
KILL_EVERYWHERE = """
import os, signal
import cv2
cv2.setNumThreads(0)
references = [
    a_reference(label, i, views=1 + i % 3)
    for i, label in enumerate(["x", "x", "a/b", "x", "y/x"])
]
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}

def work(folder):
    gallery = Gallery(folder)
    yield gallery.add(references[0])
    yield gallery.add(references[1])
    yield gallery.add(references[2], replace=True)
    yield gallery.delete_reference(references[1].id)
    yield gallery.add(references[3], replace=True)
    yield gallery.rename("x", "y/x")
    yield gallery.delete_reference(references[2].id)
    yield gallery.add(references[4])
    yield gallery.delete("y/x")

def child(folder, kill_at):
    left = kill_at
    def hook(event, arguments):
        nonlocal left
        if event in CHANGES:
            if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
                return
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    with open(f"{folder}.done", "wb", buffering=0) as done:
        sys.addaudithook(hook)
        for _ in work(folder):
            done.write(b".")
    os._exit(0)

for k in range(500):
    folder = Path(sys.argv[1]) / f"{k}"
    if (pid := os.fork()) == 0:
        child(folder, k)
    if os.waitpid(pid, 0)[1] == 0:
        break
print(k, *(r.id for r in references))
"""

FULL_DISK = """
import resource
big, small = a_reference("x", 1), a_reference("x", 2)
small.views[0].picture[:] = 0
gallery = Gallery(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
for reference in (big, small):  # the PNG is too large; only the JSON is
    try:
        gallery.add(reference, replace=True)
    except UserError as error:
        print("refused:", error)
gallery.embeddings(CountingEncoder())
try:
    print(export_zip(gallery, Path(sys.argv[1]).with_suffix(".zip")))
except UserError as error:
    print("refused:", error)
"""

NO_PERMISSION = """
import os
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
gallery = Gallery(Path("g"))
print("labels", sorted(r.label for r in gallery.references()))
print("index", gallery.embeddings(CountingEncoder()).labels)
for label in ("sound", "new"):
    for change in (lambda: gallery.add(a_reference(label)), lambda: gallery.delete("sound"),
                   lambda: gallery.rename("sound", "y")):
        try:
            change()
        except UserError as error:
            print("refused:", error)
try:
    Gallery(Path("closed"))
except UserError as error:
    print("closed:", error)
"""


@NO_WINDOWS
def test_a_killed_recorder_loses_nothing_it_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acknowledged: set[str] = set()
    for lines in [1, 2, 4, 7, 11]:
        process = program(RECORD, tmp_path, 10_000, 3)
        assert process.stdin and process.stdout and process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        acknowledged |= {process.stdout.readline().strip() for _ in range(lines)}
        process.kill()
        acknowledged |= set(process.communicate()[0].split())
        found = {r.id for r in Gallery(tmp_path).references()}
        assert acknowledged <= found and len(acknowledged) >= lines
        assert len(found - acknowledged) <= lines  # at most one a round: written, not yet told
    no_warning(capsys)


@NO_WINDOWS
@pytest.mark.long
def test_a_thousand_kills_at_random_instants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each while references are recorded; every one that was acknowledged is there, whole."""
    rng = np.random.default_rng(0)
    for kills in range(1000):
        folder = tmp_path / f"{kills // 50}"  # so that reading it all stays quick
        process = program(RECORD, folder, 10_000, 3)
        assert process.stdin and process.stdout and process.stdout.readline() == "ready\n"
        before = Gallery(folder).ids()
        process.stdin.write("go\n")
        process.stdin.flush()
        lines = int(rng.integers(4))
        acknowledged = {process.stdout.readline().strip() for _ in range(lines)}
        until_s = time.perf_counter() + rng.uniform(0.0, 0.02)
        while time.perf_counter() < until_s:  # an instant within a step, not between two
            pass
        process.kill()
        acknowledged |= set(process.stdout.read().split())
        process.communicate()
        there = Gallery(folder).ids()
        assert before | acknowledged <= there
        assert len(there - before - acknowledged) <= 1  # written, not yet told
        if kills % 50 == 49:
            assert {r.id for r in Gallery(folder).references()} == there
    no_warning(capsys)


@NO_WINDOWS
def test_killed_before_any_change_to_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kills, a, b, c, d, e = output(program(KILL_EVERYWHERE, tmp_path)).split()
    x = "x"
    # What is there after each step; a step in the middle shows the one before or the one after.
    steps: list[dict[str, set[str]]] = [
        {},
        {x: {a}},
        {x: {a, b}},
        {x: {a, b}, "a/b": {c}},
        {x: {a}, "a/b": {c}},
        {x: {d}, "a/b": {c}},
        {"y/x": {d}, "a/b": {c}},
        {"y/x": {d}},
        {"y/x": {d, e}},
        {},
    ]
    between = {4: {x: {a, d}, "a/b": {c}}}  # replaced: the new one comes before the old one goes
    assert int(kills) > 30
    for k in range(int(kills) + 1):
        done = (tmp_path / f"{k}.done").stat().st_size
        gallery = Gallery(tmp_path / f"{k}")
        state: dict[str, set[str]] = {}
        for reference in gallery.references():
            state.setdefault(reference.label, set()).add(reference.id)
        allowed = [steps[done], *steps[done + 1 : done + 2]]
        assert state in [*allowed, *([between[done]] if done in between else [])], (k, done)
        gallery.add(a_reference("x", 5))  # and it goes on
        assert gallery.labels()["x"] == len(state.get("x", ())) + 1
    no_warning(capsys)


@NO_WINDOWS
@pytest.mark.parametrize("before", [0, 2])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, before: int) -> None:
    gallery = Gallery(tmp_path / "g")
    for i in range(before):
        gallery.add(a_reference("x", i))
    files = files_in(tmp_path)
    lines = output(program(FULL_DISK, gallery.folder)).splitlines()
    assert len(lines) == 3 and all(line.startswith("refused:") for line in lines)
    assert ".png can't be written (File too large)" in lines[0]
    assert ".json can't be written (File too large)" in lines[1]
    assert ".new-" not in "".join(lines) and ".tmp-" not in "".join(lines)
    assert {f for f in files_in(tmp_path) if f not in {"g", "g/.cache"}} == files - {"g"}
    assert len(gallery.references()) == before


@NO_WINDOWS
def test_a_gallery_without_permission(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(a_reference("sound"))
    damaged = gallery.add(a_reference("damaged"))
    (tmp_path / "g" / "damaged" / f"{damaged.id}.item.json").write_text("{")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    tmp_path.chmod(0o755)
    for folder in [tmp_path / "g", *(tmp_path / "g").iterdir()]:
        folder.chmod(0o555)
    files = files_in(tmp_path)
    try:
        process = program(NO_PERMISSION, tmp_path)
        lines = output(process).splitlines()
    finally:
        for folder in [tmp_path / "g", *(tmp_path / "g").iterdir(), tmp_path / "closed"]:
            folder.chmod(0o755)
    assert lines[:2] == ["labels ['sound']", "index ('sound',)"]
    assert len(lines) == 9 and all("Permission denied" in line for line in lines[2:])
    assert lines[8].startswith("closed:") and files_in(tmp_path) == files


def test_a_gallery_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "g"
    path.write_text("not a folder")
    with pytest.raises(UserError, match="g can't be read as a gallery"):
        Gallery(path)
    with pytest.raises(UserError):
        Gallery(path / "below")


def test_leftovers_are_cleaned_when_they_are_old(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("x"))
    old: list[Path] = []
    new: list[Path] = []
    for folder in [tmp_path, tmp_path / "x"]:
        for paths, name in [(old, ".tmp-old"), (new, ".tmp-new")]:
            (folder / name).write_bytes(b"half")
            paths.append(folder / name)
    for paths, name in [(old, ".new-old"), (new, ".new-new"), (old, ".deleted-old")]:
        shutil.copytree(tmp_path / "x", tmp_path / name)
        paths.append(tmp_path / name)
    for path in old:
        os.utime(path, (time.time() - LEFTOVER_S - 10,) * 2)
    assert gallery.labels() == {"x": 1} and len(gallery.references()) == 1
    assert all(path.exists() for path in old)  # reading changes nothing
    gallery.add(a_reference("x", 2))
    assert not any(path.exists() for path in old) and all(path.exists() for path in new)


@NO_WINDOWS
def test_links_are_no_gestures(tmp_path: Path) -> None:
    elsewhere = Gallery(tmp_path / "elsewhere")
    elsewhere.add(a_reference("x"))
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "link").symlink_to(tmp_path / "elsewhere" / "x")
    assert Gallery(tmp_path / "g").labels() == {}
