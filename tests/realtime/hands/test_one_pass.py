"""A one-pass encoder as the detector's hand network: hands come with their embeddings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.encoder import HAND_FILE, open_encoder
from engines.hand_networks import HAND
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxHandNetwork
from engines.spec import EncoderInputs
from realtime.drawn.pose import GESTURES
from realtime.hands import detector as detecting
from realtime.hands.cutting import cut_hand, embed_hands, encoder_inputs
from realtime.hands.detector import detect_picture
from realtime.hands.geometry import cut, turns_of, upright_square
from realtime.hands.opening import open_detector
from realtime.measuring.drawn_crops import drawn_crops
from realtime.sources.demo import FPS, demo_image
from realtime.types import Detection, Frame, Hand
from tests.cli import hand_picture
from tests.realtime.one_pass import SPEC, write_one_pass

SHOWN = [name for name in GESTURES if name != "Bent hand"]  # which no detector takes for a hand


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    return OnnxEncoder(write_one_pass(tmp_path_factory.mktemp("one-pass") / "e.onnx"))


class Blind(OnnxEncoder):
    """It looks, but is never to be asked for an embedding alone."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        self.__dict__ |= vars(encoder)

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        raise AssertionError("the pass gave it already")


def seen(encoder: OnnxEncoder, picture: np.ndarray) -> Hand:
    with open_detector("engine", encoder, video=False, max_hands=1) as detector:
        (hand,) = detector.detect(Frame(picture, 0, 0.0))
    return hand


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_it_finds_what_hand_onnx_finds(encoder: OnnxEncoder) -> None:
    inputs = drawn_crops(6, HAND.size)
    flipped = np.ascontiguousarray(inputs.crops[:, :, ::-1])
    crops, turns = np.concatenate([inputs.crops, flipped]), np.tile(inputs.turns, (2, 1))
    alone, found = OnnxHandNetwork(HAND_FILE).look(crops, turns), encoder.look(crops, turns)
    for name in HAND.outputs:
        unit = HAND.size if name == "landmarks" else 1
        difference = np.abs(getattr(found, name) - getattr(alone, name)) / unit
        assert difference.max() < 1e-4, name


