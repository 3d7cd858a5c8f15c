"""prepare on small sets of drawn hands: what it keeps, what it says, and that it goes on."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime.hands import opening
from realtime.hands.detector import Detector, detect_picture
from realtime.hands.geometry import crop_landmarks, cut, turns_of, upright_square
from realtime.hands.opening import networks_mark, open_detector
from realtime.measuring.folder import NO_HAND
from realtime.picture_files import read_picture
from tests.cli import PATIENCE_S, RUN, environment, fault, fine, hand_picture, main_py, write_png
from train.pictures import prepare as module
from train.pictures.prepare import prepare
from train.pictures.prepared import MARGIN, STORED_SIZE, load_prepared

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
REPLACE = os.replace
SHARD = 2  # pictures, in the tests
WALL = np.full((120, 160, 3), 90, np.uint8)
SHOWN = {  # in the order of their paths
    "ann/Open hand/1.png": ("Open hand", "right"),
    "ann/Point/1.png": ("Point", "right"),
    "ann/Point/2.png": ("Point", "left"),
    "lab/bea/Victory/1.png": ("Victory", "left"),
}
MISSING = ["ann/Point/3.png", "lab/bea/Victory/broken.jpg"]
ENGINE = ("--detector", "engine")
engine = functools.partial(open_detector, "engine", video=False)
MARK = networks_mark("engine")
# `prepare` with small shards, as its own program: KILL_AT OUT DIR…; it kills itself
# before its KILL_AT-th change of the file system, at 0 never.
PROGRAM = f"""
import os, signal, sys
from functools import partial
from pathlib import Path
from realtime.hands.opening import open_detector
from train.pictures.prepare import prepare
changes, (kill_at, out, *folders) = ("os.rename", "shutil.rmtree"), sys.argv[1:]
left = int(kill_at)
def hook(event, arguments):
    global left
    left -= event in changes
    if left == 0 and event in changes:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
