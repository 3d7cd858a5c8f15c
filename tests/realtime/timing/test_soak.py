"""A soak: its faults, its figures, and a minute of it."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import mmap
import os
import threading
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime.picture_files import read_picture
from realtime.sources.camera import Camera
from realtime.sources.demo import demo_image
from realtime.sources.network.pictures import decode
from realtime.sources.open import open_source
from realtime.sources.video import Video
from realtime.timing.faults import (
    DAMAGED,
    EVERY,
    FAULTS,
    OTHER_SIZE,
    SIZE,
    UNREADABLE,
    Faults,
    damage_file,
)
from realtime.timing.growth import FIGURES, faults_of, find_growth, to_json
from realtime.timing.plot import save_plot
from realtime.timing.soak import DEMO, STREAM, VIDEO, Turn, count_starts
from realtime.timing.stream import NUMBER_ROW, read_number, read_stamp, stamp, stamped_stream
from realtime.timing.usage import Usage, read_usage, settled_usage
from tests.cli import fault, main_py, run_py, write_video

TURN = Turn(DEMO, 30.0, 900, 0, 30.0, 20.0, 30.0, 20, 0, 350.0, Usage(300.0, 20.0, 10, 3))


def test_every_fault_comes_once_before_one_comes_again() -> None:
    faults = Faults(3)
    met = [faults.next() for _ in range(3 * len(FAULTS) * EVERY)]
    assert all(each is None for i, each in enumerate(met, 1) if i % EVERY)
    kinds = met[EVERY - 1 :: EVERY]
    for begin in range(0, len(kinds), len(FAULTS)):
        assert sorted(map(str, kinds[begin : begin + len(FAULTS)])) == sorted(FAULTS)
    again = Faults(3)
    assert [again.next() for _ in met] == met


def test_pictures_change_their_size_until_the_next_fault() -> None:
    faults, image = Faults(0), demo_image(0)
    sizes = []
    for _ in range(len(FAULTS) * EVERY):
        kind = faults.next()
        sizes.append((kind, faults.resize(image).shape[1::-1]))
    changed = [kind for kind, _ in sizes].index(SIZE)
    assert {size for _, size in sizes[changed : changed + EVERY]} == {OTHER_SIZE}
    others = sizes[:changed] + sizes[changed + EVERY :]
    assert {size for _, size in others} == {image.shape[1::-1]}


def test_spoilt_pictures() -> None:
    image = demo_image(0)
    stamp(image, 12345)
    stamp(image, 678, NUMBER_ROW)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    faults = Faults(0)
    assert faults.spoil(data, None) == data
    assert decode(faults.spoil(data, UNREADABLE)) is None
    damaged = decode(faults.spoil(data, DAMAGED))
    assert damaged is not None and damaged.shape == image.shape
    assert (read_stamp(damaged), read_number(damaged)) == (12345, 678)
    whole = decode(data)
    assert whole is not None and np.abs(damaged.astype(int) - whole).max() > 50


def test_a_damaged_video_plays_on(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", map(demo_image, range(60)), 30.0)
    data = path.read_bytes()
    path.write_bytes(damage_file(data, 1))
    assert path.stat().st_size == len(data) and path.read_bytes() != data
    with Video(path, mirrored=False, realtime=False) as video:
        assert sum(1 for _ in video) > 30


def test_a_stream_with_faults_counts_its_pictures() -> None:
    with stamped_stream(60.0, fault_seed=0) as address, open_source(address) as source:
        frames = list(itertools.islice(source, EVERY * (len(FAULTS) + 1)))
    numbers = [read_number(frame.image) for frame in frames]
    assert all(after > before for before, after in itertools.pairwise(numbers))
    assert {frame.image.shape for frame in frames} == {(480, 640, 3), (*OTHER_SIZE[::-1], 3)}


def test_a_closed_camera_is_let_go() -> None:
    """It waits for the program's exit only as long as it reads."""
    with stamped_stream(30.0) as address:
        camera = Camera(address)
        camera._closed.set()
        camera._thread.join()
        camera.close()
        gone = weakref.ref(camera)
        del camera
        gc.collect()
        assert gone() is None


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")
def test_usage_is_this_process_s() -> None:
    before, stop = read_usage(), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    ones = np.ones(64 << 20, np.uint8)
    # Pages that nobody has had: an array may be given those of another that was freed.
    fresh = np.frombuffer(mmap.mmap(-1, len(ones)), np.uint8)
    fresh[:] = 1
    with open(os.devnull) as _:
        during = read_usage()
    stop.set()
    after = settled_usage(before)
    assert during.handles == (before.handles or 0) + 1 and during.threads == before.threads + 1
    assert (during.memory_mb or 0) > (before.memory_mb or 0) + len(fresh) / (2 << 20)
    if before.allocated_mb is not None and during.allocated_mb is not None:
        assert during.allocated_mb > before.allocated_mb + len(ones) / (2 << 20)
    assert (after.handles, after.threads) == (before.handles, before.threads)


