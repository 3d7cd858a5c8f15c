"""The gallery's promises where things go wrong: nothing recorded is lost, nothing is half there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gallery_fixtures import CountingEncoder, a_reference, files_in, same

from engines.errors import UserError
from realtime import gallery_files
from realtime.gallery import Gallery
from realtime.gallery_archive import export_zip, import_zip
from realtime.gallery_files import LEFTOVER_S
from realtime.gallery_reference import LARGEST, LARGEST_JSON, DamagedReference, to_files

ROOT = Path(__file__).resolve().parent.parent
NO_WINDOWS = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")

RECORD = """
gallery = Gallery(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[2])):
    print(gallery.add(a_reference(f"label {i % int(sys.argv[3])}", i)).id, flush=True)
"""

# Each fork does the same work and is killed before its k-th change to the file system.
KILL_EVERYWHERE = """
import os, signal
import cv2
cv2.setNumThreads(0)
references = [a_reference(label, i) for i, label in enumerate(["x", "x", "a/b", "x"])]
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
    yield gallery.delete("y/x")

def child(folder, kill_at):
    left = kill_at
    def hook(event, arguments):
        nonlocal left
        if event in CHANGES and str(folder) in str(arguments[0]):
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
small.picture[:] = 0
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


def program(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program of its own with the gallery at hand."""
    start = (
        "import sys\nfrom pathlib import Path\nfrom engines.errors import UserError\n"
        "from realtime.gallery import Gallery\nfrom realtime.gallery_archive import export_zip\n"
        "from gallery_fixtures import CountingEncoder, a_reference\n"
    )
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out


def no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert capsys.readouterr().err == ""


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
def test_killed_before_any_change_to_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kills, a, b, c, d = output(program(KILL_EVERYWHERE, tmp_path)).split()
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


def test_two_programs_at_once_lose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = [program(RECORD, tmp_path, 30, 10) for _ in range(2)]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = [id for process in processes for id in output(process).split()]
    gallery = Gallery(tmp_path)
    assert len(ids) == 60 and {r.id for r in gallery.references()} == set(ids)
    assert gallery.labels() == {f"label {i}": 6 for i in range(10)}
    assert len(list(tmp_path.iterdir())) == 10  # one folder for each label
    no_warning(capsys)


def meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    when: Callable[..., bool],
    what: Callable[[], object],
) -> None:
    """Let another program do `what` once, just before gallery_files' `name` is called."""
    original = getattr(gallery_files, name)

    def wrapped(*arguments: object) -> object:
        if when(*arguments):
            monkeypatch.setattr(gallery_files, name, original)
            what()
        return original(*arguments)

    monkeypatch.setattr(gallery_files, name, wrapped)


def test_another_program_makes_the_same_gesture_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    meanwhile(
        monkeypatch,
        "write_reference",
        lambda folder, *_: folder.name.startswith(".new-"),
        lambda: theirs.add(a_reference("x", 1)),
    )
    mine.add(a_reference("x", 2))
    assert mine.labels() == {"x": 2} and [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("suffix", [".png", ".json"])
def test_another_program_deletes_the_gesture_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    mine.add(a_reference("x"))
    meanwhile(
        monkeypatch, "write_file", lambda p, _: p.suffix == suffix, lambda: theirs.delete("x")
    )
    added = mine.add(a_reference("x", 2))
    assert [r.id for r in theirs.references()] == [added.id]


def test_another_program_adds_while_the_last_one_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    old = mine.add(a_reference("a/b"))
    png, record = to_files(a_reference("a/b", 2))
    rmdir = os.rmdir

    def late(folder: Path) -> None:
        gallery_files.write_reference(Path(folder), theirs_id, png, record)
        rmdir(folder)

    theirs_id = a_reference("x").id
    monkeypatch.setattr(os, "rmdir", late)
    mine.delete_reference(old.id)
    assert [(r.label, r.id) for r in theirs.references()] == [("a/b", theirs_id)]


def test_a_reference_that_vanishes_while_reading_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = Gallery(tmp_path), Gallery(tmp_path)
    first, second = mine.add(a_reference("x")), mine.add(a_reference("x", 2))
    meanwhile(
        monkeypatch,
        "with_picture",
        lambda record, *_: record.id == first.id,
        lambda: theirs.delete_reference(second.id),
    )
    assert [r.id for r in mine.references()] == [first.id]
    meanwhile(  # gone between its JSON and its PNG
        monkeypatch, "parse_record", lambda *_: True, lambda: theirs.delete_reference(first.id)
    )
    assert mine.references() == []
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
    (tmp_path / "g" / "damaged" / f"{damaged.id}.json").write_text("{")
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


def edit(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        fields = json.loads(path.read_text())
        path.write_text(json.dumps({**fields, **changes}))

    return change


def without(field: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        fields = json.loads(path.read_text())
        del fields[field]
        path.write_text(json.dumps(fields))

    return change


NAN = [[float("nan"), 0.0, 0.0]] * 21
DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "no JSON": lambda p: p.write_bytes(b"\xff\x00{"),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-40]),
    "deep": lambda p: p.write_text("[" * 100_000),
    "long": lambda p: p.write_text(" " * (LARGEST_JSON + 1)),
    "a list": lambda p: p.write_text("[1]"),
    "no version": without("version"),
    "no side": without("side"),
    "no landmarks": without("landmarks"),
    "side": edit(side="both"),
    "score": edit(score="high"),
    "large score": edit(score=2),
    "NaN": edit(landmarks=NAN),
    "infinite": edit(world_landmarks=[[1e300, 0, 0]] * 21),
    "20 points": edit(landmarks=[[0, 0, 0]] * 20),
    "ragged": edit(landmarks=[[0, 0, 0]] * 20 + [[0]]),
    "words": edit(landmarks="no"),
    "time": edit(recorded_at="yesterday"),
    "no time": edit(recorded_at=None),
    "other size": edit(picture_size=LARGEST),
    "other hash": edit(picture_sha256="0" * 64),
    "PNG missing": lambda p: p.with_suffix(".png").unlink(),
    "PNG empty": lambda p: p.with_suffix(".png").write_bytes(b""),
    "PNG cut": lambda p: p.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50),
    "PNG one bit": lambda p: flip(p.with_suffix(".png")),
    "PNG hash fits": lambda p: consistent(p, b"\x89PNG\r\n\x1a\n" + b"\0" * 90),
}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def consistent(path: Path, png: bytes) -> None:
    """A PNG that can't be decoded, though size, hash and header agree with the JSON."""
    size = json.loads(path.read_text())["picture_size"].to_bytes(4, "big")
    png = png[:16] + size * 2 + png[24:]
    path.with_suffix(".png").write_bytes(png)
    edit(picture_sha256=hashlib.sha256(png).hexdigest(), picture_bytes=len(png))(path)


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_damaged_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    gallery = Gallery(tmp_path)
    sound, damaged = gallery.add(a_reference("x")), gallery.add(a_reference("x", 2))
    DAMAGE[kind](tmp_path / "x" / f"{damaged.id}.json")
    assert [r.id for r in gallery.references()] == [sound.id]
    warning = capsys.readouterr().err
    assert warning.count("warning:") == 1 and f"{damaged.id}.json" in warning
    assert (tmp_path / ".damaged" / "x" / f"{damaged.id}.json").is_file()
    assert not list((tmp_path / "x").glob(f"{damaged.id}*"))
    assert gallery.labels() == {"x": 1} and len(gallery.embeddings(CountingEncoder()).ids) == 1
    no_warning(capsys)


