"""evaluate on small folders of drawn hands: what it counts, and what it leaves out."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from calibration import metrics
from calibration.episodes import Scores
from calibration.threshold import calibration_path, default_calibration, load
from engines.encoder import ENCODERS, Encoder, open_encoder
from engines.errors import UserError
from realtime.drawn.hand import HandLook, draw_hand
from realtime.drawn.pose import GESTURES, joints, mirror, view_rotation
from realtime.drawn.random_hand import random_shape
from realtime.hands.opening import open_detector
from realtime.measuring.evaluate import EvaluationReport, calibrate, evaluate
from realtime.measuring.folder import (
    embed_folder,
    label_embeddings,
    picture_times,
    subjects_and_labels,
)
from realtime.picture_files import write_picture

engine = functools.partial(open_detector, "engine", video=False)
SHOWN = ["Open hand", "Point", "Victory", "L", "Thumb up", "Call me"]


def draw(folder: Path, person: int, label: str, count: int, side: str = "right") -> None:
    """`count` pictures of a gesture as that person's hand shows it."""
    rng = np.random.default_rng([person, SHOWN.index(label)])
    shape = random_shape(np.random.default_rng(person))
    target = folder / f"person {person}" / label
    target.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        points = joints(GESTURES[label], shape) @ view_rotation(*rng.normal(0, 0.08, 3)).T
        points = (mirror(points) if side == "left" else points).astype(np.float32)
        write_picture(target / f"{i}.png", draw_hand(points, HandLook(scenery=i), side=side))


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    one = open_encoder("landmarks")
    yield one
    one.close()


@pytest.fixture(scope="module")
def two_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Person 1 shows six gestures, person 2 three of them, two pictures each."""
    folder = tmp_path_factory.mktemp("two")
    for label in SHOWN:
        draw(folder, 1, label, 2)
    for label in SHOWN[:3]:
        draw(folder, 2, label, 2, side="left")
    return folder


def modes(report: EvaluationReport) -> set[str]:
    return {row.split(":")[0] for row in report.rows}


def words(report: EvaluationReport) -> str:
    return "\n".join(report.left_out)


def test_a_path_says_who_shows_what() -> None:
    subjects, labels = subjects_and_labels(
        ["ann/A/1.png", "ann/A/2.png", "x/bea/Thumb up/1.jpg", "B/3.png", "a/b.c/.d/e.png"]
    )
    assert list(subjects) == ["ann", "ann", "x/bea", ".", "a/b.c"]
    assert list(labels) == ["A", "A", "Thumb up", "B", ".d"]
    with pytest.raises(UserError, match="<subject>/<label>/<image>.*outside any label"):
        subjects_and_labels(["ann/A/1.png", "loose.png"])


def test_numbers_in_names_are_times_of_a_recording() -> None:
    paths = ["a/A/03.png", "a/A/00.jpg", "a/A/take2_7.png", "a/A/take2_10.png", "a/B/3.png"]
    paths += ["a/B/photo.png", "a/B/4.png", "b/A/00.png", "a/B/other.png"]
    times = picture_times(paths, 2.0)
    takes = [[1, 0], [2, 3], [4, 6], [5], [7], [8]]
    steps = [1.5, 1.5, 0.5, 0.0, 0.0, 0.0]
    for take, step in zip(takes, steps, strict=True):
        assert times[take[-1]] - times[take[0]] == pytest.approx(step)
    for one, other in itertools.combinations(takes, 2):
        assert np.abs(times[one][:, None] - times[other]).min() >= 5
    assert len(picture_times([], 2.0)) == 0


def test_a_share_counts_among_those_it_is_of() -> None:
    hits, among = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 1, 0], bool)
    ones = np.ones(5)
    cells = np.array([f"a/{i}" for i in range(5)])
    scores = Scores(ones, ones, hits, hits, ones, cells)
    assert metrics.share(scores, hits, among).value == pytest.approx(1 / 3)


def test_six_gestures_of_two_people(two_people: Path, encoder: Encoder) -> None:
    shipped = load(calibration_path(ENCODERS["landmarks"]), encoder.fingerprint)
    report = evaluate(two_people, None, encoder, engine, calibration=shipped)
    assert (report.pictures, report.subjects, report.labels) == (18, 2, 6)
    assert report.not_found == {}
    assert modes(report) == {"within a person", "across people"}
    assert all(list(by_encoder) == ["landmarks-1"] for by_encoder in report.rows.values())
    # The hands are drawn far apart, and the left ones are seen as right ones.
    # The two have three labels in common.
    for mode, which in (("within a person", "all labels"), ("across people", "3 of 6 labels")):
        assert report.rows[f"{mode}: one-shot accuracy, {which}"]["landmarks-1"].value == 1.0
    assert report.rows["within a person: one-shot accuracy, 5-way"]["landmarks-1"].value == 1.0
    assert report.rows["within a person: AUROC, 3 recorded"]["landmarks-1"].value > 0.9
    for share in ("false", "correct"):
        figure = report.rows[f"within a person: calibrated: {share} accepts"]["landmarks-1"]
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
    missing = "compared with no reference, so no figure counts them: Call me, L, Thumb up"
    assert f"across people, 3 of 6 labels: {missing}" in report.left_out
    assert len(report.left_out) == 3 and all(
        x.startswith("across people, ") for x in report.left_out
    )
    assert "5-way: nobody shows five labels" in words(report)
    assert "open set: it takes four labels" in words(report)
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert told["not_found"] == 0 and set(told["figures"]) == set(report.rows)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people show four gestures, six pictures each; person 2 one of them with two."""
    folder = tmp_path_factory.mktemp("recordings")
    for person, label in itertools.product((1, 2), SHOWN[:4]):
        draw(folder, person, label, 2 if (person, label) == (2, SHOWN[3]) else 6)
    return folder


