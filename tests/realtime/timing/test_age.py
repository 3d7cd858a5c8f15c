"""Frames that say when they were taken, through a real stream and the real loop."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.settings import Settings
from realtime.sources.demo import demo_image
from realtime.sources.open import open_source
from realtime.timing.age import Ages, measure_age
from realtime.timing.stream import BITS, now_ms, read_stamp, stamp, stamped_stream
from tests.cli import fault, main_py


@pytest.mark.parametrize("moment_ms", [0, 1, 0x5A5A5A5A, (1 << BITS) - 1])
def test_a_stamp_survives_jpeg(moment_ms: int) -> None:
    image = demo_image(5)
    stamp(image, moment_ms)
    for quality in (95, 50):
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        assert read_stamp(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))) == moment_ms


def test_figures_of_ages() -> None:
    captured = np.array([0, 50, 100, 200, 250, 300, 350, 400, 450, 500])  # one of 11 is missing
    age = np.array([10, 20, 30, 40, 40, 40, 60, 60, 90, 20])
    ages = Ages(20.0, age, np.zeros(10), np.diff(captured))
    assert ages.handled == pytest.approx(0.9)
    assert ages.growth == pytest.approx(60 / 20)


def test_frames_of_a_stream_are_stamped_in_order() -> None:
    with stamped_stream(30.0) as address, open_source(address) as source:
        stamps = [read_stamp(frame.image) for frame, _ in zip(source, range(20), strict=False)]
    assert all(step >= 20 for step in np.diff(stamps)) and 0 <= now_ms() - stamps[-1] < 60_000


def test_json_is_for_the_whole_bench(tmp_path: Path) -> None:
    for alone in ("--age", "--parts"):
        assert "--json" in fault(main_py("bench", alone, "--json", "x.json", cwd=tmp_path))


@pytest.mark.slow
def test_a_paced_stream_never_queues() -> None:
    """A result is as old as the work on it, and the frame's wait for the one before it: ratios."""
    ages = measure_age(Settings(), 30.0, 150)
    due_ms = np.median(ages.work_ms) + 1000 / ages.fps
    assert np.median(ages.age_ms) < 2 * due_ms
    assert ages.growth < 2


@pytest.mark.slow
def test_overload_drops_frames_and_grows_no_queue() -> None:
    """A queue would hold all that came in and wasn't handled, and grow older all the time."""
    ages = measure_age(Settings(), 60.0, 120, overload=True)
    unhandled_ms = (1 - ages.handled) * float(ages.step_ms.sum())
    assert ages.handled < 1
    assert ages.growth < 2 or ages.age_ms[-1] < unhandled_ms / 4
