"""A frame that can't be decoded is no frame this time; only the end is the end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.sources.capture import next_image


@pytest.mark.parametrize("lost", [[5], [5, 6], [0, 1, 2], list(range(3, 20))])
def test_undecodable_frames_in_a_stream(tmp_path: Path, lost: list[int]) -> None:
    path = tmp_path / "a.mjpeg"
    jpegs = [
        cv2.imencode(".jpg", np.full((64, 96, 3), 10 * number, np.uint8))[1].tobytes()
        for number in range(24)
    ]
    for number in lost:  # what is left of the headers tells FFmpeg where a frame is
        jpegs[number] = jpegs[number][:20] + b"\0" * (len(jpegs[number]) - 22) + b"\xff\xd9"
    path.write_bytes(b"".join(jpegs))
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    seen = []
    while (image := next_image(capture)) is not None:
        seen.append(round(float(image.mean()) / 10))
    assert seen[-1] == 23 and len(seen) >= 24 - len(lost) - 1
    assert seen == sorted(set(seen)) and not set(seen) & set(lost)
    assert capture.get(cv2.CAP_PROP_POS_FRAMES) >= len(seen)


def test_capture_that_is_not_open() -> None:
    assert next_image(cv2.VideoCapture()) is None
