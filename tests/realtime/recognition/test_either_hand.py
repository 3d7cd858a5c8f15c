"""A gesture taught with one hand and shown with the other, to an encoder that sees both."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from realtime.hands.cutting import embed_hands
from realtime.hands.detector import detect_picture
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.types import Frame, Hand
from realtime.views.record import run_record
from tests.cli import hand_picture, write_png
from tests.realtime.one_pass import write_one_pass

GESTURES = ("Fist", "Victory", "Three", "Four", "Thumb up", "L", "Call me")
OTHER = {"left": "right", "right": "left"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_one_pass(tmp_path_factory.mktemp("one-pass") / "e.onnx")


@pytest.fixture
def settings(encoder: Path, tmp_path: Path) -> Settings:
    return Settings(encoder=str(encoder), gallery=str(tmp_path / "g"), detector="engine")


def record(settings: Settings, label: str, side: str) -> None:
    folder = Path(settings.gallery or "").parent
    picture = write_png(folder / "shown.png", hand_picture(label, side, yaw=0.0))
    run_record(settings, label, picture, replace=False)


def shown(recognizer: Recognizer, label: str, side: str, index: int = 0) -> Hand:
    """Seen live, a little from another direction than it was recorded."""
    frame = Frame(hand_picture(label, side, yaw=0.15), index, 10.0 * index)
    (hand,) = recognizer.detector.detect(frame)
    assert hand.side == side
    return hand


@pytest.mark.parametrize("taught", ["right", "left"])
def test_a_gesture_of_one_hand_is_known_on_the_other(settings: Settings, taught: str) -> None:
    for label in GESTURES:
        record(settings, label, taught)
    with Recognizer(settings) as recognizer:
        assert len(recognizer.index.labels) == 2 * len(GESTURES)
        for index, (label, side) in enumerate((g, s) for g in GESTURES for s in OTHER):
            match = recognizer.match(shown(recognizer, label, side, index))
            assert match.nearest == label and match.score > 0.97
    apart = dataclasses.replace(settings, mirror_hands=False)
    with Recognizer(apart) as recognizer:
        assert recognizer.index.sides == (taught,) * len(GESTURES)
        for index, label in enumerate(GESTURES):
            own = recognizer.match(shown(recognizer, label, taught, 2 * index))
            assert own.nearest == label
            other = recognizer.match(shown(recognizer, label, OTHER[taught], 2 * index + 1))
            assert other.nearest is None and other.label is None


@pytest.mark.parametrize("side", ["right", "left"])
def test_hands_are_compared_with_references_of_their_own_side(
    settings: Settings, side: str
) -> None:
    """Though a mirrored one be nearer: it is another gesture's other hand."""
    record(settings, "L", "right")
    with Recognizer(settings) as recognizer:
        hand = shown(recognizer, "L", side)
        scores = recognizer.index.embeddings @ embed_hands(recognizer.encoder, [hand])[0]
        row = recognizer.index.sides.index(side)
        assert recognizer.match(hand).score == pytest.approx(scores[row], abs=1e-5)
        turned_over = dataclasses.replace(hand, side=OTHER[side])
        assert recognizer.match(turned_over).score == pytest.approx(scores[1 - row], abs=1e-5)
        assert scores[row] != pytest.approx(scores[1 - row], abs=1e-3)


def test_a_recorded_hand_is_embedded_as_it_is_live(settings: Settings) -> None:
    """Within a still picture; the reference's own square is cut by its landmarks."""
    for label, side in (("Victory", "right"), ("Fist", "left")):
        record(settings, label, side)
        with Recognizer(settings) as recognizer:
            hand = shown(recognizer, label, side)
            detection = detect_picture(
                recognizer.still_detector, hand_picture(label, side, yaw=0.0)
            )
            assert detection is not None and detection.look is not None
            rows = np.array([index == label for index in recognizer.index.labels])
            own = rows & (np.array(recognizer.index.sides) == side)
            (reference,) = recognizer.index.embeddings[own]
            assert reference @ detection.look.embedding > 0.995
            assert recognizer.match(hand).nearest == label


@pytest.mark.parametrize("kind", ["engine", "mediapipe"])
def test_a_near_twin_is_told_of_either_hand(
    settings: Settings, kind: str, hand_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A left hand is compared unmirrored, as what is recorded will be."""
    model = str(hand_model_path) if kind == "mediapipe" else None
    settings = dataclasses.replace(settings, detector=kind, hand_model=model)
    record(settings, "Victory", "left")
    capsys.readouterr()
    picture = write_png(
        Path(settings.gallery or "").parent / "again.png", hand_picture("Victory", "left", yaw=0.0)
    )
    run_record(settings, "Peace", picture, replace=False)
    said = capsys.readouterr().err
    assert "this looks like your gesture 'Victory'" in said
    (similarity,) = [float(part.split(")")[0]) for part in said.split("(similarity ")[1:]]
    assert similarity > 0.99
