"""What was taught as no gesture, and gestures with a sensitivity of their own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from calibration.threshold import Calibration, default_calibration
from engines.encoder import ENCODERS, open_encoder
from engines.errors import UserError
from engines.spec import EncoderSpec
from realtime.gallery.archive import export_zip, import_zip
from realtime.gallery.gallery import Gallery, make_reference
from realtime.gallery.reference import NEGATIVE
from realtime.live.burst import Shot
from realtime.recognition.match import Matcher
from realtime.types import Frame
from run import main
from tests.realtime.gallery.fixtures import a_hand

SPEC = EncoderSpec("test-1", ("crop",), 3)
X, Y, Z = np.eye(3, dtype=np.float32)


def shot(name: str) -> Shot:
    image, hand = a_hand(seed=len(name))
    return Shot(Frame(image, 0, 0.0), hand)


def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    mixed = (1 - share) * a + share * b
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def fitted() -> Calibration:
    return Calibration(
        threshold=0.8,
        threshold_five=0.8,
        min_margin=0.0,
        far=0.01,
        curve_far=(0.001, 0.01, 0.1),
        curve_threshold=(0.9, 0.8, 0.7),
        curve_threshold_five=(0.9, 0.8, 0.7),
        weights=(20.0, 0.0, -15.0),
        fingerprint="f",
        fitted_on="nothing",
    )


def test_a_negative_draws_hands_away() -> None:
    rows = np.stack([X, Y, between(X, Z, 0.4)])
    default = default_calibration("cosine", "f")
    plain = Matcher(SPEC, ("a", "b"), rows[:2], default)
    taught = Matcher(SPEC, ("a", "b", "a"), rows, default, negative=(False, False, True))
    near, like = between(X, Z, 0.1), between(X, Z, 0.33)
    for matcher in (plain, taught):
        match = matcher.match(near[None])[0]
        assert (match.label, match.negative) == ("a", False)
    assert plain.match(like[None])[0].label == "a"
    match = taught.match(like[None])[0]
    assert (match.label, match.nearest, match.runner_up) == (None, "a", "b")
    assert match.negative and match.probability == 0.0
    assert match.score == pytest.approx(float(like @ X), abs=1e-6)


def test_a_negative_near_by_costs_margin() -> None:
    strict = dataclasses.replace(fitted(), min_margin=0.3)
    rows = np.stack([X, between(X, Z, 0.4)])
    query = between(X, Z, 0.22)[None]
    assert Matcher(SPEC, ("a",), rows[:1], strict).match(query)[0].label == "a"
    match = Matcher(SPEC, ("a", "a"), rows, strict, negative=(False, True)).match(query)[0]
    assert (match.label, match.negative, match.runner_up) == (None, False, None)


def test_negatives_alone() -> None:
    match = Matcher(SPEC, ("a",), X[None], fitted(), negative=(True,)).match(X[None])[0]
    assert (match.label, match.nearest, match.negative) == (None, None, True)


def test_a_negative_counts_for_its_side() -> None:
    rows = np.stack([X, X, between(X, Z, 0.4)])
    matcher = Matcher(
        SPEC,
        ("a", "a", "a"),
        rows,
        fitted(),
        ("left", "right", "left"),
        negative=(False, False, True),
    )
    left, right = matcher.match(np.stack([between(X, Z, 0.3)] * 2), ["left", "right"])
    assert (left.label, right.label) == (None, "a")


@pytest.mark.parametrize(("far", "known"), [(0.001, False), (0.01, True), (0.1, True)])
def test_a_gesture_with_a_rate_of_its_own(far: float, known: bool) -> None:
    query = between(X, Z, 0.36)[None]  # 0.87
    matcher = Matcher(SPEC, ("a", "b"), np.stack([X, Y]), fitted(), fars={"a": far})
    assert (matcher.match(query)[0].label == "a") is known
    other = between(Y, Z, 0.36)[None]
    assert matcher.match(other)[0].label == "b"


def test_it_stays_when_the_operating_point_moves() -> None:
    query = between(X, Z, 0.36)[None]
    matcher = Matcher(SPEC, ("a", "b"), np.stack([X, Y]), fitted(), fars={"a": 0.001})
    matcher.calibration = fitted().at(0.1)
    assert matcher.match(query)[0].label is None
    assert Matcher(SPEC, ("a",), X[None], fitted()).match(query)[0].label == "a"


def test_a_rate_out_of_range_is_the_nearest_there_is() -> None:
    assert fitted().near(1e-9).threshold == 0.9 and fitted().near(0.9).threshold == 0.7
    default = default_calibration("cosine", "f")
    assert default.near(0.001) is default


def test_negatives_in_a_gallery(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "g")
    gallery.add(make_reference([shot("Victory")], "ok"))
    negative = gallery.add(make_reference([shot("Fist")], "ok", NEGATIVE))
    assert gallery.labels() == {"ok": 1} and gallery.negatives() == {"ok": 1}
    assert gallery.views() == {"ok": 1}
    (path,) = (tmp_path / "g").rglob("*.negative.json")
    assert json.loads(path.read_text())["kind"] == "negative" and negative.id in path.name
    index = gallery.embeddings(open_encoder(str(ENCODERS["default"])))
    assert {(id == negative.id, no) for id, no in zip(index.ids, index.negative, strict=True)} == {
        (True, True),
        (False, False),
    }


def test_carried_renamed_deleted_and_brought_back(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "g")
    first = gallery.add(make_reference([shot("Victory")], "ok"))
    gallery.add(make_reference([shot("Fist")], "ok", NEGATIVE))
    gallery.set_far("ok", 0.002)
    gallery.rename("ok", "fine")
    assert gallery.negatives() == {"fine": 1} and gallery.fars() == {"fine": 0.002}
    export_zip(gallery, tmp_path / "g.zip")
    other = Gallery(tmp_path / "h")
    assert import_zip(other, tmp_path / "g.zip") == 2
    assert other.negatives() == {"fine": 1} and other.fars() == {"fine": 0.002}
    gallery.delete_reference(first.id)  # a gesture's last reference takes its negatives along
    assert gallery.labels() == {} and gallery.negatives() == {}
    gallery.undo()
    assert gallery.labels() == {"fine": 1} and gallery.negatives() == {"fine": 1}
    assert gallery.fars() == {"fine": 0.002}
    gallery.delete("fine")
    gallery.undo()
    assert gallery.labels() == {"fine": 1} and gallery.fars() == {"fine": 0.002}
    assert gallery.clear_negatives("fine") == 1 and gallery.negatives() == {}
    gallery.undo()
    assert gallery.negatives() == {"fine": 1}
    replaced = gallery.add(make_reference([shot("L")], "fine"), replace=True)
    assert gallery.labels() == {"fine": 1} and gallery.negatives() == {"fine": 1}
    assert replaced.id in gallery.ids()
    second = gallery.add(make_reference([shot("Point")], "fine", NEGATIVE), replace=True)
    assert gallery.labels() == {"fine": 1} and gallery.negatives() == {"fine": 1}
    assert gallery.ids() == {replaced.id, second.id}


def test_an_import_keeps_the_gallerys_own_rate(tmp_path: Path) -> None:
    gallery, other = Gallery(tmp_path / "g"), Gallery(tmp_path / "h")
    for each, far in ((gallery, 0.002), (other, 0.05)):
        each.add(make_reference([shot("Victory")], "ok"))
        each.set_far("ok", far)
    export_zip(gallery, tmp_path / "g.zip")
    assert import_zip(other, tmp_path / "g.zip") == 1
    assert other.fars() == {"ok": 0.05}
    other.set_far("ok", None)
    other.delete_reference(min(other.ids()))
    assert other.undo() == "ok" and other.fars() == {}


def test_negatives_that_lost_their_gesture_are_carried(tmp_path: Path) -> None:
    gallery, other = Gallery(tmp_path / "g"), Gallery(tmp_path / "h")
    gallery.add(make_reference([shot("Victory")], "ok"))
    gallery.add(make_reference([shot("Fist")], "ok", NEGATIVE))
    gallery.set_far("ok", 0.002)
    (path,) = (tmp_path / "g").rglob("*.item.json")
    path.unlink()
    export_zip(gallery, tmp_path / "g.zip")
    assert import_zip(other, tmp_path / "g.zip") == 1
    assert other.negatives() == {"ok": 1} and other.fars() == {"ok": 0.002}
    assert other.clear_negatives("ok") == 1 and other.negatives() == {}


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(make_reference([shot("Victory")], "ok"))
    gallery.add(make_reference([shot("Fist")], "ok", NEGATIVE))
    where = ["--gallery", str(tmp_path)]
    assert main(["gestures", "set", "ok", "--far", "0.001", *where]) == 0
    assert main(["gestures", "list", *where]) == 0
    assert "ok\t1 reference\t1 view\t1 negative\t--far 0.001\n" in capsys.readouterr().out
    assert main(["gestures", "set", "ok", "--far", "none", *where]) == 0
    assert main(["gestures", "clear", "ok", *where]) == 0
    assert main(["gestures", "list", *where]) == 0
    assert capsys.readouterr().out.endswith("ok\t1 reference\t1 view\n")
    for wrong in (["set", "ok", "--far", "2"], ["set", "no", "--far", "0.1"], ["clear", "ok"]):
        assert main(["gestures", *wrong, *where]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "error: A false-accept rate lies between 0 and 1, such as 0.001; got 2.0." in lines
    assert f"error: {tmp_path} has no gesture 'no': it holds 'ok'." in lines
    assert "error: Nothing was taught that isn't 'ok'." in lines
    with pytest.raises(SystemExit):
        main(["gestures", "set", "ok", "--far", "little", *where])
    said = "argument --far: it takes a rate, such as 0.001, or none; got 'little'"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("far", ['"much"', "7", "0", "NaN", "true", "[0.1]"])
def test_a_rate_that_is_none_is_none(far: str, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.add(make_reference([shot("Victory")], "ok"))
    (tmp_path / "ok" / "gesture.json").write_text(f'{{"version": 1, "label": "ok", "far": {far}}}')
    assert gallery.fars() == {} and gallery.labels() == {"ok": 1}


def test_a_negative_needs_its_gesture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no gesture 'ok'"):
        Gallery(tmp_path).check_there("ok")
