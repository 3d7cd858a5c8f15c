"""What a frame costs beside the networks, and the gate that no change may break: ratios alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from realtime.hands.geometry import cut
from realtime.measuring.bench import TURN, measure
from realtime.measuring.contenders import Step
from realtime.measuring.scenes import SCENES, play
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.timing.parts import GESTURES, open_parts, time_parts
from realtime.types import Frame, Square

# Of the processor time of the crop of two hands, which is OpenCV's work: about twice what was
# measured. A slow copy or a loop in Python costs several times as much.
MOST = {"compare with the last pass": 0.8, "preprocess": 1.0, "match": 1.6, "draw": 3.0}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], object]]:
    return open_parts(Settings(gallery=str(tmp_path_factory.mktemp("parts"))))


def test_the_parts_are_those_of_a_frame_with_two_hands(
    parts: dict[str, Callable[[], object]],
) -> None:
    match, draw = parts["match"](), parts["draw"]()
    assert isinstance(match, list) and len(match) == 2
    assert all(each.nearest.startswith("Gesture") and each.runner_up for each in match)
    assert isinstance(draw, np.ndarray) and draw.shape[1:] == (640, 3) and GESTURES == 100


def step_of(recognizer: Recognizer) -> Step:
    def step(frame: Frame) -> tuple[int, dict[str, float]]:
        return len(recognizer.step(frame).hands), {}

    return step


@pytest.mark.slow
def test_no_part_costs_much_beside_the_crop(parts: dict[str, Callable[[], object]]) -> None:
    took = {name: np.median(times) for name, times in time_parts(parts, 100).items()}
    ratios = {name: took[name] / took["crop"] for name in MOST}
    assert {name: ratio for name, ratio in ratios.items() if ratio > MOST[name]} == {}


@pytest.mark.slow
def test_the_loop_costs_little_beside_its_pass(tmp_path: Path) -> None:
    """The gate of the whole loop: with one hand in view nearly all is the pass of the network."""
    settings = Settings(gallery=str(tmp_path), every_frame=True, hands=1)
    with Recognizer(settings) as ours, Recognizer(settings) as bare:
        square = Square(318.0, 300.0, 380.0, 0.0)

        def one_pass(frame: Frame) -> tuple[int, dict[str, float]]:
            crop = cut(frame.image, square, 224, mirror=False)
            bare.encoder.look(crop[None], np.array([[1.0, 0.0]], np.float32))
            return 1, {}

        contenders = {"loop": step_of(ours), "pass": one_pass}
        samples = measure(contenders, play(SCENES["one drawn hand"]), 4)
    took = {name: np.median(each.processor_ms) for name, each in samples.items()}
    assert samples["loop"].found.shape == (4, TURN) and (samples["loop"].found == 1).all()
    assert took["loop"] < 1.5 * took["pass"]


@pytest.mark.slow
def test_a_hand_at_rest_costs_a_fraction(tmp_path: Path) -> None:
    settings = Settings(gallery=str(tmp_path))
    with (
        Recognizer(settings) as skips,
        Recognizer(dataclasses.replace(settings, every_frame=True)) as looks,
    ):
        contenders = {"skips": step_of(skips), "looks": step_of(looks)}
        still = next(play(SCENES["one drawn hand"])).image
        frames = (Frame(still, i, i / 30) for i in range(5 * TURN))
        samples = measure(contenders, frames, 3)
    took = {name: each.processor_ms.mean() for name, each in samples.items()}
    assert took["skips"] < 0.5 * took["looks"]