engine = partial(open_detector, "engine", video=False)
prepare([Path(folder) for folder in folders], engine, {MARK!r}, Path(out), {SHARD})
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people's pictures: four hands, a wall, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures") / "drawn"
    for i, (path, (gesture, side)) in enumerate(SHOWN.items()):
        write_png(folder / path, hand_picture(gesture, side, yaw=0.1 * i))
    write_png(folder / MISSING[0], WALL)
    (folder / MISSING[1]).write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def prepared(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted run writes."""
    out = tmp_path_factory.mktemp("prepared") / "drawn.npz"
    prepare([drawn], engine, MARK, out)
    assert [path.name for path in out.parent.iterdir()] == ["drawn.npz"]
    return out


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def same(a: Path, b: Path) -> bool:
    one, other = arrays(a), arrays(b)
    return list(one) == list(other) and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


def start(kill_at: int, out: Path, *folders: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, *map(str, (kill_at, out, *folders))]
    return subprocess.Popen(
        command, cwd=RUN.parent, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


class Looked(list):
    """The pictures that `prepare` hands to the detector, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        scan = module.scan

        def noting(paths, open_detector):
            self.extend(path.name for path in paths)
            return scan(paths, open_detector)

        monkeypatch.setattr(module, "scan", noting)


def whole_is_refused(source: Path, target: Path) -> None:
    if Path(target).name == "x.npz":
        raise PermissionError(13, "Permission denied")
    REPLACE(source, target)


@pytest.fixture
def cut_off(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Four pictures all of which are in shards, but not in a file: (set, file)."""
    for i in range(3):
        write_png(tmp_path / f"set/ann/Point/{i}.png", hand_picture("Point", yaw=0.1 * i))
    write_png(tmp_path / "set/ann/Point/wall.png", WALL)
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", whole_is_refused)
        with pytest.raises(UserError, match="x.npz can't be written"):
            prepare([tmp_path / "set"], engine, MARK, tmp_path / "x.npz", SHARD)
    return tmp_path / "set", tmp_path / "x.npz"


def test_the_file_holds_what_the_live_loop_would_see(drawn, prepared) -> None:
    hands = load_prepared([prepared])
    assert len(hands) == 4 and list(hands.paths) == list(SHOWN)
    assert set(hands.sets) == {"drawn"}
    assert list(hands.subjects) == ["drawn/ann"] * 3 + ["drawn/lab/bea"]
    assert list(hands.labels) == [gesture for gesture, _ in SHOWN.values()]
    assert list(arrays(prepared)["side"]) == [side for _, side in SHOWN.values()]
    assert hands.landmarks.dtype == hands.world_landmarks.dtype == np.float32
    assert hands.angles.dtype == turns_of(hands.angles).dtype == np.float32
    inner = round(STORED_SIZE / MARGIN)
    edge = (STORED_SIZE - inner) // 2
    with engine() as detector:
        for i, (path, (_, side)) in enumerate(SHOWN.items()):
            picture = read_picture(drawn / path)
            seen = detect_picture(detector, picture)
            assert seen is not None
            square = upright_square(seen.landmarks)
            mirror = side == "left"
            crop = hands.crop(i)
            assert crop.shape == (STORED_SIZE, STORED_SIZE, 3) and crop.dtype == np.uint8
            live = cut(picture, square, inner, mirror).astype(int)
            middle = crop[edge : edge + inner, edge : edge + inner]
            assert np.abs(middle - live).mean() < 4  # WebP; with red for blue it is over 12
            assert np.abs(middle[:, :, ::-1] - live).mean() > 12
            points = crop_landmarks(seen.landmarks, square, mirror)
            assert np.allclose(hands.landmarks[i], points, atol=1e-3)
            world = seen.world_landmarks * ([-1, 1, 1] if mirror else [1, 1, 1])
            assert np.allclose(hands.world_landmarks[i], world, atol=1e-3)
            assert hands.angles[i] == pytest.approx(-square.angle if mirror else square.angle)
            turn = [np.cos(hands.angles[i]), np.sin(hands.angles[i])]
            assert np.allclose(turns_of(hands.angles)[i], turn, atol=1e-6)


def test_left_hands_are_seen_as_right_ones(tmp_path) -> None:
    matrix = cv2.getRotationMatrix2D((320, 240), -25, 1.0)  # clockwise
    picture = hand_picture("Point")
    picture = cv2.warpAffine(picture, matrix, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    write_png(tmp_path / "set/ann/Point/1.png", picture)
    write_png(tmp_path / "set/ann/Point/2.png", picture[:, ::-1])
    prepare([tmp_path / "set"], engine, MARK, tmp_path / "x.npz")
    hands = load_prepared([tmp_path / "x.npz"])
    assert list(arrays(tmp_path / "x.npz")["side"]) == ["right", "left"]
    # The network itself isn't quite the same on both sides.
    assert hands.angles[0] == pytest.approx(hands.angles[1], abs=0.06) and hands.angles[0] > 0.3
    assert np.abs(hands.landmarks[0] - hands.landmarks[1])[:, :2].max() < 0.06
    thumb_to_little_finger = hands.world_landmarks[:, 17, 0] - hands.world_landmarks[:, 2, 0]
    assert np.sign(thumb_to_little_finger[0]) == np.sign(thumb_to_little_finger[1])
    assert np.abs(hands.crop(0).astype(int) - hands.crop(1)).mean() < 20


def test_what_is_not_there_is_told_with_its_reason(drawn, prepared, tmp_path) -> None:
    data = arrays(prepared)
    assert list(data["missing_set"]) == ["drawn", "drawn"]
    assert list(data["missing_path"]) == MISSING
    assert data["missing_reason"][0] == NO_HAND
    broken = str(data["missing_reason"][1])
    assert broken.startswith(f"drawn/{MISSING[1]} can't be read as a picture")
    run = fine(main_py("prepare", drawn, "--out", "x.npz", *ENGINE, cwd=tmp_path))
    assert run.stdout == "" and same(tmp_path / "x.npz", prepared)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
    (row,) = [line for line in run.stderr.splitlines() if "drawn │" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][1:] == list("623411")
    assert f"Unreadable: {broken}" in run.stderr
    assert "their pictures: drawn/Victory 1 of 2, drawn/Point 1 of 3." in run.stderr
    assert "Wrote x.npz: 4 hands, 0.0 MB." in run.stderr


def test_nothing_of_it_needs_pytorch(tmp_path) -> None:
    write_png(tmp_path / "set/ann/Point/1.png", hand_picture("Point"))
    code = (
        "import sys; sys.modules['torch'] = sys.modules['lightning'] = None\n"
        "import run, train.pictures.prepared; sys.exit(run.main(sys.argv[1:]))"
    )
    options = ["prepare", tmp_path / "set", "--out", tmp_path / "x.npz", *ENGINE]
    command = [sys.executable, "-c", code, *map(str, options)]
    subprocess.run(command, cwd=RUN.parent, env=environment(), check=True, capture_output=True)
    assert len(load_prepared([tmp_path / "x.npz"])) == 1


@POSIX
def test_killed_before_each_kind_of_change_it_goes_on(drawn, prepared, tmp_path) -> None:
    """Before each shard, before the whole file and its name, and before the shards' end."""
    out, folder = tmp_path / "x.npz", tmp_path / ".x.npz.part"
    shards = []
    for kill_at in (1, 2, 1, 2, 2, 2, 3):
        with start(kill_at, out, drawn) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -signal.SIGKILL, err
        shards.append(len(list(folder.glob("*.shard.npz"))))
        assert out.exists() == (kill_at == 3)
        assert {path.name for path in tmp_path.iterdir()} <= {"x.npz", ".x.npz.part"}
    assert shards == [0, 1, 1, 2, 3, 3, 3]
    assert same(out, prepared)  # it was only the folder that was still there
    run = fine(main_py("prepare", drawn, "--out", out, *ENGINE, cwd=tmp_path))
    assert "5 of 6 pictures are done already" in run.stderr
    assert same(out, prepared) and [path.name for path in tmp_path.iterdir()] == ["x.npz"]


@POSIX
def test_killed_amid_its_work_it_goes_on(tmp_path) -> None:
    for i in range(16):
        picture = hand_picture("L", "left" if i % 2 else "right", yaw=0.02 * i)
        write_png(tmp_path / f"set/ann/L/{i}.png", picture)
    out, shards = tmp_path / "x.npz", tmp_path / ".x.npz.part"
    with start(0, out, tmp_path / "set") as process:
        deadline = time.monotonic() + PATIENCE_S
        while not list(shards.glob("*.shard.npz")):
            assert process.poll() is None and time.monotonic() < deadline
        process.kill()
    assert process.returncode == -signal.SIGKILL and not out.exists()
    run = fine(main_py("prepare", tmp_path / "set", "--out", out, *ENGINE, cwd=tmp_path))
    assert "of 16 pictures are done already" in run.stderr and not shards.exists()
    prepare([tmp_path / "set"], engine, MARK, tmp_path / "whole.npz")
    assert same(out, tmp_path / "whole.npz")


def test_ctrl_c_keeps_what_was_seen(drawn, prepared, tmp_path, monkeypatch, capsys) -> None:
    cut_hand, left = module.encode_hand, iter(range(2))

    def interrupted(*view):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return cut_hand(*view)

    with monkeypatch.context() as patch:
        patch.setattr(module, "encode_hand", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare([drawn], engine, MARK, tmp_path / "x.npz")
    assert "the same command goes on from there" in capsys.readouterr().err
    prepare([drawn], engine, MARK, tmp_path / "x.npz")
    assert "2 of 6 pictures are done already" in capsys.readouterr().err
    assert same(tmp_path / "x.npz", prepared)


def test_what_is_in_a_shard_is_not_looked_at_again(cut_off, monkeypatch) -> None:
    folder, out = cut_off
    looked = Looked(monkeypatch)
    prepare([folder], engine, MARK, out)
    assert looked == [] and len(load_prepared([out])) == 3
    prepare([folder], engine, MARK, out)  # nothing is left of the first run but the file
    assert len(looked) == 4


def test_a_changed_or_new_picture_is_looked_at_again(cut_off, monkeypatch) -> None:
    folder, out = cut_off
    looked = Looked(monkeypatch)
    write_png(folder / "ann/Point/1.png", WALL)
    wall = folder / "ann/Point/wall.png"
    os.utime(wall, ns=(0, wall.stat().st_mtime_ns + 1))
    write_png(folder / "ann/Point/new.png", hand_picture("Point", yaw=0.3))
    prepare([folder], engine, MARK, out)
    assert looked == ["1.png", "new.png", "wall.png"]
    assert [Path(path).name for path in load_prepared([out]).paths] == ["0.png", "2.png", "new.png"]


def test_other_networks_look_at_all_again(cut_off, monkeypatch) -> None:
    folder, out = cut_off
    looked = Looked(monkeypatch)
    prepare([folder], engine, "another", out)
    assert len(looked) == 4


def test_networks_are_known_by_their_bytes(tmp_path, monkeypatch) -> None:
    model = tmp_path / "other.task"
    marks = {MARK, networks_mark("engine")}
    for data in (b"one", b"another"):
        model.write_bytes(data)
        marks.add(networks_mark("mediapipe", str(model)))
    for name in ("PALM_FILE", "HAND_FILE"):
        with monkeypatch.context() as patch:
            patch.setattr(opening, name, model)
            marks.add(networks_mark("engine"))
    assert len(marks) == 5
    model.unlink()
    with pytest.raises(UserError, match="other.task"):
        networks_mark("mediapipe", str(model))


def test_a_damaged_shard_is_looked_at_again(cut_off, monkeypatch) -> None:
    folder, out = cut_off
    looked = Looked(monkeypatch)
    shard = min((folder.parent / ".x.npz.part").glob("*.shard.npz"))
    shard.write_bytes(shard.read_bytes()[:200])
    prepare([folder], engine, MARK, out)
    assert len(looked) == 2 and len(load_prepared([out])) == 3


def test_what_could_not_be_read_is_tried_again(tmp_path, monkeypatch) -> None:
    write_png(tmp_path / "set/ann/Point/1.png", hand_picture("Point"))
    broken = tmp_path / "set/ann/Point/2.png"
    broken.touch()
    looked = Looked(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", whole_is_refused)
        with pytest.raises(UserError):
            prepare([tmp_path / "set"], engine, MARK, tmp_path / "x.npz")
    prepare([tmp_path / "set"], engine, MARK, tmp_path / "x.npz")
    assert looked == ["1.png", "2.png", "2.png"]


def test_sets_and_files_are_joined_and_picked_from(drawn, prepared, tmp_path) -> None:
    write_png(tmp_path / "b/ann/L/1.png", hand_picture("L"))
    write_png(tmp_path / "c/ann/L/1.png", hand_picture("L", "left"))
    prepare([tmp_path / "b", tmp_path / "c"], engine, MARK, tmp_path / "bc.npz")
    hands = load_prepared([tmp_path / "bc.npz", prepared])
    assert list(hands.sets) == ["b", "c"] + ["drawn"] * 4
    assert list(hands.subjects[:3]) == ["b/ann", "c/ann", "drawn/ann"]
    picked = hands.where(hands.labels == "Point")
    assert list(picked.paths) == ["ann/Point/1.png", "ann/Point/2.png"]
    alone = load_prepared([prepared])
    for i, there, back in ((0, 3, 1), (1, 4, 2)):
        assert np.array_equal(picked.crop(i), hands.crop(there))
        assert np.array_equal(picked.crop(i), alone.crop(back))
        assert np.array_equal(picked.landmarks[i], alone.landmarks[back])
        assert picked.angles[i] == alone.angles[back]
        assert np.array_equal(picked.world_landmarks[i], alone.world_landmarks[back])
    assert len(hands.where(np.zeros(6, bool))) == 0
    with pytest.raises(UserError, match="The set drawn is both in .*drawn.npz and in .*drawn.npz"):
        load_prepared([prepared, prepared])


def test_files_that_are_not_what_prepare_writes(prepared, tmp_path) -> None:
    path, data = tmp_path / "x.npz", arrays(prepared)

    def refused(content: bytes | dict[str, Any]) -> str:
        if isinstance(content, dict):
            np.savez(path, **content)
        else:
            path.write_bytes(content)
        with pytest.raises(UserError) as error:
            load_prepared([path])
        assert "x.npz" in str(error.value) and "run.py prepare DIR… --out" in str(error.value)
        return str(error.value)

    whole = prepared.read_bytes()
    flipped = whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:]
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for content in (b"", b"text", whole[:3000], flipped, array.getvalue()):
        assert "isn't what `run.py prepare` writes" in refused(content)
    assert "isn't what" in refused({"embedding": np.zeros((3, 2))})
    assert "isn't what" in refused({**data, "label": np.array([{}], object)})
    assert "another version" in refused({**data, "version": np.array(3)})
    assert "another version" in refused({**data, "stored": np.array(160)})
    before = {name: data[name] for name in data if name != "angle"}  # as version 1 had it
    before |= {"version": np.array(1), "stored": np.array(200)}
    said = refused(before)
    assert "(format 1, crops of 200 px; expected 2 and 280). Make it with: python run.py" in said
    names = ("landmarks", "world_landmarks", "angle", "set", "subject", "label", "path")
    empty = {**data, **{name: data[name][:0] for name in names}}
    assert "holds no pictures" in refused(empty)
    for name in ("landmarks", "world_landmarks", "angle", "label", "path", "offsets", "webp"):
        assert "don't fit each other" in refused({**data, name: data[name][:-1]})
    path.unlink()
    with pytest.raises(UserError, match="x.npz isn't what .*No such file"):
        load_prepared([path])


def test_bad_data_is_said_in_one_sentence(tmp_path, drawn, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_png(tmp_path / "loose/1.png", WALL)
    write_png(tmp_path / "other/drawn/ann/A/1.png", WALL)

    def never() -> Detector:
        raise AssertionError("the sentences come first")

    def sentence(*folders: Path | str, out: str = "x.npz") -> str:
        with pytest.raises(UserError) as error:
            prepare([Path(folder) for folder in folders], never, MARK, Path(out))
        return str(error.value)

    assert "nowhere is not a folder" in sentence(drawn, "nowhere")
    assert "no pictures (jpg, png, …) in or below empty" in sentence("empty")
    assert "loose: Pictures are expected as <subject>/<label>/<image>" in sentence("loose")
    assert "would both be the set 'drawn'" in sentence(drawn, "other/drawn")
    assert "would both be the set 'drawn'" in sentence(drawn, drawn / ".." / "drawn")
    assert "ends in .npz; got x.zip" in sentence(drawn, out="x.zip")
    (tmp_path / "folder.npz").mkdir()
    assert "ends in .npz; got folder.npz" in sentence(drawn, out="folder.npz")


def test_no_hand_and_no_folder_from_the_command_line(tmp_path) -> None:
    write_png(tmp_path / "set/ann/A/1.png", WALL)
    (tmp_path / "set/ann/A/2.png").touch()
    said = fault(main_py("prepare", "set", "--out", "x.npz", *ENGINE, cwd=tmp_path))
    assert "No hand is found in any of the 2 pictures (1 can't be read)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    said = fault(main_py("prepare", "set", "--out", "nowhere/x.npz", *ENGINE, cwd=tmp_path))
    assert "nowhere is not a folder that you can write to" in said


@POSIX
def test_a_full_disk_is_said(tmp_path, drawn) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import run; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "sys.exit(run.main(sys.argv[1:]))"
    )
    options = ["prepare", drawn, "--out", tmp_path / "x.npz", *ENGINE]
    command = [sys.executable, "-c", code, *map(str, options)]
    run = subprocess.run(
        command, cwd=RUN.parent, env=environment(), capture_output=True, text=True, check=False
    )
    assert "can't be written to (File too large)" in fault(run)
    assert list((tmp_path / ".x.npz.part").iterdir()) == []
