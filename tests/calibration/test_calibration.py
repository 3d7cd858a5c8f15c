"""Thresholds and probabilities: what a fit promises holds on fresh scores; files survive."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import fitting, threshold
from calibration.episodes import Scores
from calibration.fitting import OpenSet
from calibration.metrics import expected_calibration_error
from calibration.threshold import FARS, Calibration, default_calibration, load, save
from engines import files as atomic
from engines.encoder import ENCODERS, open_encoder
from engines.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def scores(known: int, unknown: int, seed: int, right: float = 0.9) -> Scores:
    """Right matches score around 0.8, all others around 0.5; margins around 0.5 and 0.2. All
    normal with σ = 0.1, so the true posterior is a logistic function."""
    rng = np.random.default_rng(seed)
    is_known = np.arange(known + unknown) < known
    correct = is_known & (rng.random(known + unknown) < right)
    best = rng.normal(np.where(correct, 0.8, 0.5), 0.1)
    margin = rng.normal(np.where(correct, 0.5, 0.2), 0.1)
    nan = np.full(len(best), np.nan)
    return Scores(
        best.astype(np.float32), margin, correct, is_known, nan, np.array(["a"] * len(best))
    )


def fit(one: Scores, far: float, mark: str, what: str, draws: int = 1) -> Calibration:
    return fitting.fit(OpenSet({"within": one}), far, mark, (what, ""), draws)


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit(scores(30_000, 30_000, 0), 0.01, "f" * 64, "made-up scores")


def accepted(calibration: Calibration, fresh: Scores) -> np.ndarray:
    both = zip(fresh.best, fresh.margin, strict=True)
    return np.array([calibration.accepts(float(s), float(m)) for s, m in both])


@pytest.mark.parametrize("far", [0.001, 0.01, 0.03, 0.05, 0.1])
def test_the_false_accept_rate_asked_for_is_the_one_that_comes(fitted, far: float) -> None:
    fresh = scores(1000, 30_000, 1)
    rate = accepted(fitted.at(far), fresh)[~fresh.known].mean()
    error = np.sqrt(2 * far * (1 - far) / 30_000)  # of the fit's quantile and of the fresh count
    # Between the fitted points the threshold is interpolated: a tenth of the rate beside it.
    assert abs(rate - far) < 4 * error + (0.1 * far if far not in FARS else 0)


def test_the_margin_is_where_the_nearest_is_right_every_other_time(fitted) -> None:
    # Right matches are nine times as frequent: N(0.5) and N(0.2) are even at this margin.
    assert fitted.min_margin == pytest.approx(0.35 - 0.01 / 0.3 * np.log(9), abs=0.01)
    even = fit(scores(20_000, 5000, 2, right=0.5), 0.01, "f", "x")
    assert even.min_margin == pytest.approx(0.35, abs=0.01)
    sure = fit(scores(2000, 2000, 3, right=1.0), 0.01, "f", "x")
    assert sure.min_margin == 0.0


@pytest.mark.parametrize(("known", "unknown"), [(30_000, 30_000), (40_000, 5000), (5000, 40_000)])
def test_a_probability_is_how_often_it_is_right(known: int, unknown: int) -> None:
    calibration = fit(scores(known, unknown, 4), 0.01, "f", "x")
    # Shown as often recorded as not, whatever the episodes held: right is 0.45 beforehand.
    for score, margin in [(0.6, 0.3), (0.65, 0.35), (0.7, 0.3), (0.5, 0.5), (0.8, 0.2)]:
        logit = np.log(0.45 / 0.55) + 0.3 / 0.01 * (score - 0.65) + 0.3 / 0.01 * (margin - 0.35)
        assert calibration.probability(score, margin) == pytest.approx(
            1 / (1 + np.exp(-logit)), abs=0.04
        )
    fresh = scores(20_000, 20_000, 5)
    p = np.array(
        [calibration.probability(s, m) for s, m in zip(fresh.best, fresh.margin, strict=True)]
    )
    error = expected_calibration_error(p, fresh.correct.astype(float), np.ones(len(fresh)))
    naive = expected_calibration_error(fresh.best.clip(0, 1), fresh.correct, np.ones(len(fresh)))
    assert error < 0.01 < 0.1 < naive


def test_probabilities_stay_within_bounds_where_scores_part_cleanly() -> None:
    parted = scores(500, 500, 6, right=1.0)
    parted = dataclasses.replace(parted, best=np.where(parted.known, 0.9, 0.1).astype(np.float32))
    calibration = fit(parted, 0.05, "f", "x")
    grid = [calibration.probability(s, m) for s in np.linspace(-50, 50, 21) for m in (0.0, 1.0)]
    assert np.isfinite(grid).all() and min(grid) >= 0 and max(grid) <= 1
    assert calibration.probability(0.9, 0.5) > 0.99 and calibration.probability(0.1, 0.2) < 0.01


def test_the_report_says_what_the_fit_does(fitted) -> None:
    data = scores(30_000, 30_000, 0)
    taken = accepted(fitted, data)
    assert fitted.report["false_accepts"] == taken[~data.known].mean() <= 0.01
    assert fitted.report["correct_accepts"] == (taken & data.correct)[data.known].mean() > 0.5
    assert fitted.report["ece_after"] < 0.01 < fitted.report["ece_before"]
    assert (fitted.far, fitted.fingerprint) == (0.01, "f" * 64)


def test_at_follows_the_curve(fitted) -> None:
    assert fitted.curve_far == FARS
    assert np.all(np.diff(fitted.curve_threshold) < 0)
    for far, expected in zip(fitted.curve_far, fitted.curve_threshold, strict=True):
        at = fitted.at(far)
        assert (at.far, at.threshold) == (far, expected)
        back = {"threshold": fitted.threshold, "threshold_five": fitted.threshold_five}
        assert dataclasses.replace(at, far=0.01, **back) == fitted
    between = fitted.at(float(np.sqrt(0.001 * 0.002)))
    assert between.threshold == pytest.approx(sum(fitted.curve_threshold[:2]) / 2)
    for far in (0.0009, 0.301, 0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="--far lies between 0.001 and 0.3 .*; got"):
            fitted.at(far)


def test_plus_and_minus_stop_at_the_ends(fitted) -> None:
    seen, one = [], fitted.at(FARS[0])
    assert one.step(-1) is one
    for _ in FARS:
        seen.append(one.far)
        one = one.step(+1)
    assert tuple(seen) == FARS and one.step(+1) is one
    assert one.step(-1).far == FARS[-2]
    assert fitted.at(0.013).step(+1).far == 0.02 and fitted.at(0.013).step(-1).far == 0.01


def test_without_a_fit_there_is_a_stated_default() -> None:
    default = default_calibration("cosine", "f")
    assert default.accepts(0.75, 0.02) and not default.accepts(0.74, 0.5)
    assert not default.accepts(0.9, 0.01) and default.probability(0.75, 0.5) == pytest.approx(0.5)
    assert default.far is None and default.step(1) is default and default.step(-1) is default
    with pytest.raises(UserError, match="has no calibration.*calibrate DIR"):
        default.at(0.01)


def test_where_the_margin_keeps_enough_out_any_score_will_do() -> None:
    data = scores(2000, 5000, 7)
    rng = np.random.default_rng(8)
    low = np.where(rng.random(len(data)) < 0.04, data.margin + 0.5, 0.0)  # 4 % pass the margin
    data = dataclasses.replace(data, margin=np.where(data.known, data.margin, low))
    calibration = fit(data, 0.1, "f", "x")
    assert calibration.threshold == data.best.min()
    assert accepted(calibration, data)[~data.known].mean() == pytest.approx(0.04, abs=0.01)
    assert 0 < calibration.at(0.2).threshold <= calibration.at(0.15).threshold < 1
    for far in (0.001, 0.01, 0.02):
        assert accepted(calibration.at(far), data)[~data.known].mean() == pytest.approx(far)


def test_a_custom_rate_and_few_unknowns() -> None:
    few = fit(scores(500, 1000, 9), 0.007, "f", "x")
    assert few.far == 0.007 and 0.007 in few.curve_far and few.curve_far[0] == 5 / 1000
    with pytest.raises(UserError, match="1000 pictures .* rate of 0.001: at least 5000 are needed"):
        fit(scores(500, 1000, 9), 0.001, "f", "x")
    for known, unknown in ((99, 5000), (5000, 99), (0, 0)):
        with pytest.raises(UserError, match=f"at least 100 .* got {known} and {unknown}"):
            fit(scores(known, unknown, 9), 0.1, "f", "x")


def test_drawing_a_picture_again_is_no_new_evidence() -> None:
    data = scores(5000, 5000, 10)
    with pytest.raises(UserError, match="at least 100 pictures .* got 83 and 83"):
        fit(data, 0.1, "f", "x", draws=60)
    with pytest.raises(UserError, match="500 pictures .* rate of 0.005: at least 1000 are needed"):
        fit(data, 0.005, "f", "x", draws=10)
    assert fit(data, 0.1, "f", "x", draws=10).curve_far[0] == 0.01


def test_a_file_comes_back_exactly(fitted, tmp_path: Path) -> None:
    path = tmp_path / "e.calibration.json"
    save(fitted, path)
    assert load(path, "f" * 64) == fitted
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(UserError, match="fitted for another encoder"):
        load(path, "e" * 64)
    save(default_calibration("cosine", "g"), path)
    assert load(path, "g") == default_calibration("cosine", "g")


def test_the_shipped_calibration_belongs_to_the_shipped_encoder() -> None:
    encoder = open_encoder("landmarks")
    shipped = load(threshold.calibration_path(ENCODERS["landmarks"]), encoder.fingerprint)
    assert shipped.far == 0.01 and shipped.at(0.01) == shipped


def test_a_damaged_file_is_told(fitted, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    save(fitted, path)
    text = path.read_text("utf-8")
    fields = json.loads(text)
    damaged = [text[:i] for i in range(0, len(text) - 2, 37)] + ["[]", "null", "5", "{}", "\0"]
    for change in (
        {"version": 3},
        {"more": 1},
        {"threshold": None},
        {"threshold": "high"},
        {"weights": 5},
        {"weights": [1.0, None, 2.0]},
        {"curve_far": [0.1]},
        {"min_margin": float("nan")},
    ):
        damaged.append(json.dumps({**fields, **change}))
    for key in ("threshold", "weights", "fingerprint", "version", "far"):
        damaged.append(json.dumps({k: v for k, v in fields.items() if k != key}))
    for one in damaged:
        path.write_text(one, "utf-8")
        with pytest.raises(UserError, match=r"can't be read .*calibrate DIR --encoder"):
            load(path, "f" * 64)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(UserError, match="can't be read"):
        load(path, "f" * 64)
    with pytest.raises(UserError, match="can't be read"):
        load(tmp_path / "missing.json", "f" * 64)


def test_older_files_do_not_say_what_found_the_hands(fitted, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    save(dataclasses.replace(fitted, detector="engine"), path)
    assert load(path, "f" * 64).detector == "engine"
    fields = json.loads(path.read_text("utf-8"))
    del fields["detector"]
    path.write_text(json.dumps(fields), "utf-8")
    assert load(path, "f" * 64) == fitted and fitted.detector == ""


SAVE = """
import dataclasses, sys
from pathlib import Path
from calibration.threshold import save, default_calibration
long = {str(i): 1 / (i + 1) for i in range(5000)}
for i in range(10**9):
    one = dataclasses.replace(default_calibration("cosine", "f"), report={**long, "i": i})
    save(one, Path(sys.argv[1]))
    print(i, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 3, 5])
def test_whoever_is_killed_while_saving_leaves_a_whole_file(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "c.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", SAVE, str(path)], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(lines):
            last = int(process.stdout.readline())
        process.kill()
    assert load(path, "f").report["i"] >= last == lines - 1


def test_a_disk_that_fails_leaves_the_old_file(fitted, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "c.json"
    save(fitted, path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(UserError, match=r"c.json \(No space left"):
        save(default_calibration("cosine", "g"), path)
    assert load(path, "f" * 64) == fitted and list(tmp_path.iterdir()) == [path]