def test_starts_and_ends_are_paired(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"

    def write(*events: tuple[str, str, str]) -> tuple[int, int]:
        lines = [{"type": "header"}]
        lines += [{"type": "gesture", "kind": k, "side": s, "label": x} for k, s, x in events]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return count_starts(path)

    assert write() == (0, 0)
    assert write(("start", "left", "A"), ("start", "right", "A"), ("end", "left", "A")) == (2, 1)
    assert write(("start", "left", "A"), ("end", "left", "A"), ("start", "left", "A")) == (2, 1)
    assert write(("end", "left", "A"), ("start", "left", "A"), ("end", "left", "A")) == (1, 1)
    path.write_text('{"type": "gest')
    with pytest.raises(ValueError):
        count_starts(path)


def turn(**usage: float | None) -> Turn:
    return dataclasses.replace(TURN, usage=dataclasses.replace(TURN.usage, **usage))  # type: ignore[arg-type]


def test_growth_is_from_a_source_s_second_turn_to_its_last() -> None:
    warm = [turn(memory_mb=100.0, threads=1), TURN, TURN]
    assert faults_of(warm) == [] and to_json(warm)["faults"] == []
    other = dataclasses.replace(turn(memory_mb=50.0, threads=1), source=STREAM)
    assert faults_of([*warm, other, other]) == []
    assert faults_of(
        [*warm[:2], turn(memory_mb=421.0, allocated_mb=23.0, threads=4, handles=12)]
    ) == [
        "demo: memory after it, MiB went from 300 to 421",
        "demo: allocated after it, MiB went from 20 to 23",
        "demo: open handles went from 10 to 12",
        "demo: threads went from 3 to 4",
    ]
    assert faults_of([turn(memory_mb=None, allocated_mb=None, handles=None)] * 3) == []


def test_growth_of_many_turns_is_by_the_medians_of_thirds() -> None:
    handles = [99, 10, 11, 40, 5, 6, 7, 12, 1, 14]
    turns = [turn(handles=count) for count in handles]
    (figure,) = (figure for figure in FIGURES if figure.name == "open handles")
    assert find_growth(turns, figure) == (11, 12)


def test_slower_late_and_torn_turns_are_faults() -> None:
    slow = dataclasses.replace(TURN, fps=20.0, age_p50_ms=40.0)
    assert faults_of([TURN, TURN, slow]) == [
        "demo: frames a second went from 30 to 20",
        "demo: age p50, ms went from 20 to 40",
    ]
    torn = dataclasses.replace(TURN, without_end=1)
    assert faults_of([torn, TURN, TURN]) == ["1 event without a start or an end"]
    empty = dataclasses.replace(TURN, frames=0)
    assert faults_of([TURN, empty, TURN]) == ["1 turn without a frame"]


def test_a_plot_is_a_picture_where_figures_are_unknown_too(tmp_path: Path) -> None:
    unknown = dataclasses.replace(TURN, usage=Usage(None, None, None, 3))
    later = dataclasses.replace(TURN, source=STREAM, at_s=60.0)
    for turns in ([TURN], [unknown, unknown], [TURN, later]):
        save_plot(tmp_path / "p.png", turns)
        assert read_picture(tmp_path / "p.png").std() > 0
    with pytest.raises(UserError, match="p.png can't be written"):
        save_plot(tmp_path / "no" / "p.png", [TURN])


def test_options_of_a_soak(tmp_path: Path) -> None:
    assert "--seed takes 0 or more" in fault(main_py("soak", "--seed", "-1", cwd=tmp_path))
    for option in ("--json", "--plot"):
        message = fault(main_py("soak", option, "no/x.png", cwd=tmp_path))
        assert "not a folder that you can write to" in message


@pytest.mark.slow
def test_a_minute_of_soak_leaves_nothing_behind(tmp_path: Path) -> None:
    """Real faults. Speed and memory of so short a run on a busy machine aren't asserted."""
    run = run_py("soak", "--minutes", "1", "--json", "s.json", "--plot", "s.png", cwd=tmp_path)
    figures = json.loads((tmp_path / "s.json").read_text())
    turns = figures["turns"]
    assert [turn["source"] for turn in turns][:9] == [DEMO, VIDEO, STREAM] * 3
    assert all(turn["frames"] > 0 for turn in turns)
    assert sum(turn["starts"] for turn in turns) > 0
    assert all(turn["without_end"] == 0 for turn in turns)
    for source in (DEMO, VIDEO, STREAM):
        _, early, *_, late = (turn["usage"] for turn in turns if turn["source"] == source)
        assert (late["handles"] or 0) <= (early["handles"] or 0)
        assert late["threads"] <= early["threads"]
    assert "stopped delivering" in run.stderr and "is back" in run.stderr  # the stream's cuts
    assert (tmp_path / "s.png").is_file()
    assert run.returncode == (1 if figures["faults"] else 0)
    assert all(each in run.stderr for each in figures["faults"])
