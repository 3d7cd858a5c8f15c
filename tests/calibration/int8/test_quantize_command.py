"""`run.py quantize`: pictures in, an encoder in 8 bits with its report out, or one sentence."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import threshold
from calibration.int8 import quantize
from calibration.int8 import report as int8_report
from engines.encoder import ENCODERS, open_encoder
from engines.errors import UserError
from engines.onnx_file import load_encoder
from realtime.hands.detector import Detector
from realtime.hands.opening import open_detector
from tests.calibration.int8.int8_files import small_encoder, write_prepared
from train.evaluation import quantize as quantize_files
from train.evaluation.quantize import lines, manifest_path, quantize_encoder, report_path

LABELS = [f"sign {i:02}" for i in range(30)]


def no_detector() -> Detector:
    raise AssertionError("no picture is to be looked at")


def names(which: str, people: int, labels: int, each: int) -> list[tuple[str, str, str]]:
    return [
        (which, f"p{person}", label)
        for person in range(people)
        for label in LABELS[:labels]
        for _ in range(each)
    ]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "BINS", 128)
    monkeypatch.setattr(quantize, "LEVELS", 32)
    monkeypatch.setattr(int8_report, "ROUNDS", 4)


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of two people; "two" has as many gestures and pictures as a calibration takes."""
    rows = [*names("one", 2, 12, 4), *names("two", 2, 30, 14)]
    return write_prepared(tmp_path_factory.mktemp("hands") / "hands.npz", rows)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return small_encoder(tmp_path / "small.onnx")


def test_a_file_of_its_own_with_manifest_and_report(hands, encoder, tmp_path: Path) -> None:
    before = encoder.read_bytes()
    out = tmp_path / "small-int8.onnx"
    report = quantize_encoder(encoder, hands, out, no_detector, crops=64)
    assert encoder.read_bytes() == before
    _, spec, mark = load_encoder(out)
    _, old_spec, old_mark = load_encoder(encoder)
    assert (spec.name, old_spec.name) == ("small-1-int8", "small-1") and mark != old_mark
    assert report["int8"]["fingerprint"] == mark == open_encoder(str(out)).fingerprint
    assert json.loads(report_path(out).read_text(encoding="utf-8")) == report
    told = json.loads(manifest_path(out).read_text(encoding="utf-8"))
    assert told["crops"] == 64 == len(told["pictures"]) and told["subjects"] == 2
    assert {row["picture"].split("/")[1] for row in told["pictures"]} == {"p0"}
    assert report["measured_on_others"] and report["measured"]["people"] == 2
    assert report["measured"]["cosine_mean"] > 0.99
    accuracy = report["measured"]["figures"]["within a person: one-shot accuracy, all labels"]
    assert len(accuracy) == 3 and accuracy[2][0] == pytest.approx(accuracy[1][0] - accuracy[0][0])
    assert report["latency"].keys() == {"1", "2", "8"}
    assert report["size"]["int8_bytes"] == out.stat().st_size
    assert any("times as fast" in line for line in lines(report))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small-int8.manifest.json",
        "small-int8.onnx",
        "small-int8.report.json",
        "small.onnx",
    ]


def test_the_same_pictures_give_the_same_file(hands, encoder, tmp_path: Path) -> None:
    made = [tmp_path / "a-int8.onnx", tmp_path / "b-int8.onnx"]
    for out in made:
        quantize_encoder(encoder, hands, out, no_detector, crops=48)
    assert made[0].read_bytes() == made[1].read_bytes()
    assert manifest_path(made[0]).read_bytes() == manifest_path(made[1]).read_bytes()


def test_folds_measure_on_the_unseen_and_fit_the_threshold(hands, encoder, tmp_path: Path) -> None:
    run = tmp_path / "folds" / "two"
    run.mkdir(parents=True)
    small_encoder(run / "encoder.onnx", seed=1)
    settings = {"without": ["two"], "same_shapes": {"two/sign 01": "sign 00"}}
    (run / "run.json").write_text(json.dumps(settings))
    out = tmp_path / "small-int8.onnx"
    report = quantize_encoder(encoder, hands, out, no_detector, tmp_path / "folds", crops=48)
    assert report["folds"].keys() == {"two"}
    assert report["folds"]["two"]["hands"] == 2 * 30 * 14
    fitted = threshold.load(threshold.calibration_path(out), report["int8"]["fingerprint"])
    assert fitted.fitted_on.startswith("two, within each person and across people, of equal weight")
    assert ", each scored by a quantised encoder" in fitted.fitted_on
    assert fitted.report["false_accepts"] <= 0.0101
    assert any(line.startswith("two, by encoders trained without it") for line in lines(report))