ROWS = ["accuracy, all labels", "AUROC, 2 recorded", "correct accepts at 1% false, 2 recorded"]


def rows_of(report: EvaluationReport, mode: str) -> list[str]:
    return [row.split(": ", 1)[1] for row in report.rows if row.split(":")[0] == mode]


def test_several_shots_and_views_have_figures_of_their_own(
    recordings: Path, encoder: Encoder
) -> None:
    shipped = load(calibration_path(ENCODERS["landmarks"]), encoder.fingerprint)
    # Every two seconds a picture: two of them last two seconds, and two are five seconds later.
    report = evaluate(
        recordings, None, encoder, engine, calibration=shipped, shots=[1, 2], views=[2], fps=0.5
    )
    kinds = {"within a person", "across people"}
    several = {f"{kind}{of}" for kind in kinds for of in ("", ", 2 views")}
    assert modes(report) == {*several, "across people, 2 shots"}
    calibrated = ["calibrated: false accepts", "calibrated: correct accepts"]
    for kind in kinds:
        assert rows_of(report, f"{kind}, 2 views") == [*ROWS, *calibrated]
    # Two references five seconds apart leave no picture that is as far from both.
    assert "within a person, 2 shots, all figures: the pictures show too few" in words(report)
    assert "5 s away from another in its recording, for 2 shots of each" in words(report)
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert set(told["figures"]) == set(report.rows) and told["left_out"] == report.left_out


def test_photographs_have_shots_but_no_views(recordings: Path, encoder: Encoder) -> None:
    report = evaluate(recordings, None, encoder, engine, shots=[3, 9], views=[1, 5])
    kinds = {"within a person", "across people"}
    assert modes(report) == {f"{kind}{of}" for kind in kinds for of in ("", ", 3 shots")}
    for kind in kinds:
        assert rows_of(report, f"{kind}, 3 shots") == ROWS
        assert f"{kind}, 5 views, all figures: several views are frames of one" in words(report)
        assert f"{kind}, 9 shots, all figures: the pictures show too few" in words(report)
        few = "1 of 8 labels of a person have too few pictures"
        assert f"{kind}, 3 shots, some labels: {few}" in words(report)
    for row, by_encoder in report.rows.items():
        for figure in by_encoder.values():
            assert 0 <= figure.low <= figure.value <= figure.high <= 1, row


def test_unmirrored_left_hands_are_not_right_ones(two_people, encoder) -> None:
    seen = {
        mirror: embed_folder(two_people, [encoder], engine, mirror, SHOWN[:1])
        for mirror in (True, False)
    }
    assert list(seen[True].sides) == ["right", "right", "left", "left"]
    alike = {mirror: hands.embeddings[0] @ hands.embeddings[0].T for mirror, hands in seen.items()}
    assert alike[True][0, 2] > alike[False][0, 2] + 0.1
    assert alike[True][0, 1] == pytest.approx(alike[False][0, 1], abs=1e-6)