def test_hands_are_where_the_hand_network_finds_them(encoder: OnnxEncoder) -> None:
    for side in ("right", "left"):
        picture = hand_picture("Victory", side)
        with (
            open_detector("engine", encoder, video=False) as ours,
            open_detector("engine", None, video=False) as plain,
        ):
            (one,), (other,) = ours.detections(picture), plain.detections(picture)
        assert other.look is None and one.look is not None
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-2)
        np.testing.assert_allclose(one.world_landmarks, other.world_landmarks, atol=1e-5)
        assert one.side == other.side == side


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_has_the_embedding_of_its_own_crop(encoder: OnnxEncoder, side: str) -> None:
    picture = hand_picture("Three", side)
    hand = seen(encoder, picture)
    assert hand.side == side and not hand.mirrored and hand.embedding is not None
    assert np.array_equal(hand.crop, cut(picture, hand.square, HAND.size, mirror=False))
    again = encoder.look(hand.crop[None], turns_of([hand.square.angle]))
    np.testing.assert_allclose(hand.embedding, again.embedding[0], atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_the_pass_gave_is_used_and_else_encoded(encoder: OnnxEncoder, side: str) -> None:
    hand = seen(encoder, hand_picture("Open hand", side))
    assert hand.embedding is not None
    given = embed_hands(Blind(encoder), [hand, hand])
    assert given.shape == (2, SPEC.dim) and np.array_equal(given[0], hand.embedding)
    bare = dataclasses.replace(hand, embedding=None)
    for hands in ([bare], [bare, hand]):
        np.testing.assert_allclose(embed_hands(encoder, hands)[0], hand.embedding, atol=1e-5)
    with pytest.raises(AssertionError, match="gave it already"):
        embed_hands(Blind(encoder), [bare, hand])


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_still_hand_cut_by_its_landmarks_has_nearly_that_embedding(
    encoder: OnnxEncoder, side: str
) -> None:
    """As references are: the pass's own square is that of the look before."""
    for gesture in SHOWN[:6]:
        picture = hand_picture(gesture, side)
        hand = seen(encoder, picture)
        assert hand.embedding is not None
        plain = Detection(hand.landmarks, hand.world_landmarks, hand.side, hand.score)
        again = cut_hand(picture, plain, HAND.size, mirror_hands=False)
        square, before = upright_square(hand.landmarks), hand.square
        assert again.square == square and again.embedding is None
        assert np.hypot(square.x - before.x, square.y - before.y) < 0.03 * before.width
        assert cosine(embed_hands(encoder, [again])[0], hand.embedding) > 0.995


def test_both_detectors_cut_hands_alike_for_it(hand_model_path: Path, encoder: OnnxEncoder) -> None:
    """MediaPipe's hands come without an embedding, unmirrored."""
    for side in ("right", "left"):
        picture = hand_picture("L", side)
        with open_detector("mediapipe", encoder, video=False, model=str(hand_model_path)) as other:
            (theirs,) = other.detect(Frame(picture, 0, 0.0))
        ours = seen(encoder, picture)
        assert theirs.side == side and not theirs.mirrored and theirs.embedding is None
        assert theirs.crop.shape == ours.crop.shape == (224, 224, 3)
        both = embed_hands(encoder, [theirs])[0], embed_hands(encoder, [ours])[0]
        assert cosine(*both) > 0.99


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_hand_turned_with_its_picture_is_turned_in_the_cameras_frame(
    encoder: OnnxEncoder, quarters: int
) -> None:
    """The crop shows the same hand; its geometry, and so the embedding, is the turned one."""
    picture = hand_picture("Victory", centre=(320, 380))
    turned = np.ascontiguousarray(np.rot90(picture, -quarters))  # clockwise
    with open_detector("engine", encoder, video=False, max_hands=1) as detector:
        plain, over = detect_picture(detector, picture), detect_picture(detector, turned)
    assert plain is not None and over is not None and plain.look and over.look
    difference = plain.look.crop.astype(int) - over.look.crop
    assert np.abs(difference).mean() < 6
    between = over.look.square.angle - plain.look.square.angle - quarters * np.pi / 2
    assert abs(np.angle(np.exp(1j * between))) < 0.05
    cos, sin = np.cos(quarters * np.pi / 2), np.sin(quarters * np.pi / 2)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    away = np.linalg.norm(over.world_landmarks - plain.world_landmarks @ rotation.T, axis=1)
    assert away.max() < 0.006  # metres
    expected = (plain.look.embedding.reshape(3, 21).T @ rotation.T).T.ravel()
    assert cosine(over.look.embedding, expected) > 0.995
    assert cosine(over.look.embedding, plain.look.embedding) < 0.9


def test_every_frame_of_a_video_has_one(encoder: OnnxEncoder) -> None:
    blind, before = Blind(encoder), None
    with open_detector("engine", encoder, video=True) as detector:
        for index in range(6):
            (hand,) = detector.detect(Frame(demo_image(index), index, index / FPS))
            (embedding,) = embed_hands(blind, [hand])
            assert before is None or cosine(embedding, before) > 0.98
            before = embedding


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_found_with_a_border_lies_in_its_picture(
    encoder: OnnxEncoder, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The square that the pass saw, too: what is recorded is cut around it."""
    monkeypatch.setattr(detecting, "BORDERS", (0.25,))  # whether it is needed or not
    whole = hand_picture("Open hand", side)
    hand = seen(encoder, whole)
    x0, y0 = map(int, np.floor(hand.landmarks[:, :2].min(axis=0)) - 4)
    x1, y1 = map(int, np.ceil(hand.landmarks[:, :2].max(axis=0)) + 4)
    tight = np.ascontiguousarray(whole[y0:y1, x0:x1])
    with open_detector("engine", encoder, video=False, max_hands=1) as detector:
        found = detect_picture(detector, tight)
    assert found is not None and found.look is not None
    square, seen_by = upright_square(found.landmarks), found.look.square
    assert np.hypot(square.x - seen_by.x, square.y - seen_by.y) < 0.05 * square.width
    again = cut_hand(tight, found, HAND.size, mirror_hands=True)
    shown = cut(tight, again.square, HAND.size, mirror=False)
    assert np.abs(shown.astype(int) - again.crop).max() <= 2, "the border is its own picture's"


def test_landmarks_are_encoded_alike_under_either_detector(hand_model_path: Path) -> None:
    """An encoder of two inputs gets crop and landmarks from the engine, as from MediaPipe."""
    encoder = open_encoder("landmarks")
    for side in ("right", "left"):
        picture = hand_picture("L", side)
        embeddings = []
        for kind, model in (("engine", None), ("mediapipe", str(hand_model_path))):
            with open_detector(kind, encoder, video=False, model=model) as detector:
                (hand,) = detector.detect(Frame(picture, 0, 0.0))
            assert hand.embedding is None and hand.mirrored == (side == "left")
            assert hand.crop.shape == (encoder.spec.crop_size,) * 2 + (3,)
            inputs = encoder_inputs([hand])
            embeddings.append(embed_hands(encoder, [hand])[0])
            assert np.array_equal(embeddings[-1], encoder.encode(inputs)[0])
            middle = cv2.resize(hand.crop, (8, 8))[3:5, 3:5].mean()
            assert middle > 60 and inputs.landmarks[0, :, :2].mean() == pytest.approx(0.5, abs=0.1)
        assert cosine(*embeddings) > 0.98
