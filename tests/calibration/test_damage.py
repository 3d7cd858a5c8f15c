"""Damaged and edited calibrations: each can be used, or one sentence says why not."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from hypothesis import given, settings

from calibration.threshold import FARS, calibration_path, load
from engines.encoder import ENCODERS
from engines.errors import UserError
from tests.damage import json_files, many, one_sentence

SHIPPED = calibration_path(ENCODERS["landmarks"])
FIELDS = json.loads(SHIPPED.read_text(encoding="utf-8"))


@settings(many, max_examples=400)
@given(data=json_files(FIELDS) | json_files({**FIELDS, "version": 1}))
def test_any_calibration(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "e.calibration.json"
    path.write_bytes(data)
    try:
        read = load(path, FIELDS["fingerprint"])
    except UserError as error:
        assert one_sentence(error), repr(str(error))
        return
    for steps in (1, -1):
        moved = read
        for _ in FARS:
            moved = moved.step(steps)
    for score, margin, pictures in ((0.9, 0.5, 1), (-1.0, 0.0, 5), (1.0, 1.0, 64)):
        assert read.accepts(score, margin, pictures) in (True, False)
        assert math.isfinite(read.probability(score, margin, pictures))
    if read.far is not None:
        near = read.at(read.far)
        assert dataclasses.replace(near, threshold=0, threshold_five=0) == dataclasses.replace(
            read, threshold=0, threshold_five=0
        )