def test_references_of_other_people(two_people, tmp_path, encoder) -> None:
    for label in SHOWN[:4]:
        draw(tmp_path, 3, label, 1)
    guess = default_calibration(
        "cosine", encoder.fingerprint
    )  # without a rate there is nothing to check
    report = evaluate(two_people, tmp_path, encoder, engine, calibration=guess)
    assert modes(report) == {"across people"} and report.pictures == 18
    assert "calibrated" not in str(report.rows)
    missing = "compared with no reference, so no figure counts them: Call me, Thumb up"
    assert report.left_out == [
        f"across people, 2 of 6 labels: {missing}",
        "across people, one-shot accuracy, 5-way: nobody shows five labels",
    ]
    rows = {row for row in report.rows if "accuracy" in row}
    assert rows == {"across people: one-shot accuracy, 4 of 6 labels"}
    assert report.rows[rows.pop()]["landmarks-1"].value > 0.9


def test_a_label_that_one_person_shows_once_is_told(two_people, tmp_path, encoder) -> None:
    """A reference is no query of its own, and the person's other labels have figures."""
    for person, label in itertools.product((1, 2), SHOWN[:3]):
        draw(tmp_path, person, label, 1 if (person, label) == (2, SHOWN[1]) else 2)
    report = evaluate(tmp_path, None, encoder, engine)
    few = "were compared with no reference, so no figure counts them"
    assert f"within a person, some labels: 1 of 6 labels of a person {few}" in report.left_out
    assert "within a person: one-shot accuracy, all labels" in report.rows
    assert not any("across people, some labels" in line for line in report.left_out)


def test_a_label_without_any_hand_is_in_no_figure(tmp_path, encoder) -> None:
    for label in SHOWN[:3]:
        draw(tmp_path, 1, label, 2)
    wall = tmp_path / "person 1" / "Nothing" / "wall.png"
    wall.parent.mkdir()
    write_picture(wall, np.full((120, 160, 3), 90, np.uint8))
    report = evaluate(tmp_path, None, encoder, engine)
    assert "within a person: one-shot accuracy, 3 of 4 labels" in report.rows
    assert "within a person, 1 of 4 labels: compared with no reference" in words(report)


def test_labels_that_are_not_asked_for_do_not_count(two_people, encoder) -> None:
    report = evaluate(two_people, None, encoder, engine, only=SHOWN[3:5])
    assert (report.pictures, report.subjects, report.labels) == (4, 1, 2)
    assert modes(report) == {"within a person"}
    assert "across people, all figures: the pictures show too few people" in words(report)
    with pytest.raises(UserError, match="no pictures .* in folders named nothing"):
        evaluate(two_people, None, encoder, engine, only=["nothing"])


def test_too_little_for_any_figure(tmp_path, encoder, capsys) -> None:
    draw(tmp_path, 1, "Point", 2)
    write_picture(
        tmp_path / "person 1" / "Point" / "wall.png", np.full((120, 160, 3), 90, np.uint8)
    )
    nothing = tmp_path / "person 1" / "Nothing"
    nothing.mkdir()
    (nothing / "broken.png").write_bytes(b"no picture")
    report = evaluate(tmp_path, None, encoder, engine)
    assert report.rows == {} and report.pictures == 4 and report.labels == 2
    assert report.not_found == {"Nothing": 1, "Point": 1}
    assert [x.split(",")[0] for x in report.left_out] == ["within a person", "across people"]
    assert "broken.png" in capsys.readouterr().err.replace("\n", "")
    assert json.loads(json.dumps(report.to_json()))["not_found"] == 2
    with pytest.raises(UserError, match="outside any label's folder"):
        evaluate(tmp_path / "person 1" / "Point", None, encoder, engine)


def test_calibrate_wants_more_than_a_few_pictures(two_people, encoder) -> None:
    with pytest.raises(UserError, match="at least 100 pictures .* more than 10 gestures"):
        calibrate([two_people], encoder, engine, 0.1)


def test_pictures_without_a_hand_stay_out(tmp_path, encoder) -> None:
    draw(tmp_path, 1, "Victory", 1)
    write_picture(tmp_path / "person 1" / "Victory" / "wall.png", np.zeros((120, 160, 3), np.uint8))
    hands = embed_folder(tmp_path, [encoder], engine)
    assert list(hands.found) == [True, False] and list(hands.sides) == ["right", ""]
    assert np.isnan(hands.embeddings[0][1]).all() and np.isnan(hands.boxes[1]).all()
    data = label_embeddings(hands, 0)
    assert np.array_equal(data.embeddings, hands.embeddings[0][:1]) and list(data.labels) == [
        "Victory"
    ]
    x0, y0, x1, y1 = hands.boxes[0]
    assert 0 < x0 < x1 < 640 and 0 < y0 < y1 < 480