def test_folds_of_something_else(hands, encoder, tmp_path: Path) -> None:
    out, folds = tmp_path / "small-int8.onnx", tmp_path / "folds"
    (folds / "two").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no folds"):
        quantize_encoder(encoder, hands, out, no_detector, folds, crops=48)
    small_encoder(folds / "two" / "encoder.onnx")
    with pytest.raises(UserError, match=r"run.json can't be read .* Run cross-validate again"):
        quantize_encoder(encoder, hands, out, no_detector, folds, crops=48)
    (folds / "two" / "run.json").write_text('{"without": ["one"], "same_shapes": {}}')
    with pytest.raises(UserError, match="isn't a fold of this encoder and these pictures"):
        quantize_encoder(encoder, hands, out, no_detector, folds, crops=48)
    with pytest.raises(UserError, match="--folds takes the pictures that the folds were trained"):
        quantize_encoder(encoder, tmp_path, out, no_detector, folds)
    assert not [path for path in tmp_path.iterdir() if "int8" in path.name]


def test_one_person_is_calibrated_with_and_measured_on(encoder, tmp_path: Path) -> None:
    alone = write_prepared(tmp_path / "alone.npz", names("one", 1, 8, 12))
    report = quantize_encoder(encoder, alone, tmp_path / "s-int8.onnx", no_detector, crops=40)
    assert not report["measured_on_others"]
    assert report["measured"]["hands"] == 8 * 12 - 50, "not the pictures calibrated with"


def test_too_few_crops(encoder, tmp_path: Path) -> None:
    few = write_prepared(tmp_path / "few.npz", names("one", 2, 6, 5))
    with pytest.raises(
        UserError,
        match="few.npz's people to calibrate with shows 30 hands; at least 32 are needed",
    ):
        quantize_encoder(encoder, few, tmp_path / "s-int8.onnx", no_detector)
    few = write_prepared(tmp_path / "few.npz", names("one", 1, 6, 5))
    with pytest.raises(UserError, match=f"^{few} shows 30 hands; at least 32 are needed"):
        quantize_encoder(encoder, few, tmp_path / "s-int8.onnx", no_detector)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.npz", "small.onnx"]


def test_files_that_are_no_float_encoder(hands, encoder, tmp_path: Path) -> None:
    out, text = tmp_path / "s-int8.onnx", tmp_path / "text.onnx"
    text.write_text("no graph")
    with pytest.raises(UserError, match="text.onnx is not an ONNX file"):
        quantize_encoder(text, hands, out, no_detector)
    with pytest.raises(UserError, match="landmarks.onnx has no layers that could run in 8 bits"):
        quantize_encoder(ENCODERS["landmarks"], hands, out, no_detector)
    quantize_encoder(encoder, hands, out, no_detector, crops=48)
    with pytest.raises(UserError, match="s-int8.onnx is quantised already: name the float"):
        quantize_encoder(out, hands, tmp_path / "again.onnx", no_detector)


def test_places_that_cannot_be_written_and_pictures_that_are_none(
    hands, encoder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is not a folder that you can write to"):
        quantize_encoder(encoder, hands, tmp_path / "none" / "s-int8.onnx", no_detector)
    for name in (encoder, tmp_path / "s-int8.plan"):
        with pytest.raises(UserError, match="--out takes the name of a new file"):
            quantize_encoder(encoder, hands, name, no_detector)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="There are no pictures .* in or below .*empty"):
        quantize_encoder(encoder, empty, tmp_path / "s-int8.onnx", no_detector)
    with pytest.raises(UserError, match="nowhere is neither"):
        quantize_encoder(encoder, tmp_path / "nowhere", tmp_path / "s-int8.onnx", no_detector)


def test_a_folder_without_hands(encoder, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    engine = functools.partial(open_detector, "engine", video=False)
    for i in range(3):
        folder = tmp_path / "walls" / f"p{i}" / "A"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "0.png"), rng.integers(90, 110, (64, 64, 3), np.uint8))
    with pytest.raises(UserError, match="No hand is found in any of 2 pictures in .*walls"):
        quantize_encoder(encoder, tmp_path / "walls", tmp_path / "s-int8.onnx", engine)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.onnx", "walls"]


def test_nothing_is_left_of_a_run_that_was_stopped(
    hands, encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s-int8.onnx"
    out.write_bytes(b"what was there")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize_files, "_save", stopped)
    with pytest.raises(KeyboardInterrupt):
        quantize_encoder(encoder, hands, out, no_detector, crops=48)
    assert out.read_bytes() == b"what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s-int8.onnx", "small.onnx"]
