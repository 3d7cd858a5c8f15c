"""The engine's detector with odd networks, encoders and frames: a sentence, or no hand."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from engines import encoder as encoder_files
from engines.encoder import Encoder, open_encoder
from engines.errors import UserError
from engines.hand_networks import HAND, PALM, ROLE_KEY, HandOutputs, NetworkSpec
from engines.spec import EncoderInputs, EncoderSpec
from realtime.hands.cutting import embed_hands
from realtime.hands.detector import Detector
from realtime.hands.opening import open_detector
from realtime.sources.demo import FPS, demo_image
from realtime.types import Frame
from tests.cli import hand_picture

FILES = {PALM.role: "PALM_FILE", HAND.role: "HAND_FILE"}  # in engines.encoder


class CropEncoder:
    """An encoder that reads crops alone, as the classic Siamese networks do."""

    engine, engine_name, fingerprint = "test", "onnx", "f" * 64

    def __init__(self, size: int, inputs: tuple[str, ...] = ("crop",)) -> None:
        self.spec = EncoderSpec("crops-1", inputs, 2, crop_size=size)

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        size = self.spec.crop_size
        assert hands.crops.shape[1:] == (size, size, 3) and hands.crops.dtype == np.uint8
        return np.stack([hands.crops.mean(axis=(1, 2, 3)), hands.crops.std(axis=(1, 2, 3))], axis=1)

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        raise AssertionError("it finds no landmarks")

    def close(self) -> None: ...


def write_network(path: Path, spec: NetworkSpec, size: int, least: int) -> Path:
    """A network of that role for pictures `size` wide, whose first output is `least` long."""
    shapes = dict(spec.outputs)
    first = next(iter(shapes))
    shapes[first] = (least, *shapes[first][1:])
    zeros = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
    number = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"no {name}"], [name]) for name in zeros],
        "odd",
        [helper.make_tensor_value_info(spec.input_name, number, ["N", 3, size, size])],
        [helper.make_tensor_value_info(n, number, value.shape) for n, value in zeros.items()],
        [numpy_helper.from_array(value, f"no {name}") for name, value in zeros.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {ROLE_KEY: spec.role})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("spec", [PALM, HAND], ids=lambda spec: spec.role)
def test_networks_of_another_size_are_refused(
    tmp_path: Path, spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another picture, or another number of anchors or joints."""
    usual = next(iter(spec.outputs.values()))[0]
    for size, least in ((spec.size // 2, usual), (spec.size, usual - 1)):
        file = write_network(tmp_path / f"{spec.role}.onnx", spec, size, least)
        monkeypatch.setattr(encoder_files, FILES[spec.role], file)
        with pytest.raises(UserError, match=f"{spec.role}.onnx takes .*expected .*Make it again"):
            open_detector("engine", video=False)


def test_a_one_pass_encoder_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="crops of 192 px, but hands are found in 224 px"):
        open_detector("engine", CropEncoder(192, ("crop", "turn")), video=True)


@pytest.mark.parametrize("size", [1, 28, 300])
@pytest.mark.parametrize("video", [False, True])
def test_an_encoder_that_takes_no_landmarks(size: int, video: bool) -> None:
    encoder = CropEncoder(size)
    with open_detector("engine", encoder, video=video) as detector:
        (hand,) = detector.detect(Frame(hand_picture("Victory", "left"), 0, 0.0))
    assert hand.crop.shape == (size, size, 3) and hand.embedding is None
    assert hand.side == "left" and hand.mirrored
    assert embed_hands(encoder, [hand]).shape == (1, 2)


@pytest.fixture(scope="module", params=["default", "landmarks"])
def encoder(request: pytest.FixtureRequest) -> Iterator[Encoder]:
    with closing(open_encoder(request.param)) as one:
        yield one


def detector_for(encoder: Encoder, video: bool) -> Detector:
    return open_detector("engine", encoder, video=video)


@functools.cache
def odd_frames() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (480, 640, 3), np.uint8)
    y, x = np.mgrid[:480, :640]
    skin = np.array((146, 174, 222), np.uint8)
    frames = {"black": np.zeros_like(noise), "white": np.full_like(noise, 255), "noise": noise}
    frames |= {
        f"{w} x {h}": rng.integers(0, 256, (h, w, 3), np.uint8)
        for w, h in ((1, 1), (1, 480), (640, 1), (1, 4320), (7680, 1), (2, 2), (3, 1000))
    }
    frames["8K"] = cv2.resize(noise, (7680, 4320), interpolation=cv2.INTER_NEAREST)
    frames["skin"] = np.full_like(noise, skin)
    soft = cv2.GaussianBlur(noise, (0, 0), 12).astype(float)
    frames["blurred noise"] = (255 * (soft - soft.min()) / np.ptp(soft)).astype(np.uint8)
    frames["checks"] = np.repeat(((x // 40 + y // 40) % 2 * 255).astype(np.uint8), 3).reshape(
        480, 640, 3
    )
    frames["slope"] = np.repeat((x * 255 // 639).astype(np.uint8), 3).reshape(480, 640, 3)
    frames["bars"] = np.where((x // 45 % 2 == 0)[..., None], skin, np.uint8(60)).astype(np.uint8)
    frames["ball"] = cv2.circle(np.full_like(noise, 90), (320, 240), 130, skin.tolist(), -1)
    frames["drawing"] = cv2.polylines(
        np.full_like(noise, 255), [rng.integers(60, 420, (9, 2), np.int32)], False, (0, 0, 0), 12
    )
    frames["writing"] = cv2.putText(
        np.full_like(noise, 255), "no hand", (40, 260), cv2.FONT_HERSHEY_SIMPLEX, 4, (0, 0, 0), 14
    )
    frames["every other pixel"] = rng.integers(0, 256, (960, 1280, 3), np.uint8)[::2, ::-2]
    return frames


@pytest.mark.parametrize("name", odd_frames())
@pytest.mark.parametrize("video", [False, True], ids=["still", "video"])
def test_no_hand_is_invented(encoder: Encoder, name: str, video: bool) -> None:
    with detector_for(encoder, video) as detector:
        for index in range(2):
            assert detector.detect(Frame(odd_frames()[name], index, index / FPS)) == []


def test_a_hand_comes_and_goes_between_odd_frames(encoder: Encoder) -> None:
    """It is found in its own frames, whatever lies between, and has finite numbers."""
    with detector_for(encoder, video=True) as detector:
        for index, frame in enumerate(odd_frames().values()):
            (hand,) = detector.detect(Frame(demo_image(index), 2 * index, 2 * index / FPS))
            assert np.isfinite(embed_hands(encoder, [hand])).all()
            assert np.isfinite(hand.landmarks).all() and 0.5 <= hand.score <= 1
            assert detector.detect(Frame(frame, 2 * index + 1, (2 * index + 1) / FPS)) == []


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_hand_that_leaves_the_picture(encoder: Encoder, side: str) -> None:
    """No crash at the edge, no hand where none is left, and it is found when it comes back."""
    picture = hand_picture("Open hand", centre=(320, 400))
    height, width = picture.shape[:2]
    step = {"left": (-80, 0), "right": (80, 0), "top": (0, -80), "bottom": (0, 80)}[side]
    with detector_for(encoder, video=True) as detector:
        counts: list[int] = []
        for index in [*range(12), *range(11, -1, -1)]:
            moved = np.array([(1, 0, step[0] * index), (0, 1, step[1] * index)], np.float32)
            frame = cv2.warpAffine(picture, moved, (width, height), borderValue=(180, 184, 186))
            hands = detector.detect(Frame(frame, len(counts), len(counts) / FPS))
            assert all(np.isfinite(embed_hands(encoder, [hand])).all() for hand in hands)
            counts.append(len(hands))
    assert counts[0] == counts[-1] == 1 and counts[11] == 0 and max(counts) == 1