def test_a_newer_version_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = Gallery(tmp_path)
    added = gallery.add(a_reference("x"))
    edit(version=2)(tmp_path / "x" / f"{added.id}.json")
    files = files_in(tmp_path)
    assert gallery.references() == [] == gallery.references() and files_in(tmp_path) == files
    assert capsys.readouterr().err.count("newer version") == 1


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 1, "label": "\\ud800"}'])
def test_a_damaged_label_leaves_the_folder_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(a_reference("a/b"))
    (tmp_path / "a_b" / "gesture.json").write_text(text)
    assert [r.label for r in gallery.references()] == ["a_b"]
    assert capsys.readouterr().err.count("warning:") == 1


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "objects", "other shape", "NaN"])
def test_a_damaged_cache_is_built_anew(tmp_path: Path, damage: str) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    gallery.add(a_reference("x"))
    index = gallery.embeddings(encoder)
    (cache,) = (tmp_path / ".cache").iterdir()
    assert cache.name == "f" * 16 + "-m.npz"
    with np.load(cache) as file:
        arrays = dict(file)
    if damage in {"empty", "text", "cut"}:
        cut = cache.read_bytes()[: cache.stat().st_size // 2]
        cache.write_bytes({"empty": b"", "text": b"no cache", "cut": cut}[damage])
    else:
        value = {
            "objects": np.array([[{"a": 1}] * 8], object),
            "other shape": np.zeros((1, 7), np.float32),
            "NaN": np.full((1, 8), np.nan, np.float32),
        }[damage]
        np.savez(cache, **{**arrays, "embeddings": value})
    again = Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 2 and np.array_equal(again.embeddings, index.embeddings)
    Gallery(tmp_path).embeddings(encoder)
    assert encoder.encoded == 2  # the cache was mended


def test_a_cache_of_other_content_is_stale(tmp_path: Path) -> None:
    gallery, encoder = Gallery(tmp_path), CountingEncoder()
    added = gallery.add(a_reference("x"))
    first = gallery.embeddings(encoder)
    edit(world_landmarks=[[0.5, 0, 0]] * 21)(tmp_path / "x" / f"{added.id}.json")
    second = gallery.embeddings(encoder)
    assert encoder.encoded == 2 and not np.allclose(first.embeddings, second.embeddings)


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


def archive_of(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "folder", ["../x", "x/../../y", "/etc", "\\windows", "..\\up", "C:/x", "C:\\x", "//host/x"]
)
def test_archives_that_lead_outside(tmp_path: Path, folder: str) -> None:
    reference = a_reference("x")
    png, record = to_files(reference)
    sound = a_reference("x", 2)
    sound_png, sound_record = to_files(sound)
    files = {
        f"x/{sound.id}.png": sound_png,
        f"x/{sound.id}.json": sound_record,
        f"{folder}/{reference.id}.png": png,
        f"{folder}/{reference.id}.json": record,
    }
    path = archive_of(tmp_path / "bad.zip", **files)
    with pytest.raises(UserError, match="leads out"):
        import_zip(Gallery(tmp_path / "g"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.zip"]


def test_archives_with_links(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        info = zipfile.ZipInfo("x/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="leads out"):
        import_zip(Gallery(tmp_path / "g"), tmp_path / "bad.zip")


def test_archives_that_unpack_to_too_much(tmp_path: Path) -> None:
    id = a_reference("x").id
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"x/{id}.json", b" " * (LARGEST_JSON + 1))
    with pytest.raises(UserError, match="unpacks to more"):
        import_zip(Gallery(tmp_path / "g"), tmp_path / "bomb.zip")
    # One that lies about its size is read no further than it says.
    data = (tmp_path / "bomb.zip").read_bytes()
    lie = data.replace((LARGEST_JSON + 1).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    (tmp_path / "lie.zip").write_bytes(lie)
    assert lie != data and import_zip(Gallery(tmp_path / "g"), tmp_path / "lie.zip") == 0
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18, b"PK\x03\x04" * 20])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"bad\.zip"):
        import_zip(Gallery(tmp_path / "g"), tmp_path / "bad.zip")
    for path in [tmp_path / "missing.zip", tmp_path]:
        with pytest.raises(UserError, match="can't be read"):
            import_zip(Gallery(tmp_path / "g"), path)


def test_archives_partly_damaged_or_foreign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (png, record), (other, _) = to_files(a_reference("x")), to_files(a_reference("x", 2))
    ids = [a_reference("x").id for _ in range(5)]
    files = {
        "readme.txt": b"not ours",
        f"__MACOSX/x/{ids[0]}.json": b"not ours",
        f".damaged/x/{ids[0]}.json": b"not ours",
        f"outer/x/{ids[0]}.png": png,  # zipped by hand, with the gallery's own folder
        f"outer/x/{ids[0]}.json": record,
        f"x/{ids[1]}.png": other,
        f"x/{ids[1]}.json": record,
        f"x/{ids[2]}.json": record,
        f"x/{ids[3]}.png": png,
        " /gesture.json": b"{",
        f" /{ids[4]}.png": png,
        f" /{ids[4]}.json": record,
    }
    gallery = Gallery(tmp_path / "g")
    assert import_zip(gallery, archive_of(tmp_path / "mixed.zip", **files)) == 1
    assert gallery.ids() == {ids[0]} and gallery.labels() == {"x": 1}
    assert capsys.readouterr().err.count("warning:") == 3


def test_an_encrypted_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(a_reference("x"))
    export_zip(gallery, tmp_path / "out.zip")
    data = bytearray((tmp_path / "out.zip").read_bytes())
    for mark, offset in [(b"PK\x01\x02", 8), (b"PK\x03\x04", 6)]:
        start = 0
        while (start := data.find(mark, start)) >= 0:
            data[start + offset] |= 1
            start += 4
    (tmp_path / "locked.zip").write_bytes(data)
    assert import_zip(Gallery(tmp_path / "other"), tmp_path / "locked.zip") == 0
    assert "encrypted" in capsys.readouterr().err


def test_exporting_to_nowhere(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(a_reference("x"))
    (tmp_path / "folder.zip").mkdir()
    for path in [tmp_path / "missing" / "out.zip", tmp_path / "folder.zip"]:
        with pytest.raises(UserError, match=r"\.zip can't be written"):
            export_zip(gallery, path)
    assert {p.name for p in tmp_path.iterdir()} == {"g", "folder.zip"}


def test_what_is_no_reference_is_not_stored(tmp_path: Path) -> None:
    gallery, reference = Gallery(tmp_path), a_reference("x")
    png, record = to_files(reference)
    with pytest.raises(DamagedReference):
        gallery.add_files("x", reference.id, png[:-1], record)
    assert list(tmp_path.iterdir()) == []
    assert same(gallery.add(reference), gallery.references()[0])
