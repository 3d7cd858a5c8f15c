"""What a frame costs: our whole loop beside MediaPipe's bare HandLandmarker, in one run.

A machine's speed drifts with its clock, its heat and its other work. So the contenders take turns
of TURN frames, in a random order in each round, and are compared within rounds. All see the same
frames in the same order, at the source's own times, and each keeps its tracks from turn to turn.
Frames are read before the turns. Processor time is the whole process's, all threads together; only
one contender works at a time.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import UserError
from engines.quiet import silence_native_stderr
from engines.selftest.bench import Ratio, ratio_of
from realtime.hands.detector import BLANK, open_landmarker, run_landmarker
from realtime.hands.model import hand_model
from realtime.live.opening import open_session
from realtime.live.session import Session
from realtime.settings import Settings
from realtime.types import Frame

TURN = 30  # frames
OURS, WRAPPED, BARE_TWO, BARE_ONE = CONTENDERS = (
    "ours, engine",
    "ours, mediapipe",
    "bare MediaPipe, 2 hands",
    "bare MediaPipe, 1 hand",
)
# Hands in view, the baseline, and the most that our loop may take of its time.
GATES = {(1, BARE_TWO): 0.5, (1, BARE_ONE): 1.0, (2, BARE_TWO): 1.0, (0, BARE_TWO): 1.0}

# A frame → how many hands were found, and milliseconds by stage.
Step = Callable[[Frame], tuple[int, dict[str, float]]]


@dataclass(frozen=True)
class Samples:
    """A contender's figures for each of F frames, in rounds × TURN.

    Attributes:
        found: int (rounds, TURN), hands.
        processor_ms: float (rounds, TURN), of all threads.
        wall_ms: float (rounds, TURN).
        stages_ms: float (rounds, TURN) of each stage; 0 where it didn't run.
    """

    found: np.ndarray
    processor_ms: np.ndarray
    wall_ms: np.ndarray
    stages_ms: dict[str, np.ndarray]


@dataclass(frozen=True)
class Times:
    """Milliseconds a frame."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Row:
    """A contender on the frames that show a number of hands.

    Attributes:
        contender: One of CONTENDERS.
        in_view: Hands in view.
        frames: How many such frames there were.
        found: Hands that the contender found in them, on average.
        processor: Processor time a frame.
        wall: Wall time a frame.
        stages: Wall time a frame by stage, frames in which it doesn't run included.
        ran: Share of the frames in which each stage ran.
    """

    contender: str
    in_view: int
    frames: int
    found: float
    processor: Times
    wall: Times
    stages: dict[str, Times]
    ran: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Mean times of a contender, divided by those of a baseline on the same frames.

    Attributes:
        contender: One of CONTENDERS.
        baseline: Another.
        in_view: Hands in view.
        processor: Ratio of processor times.
        wall: Ratio of wall times.
        most: What the gate allows; None where there is none.
        holds: Whether both ratios are within the gate; None where there is none.
    """

    contender: str
    baseline: str
    in_view: int
    processor: Ratio
    wall: Ratio
    most: float | None
    holds: bool | None


@dataclass(frozen=True)
class SceneBench:
    """What was measured on one source.

    Attributes:
        scene: Its name.
        rounds: Turns of each contender.
        rows: By hands in view, then in the order of CONTENDERS.
        comparisons: Of both our loops with the bare ones.
    """

    scene: str
    rounds: int
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]


@contextmanager
def open_contenders(settings: Settings) -> Iterator[tuple[dict[str, Step], str | None]]:
    """Open all contenders that can run here, fresh, with the demo's ten gestures in the gallery.

    Args:
        settings: Encoder, engine and MediaPipe's model.

    Yields:
        The contenders by name, and a sentence on what is left out.

    Raises:
        UserError: Our own loop can't be opened.
    """
    settings = dataclasses.replace(settings, camera="demo", gallery=None)
    with ExitStack() as stack:

        def open_loop(detector: str) -> Step:
            wanted = dataclasses.replace(settings, detector=detector)
            return _loop(stack.enter_context(open_session(wanted)))

        contenders = {OURS: open_loop("engine")}
        left_out = None
        try:
            contenders[WRAPPED] = open_loop("mediapipe")
            for name, hands in ((BARE_TWO, 2), (BARE_ONE, 1)):
                with silence_native_stderr():
                    landmarker = open_landmarker(hand_model(settings.hand_model), hands)
                    stack.callback(landmarker.close)
                    run_landmarker(landmarker, BLANK, 0)
                contenders[name] = _bare(landmarker)
        except ModuleNotFoundError as error:
            left_out = f"Only our own engine is timed: the package {error.name} is missing."
        except UserError as error:
            left_out = f"Only our own engine is timed: {error}"
        if left_out:
            contenders = {OURS: contenders[OURS]}
        yield contenders, left_out


def _loop(session: Session) -> Step:
    """The whole loop as it runs live, without a view."""

    def step(frame: Frame) -> tuple[int, dict[str, float]]:
        result = session.step(frame)
        inside = session.recognizer.detector.stages_ms
        return len(result.hands), result.timings_ms | {f"hands: {k}": v for k, v in inside.items()}

    return step


def _bare(landmarker: Any) -> Step:
    """MediaPipe alone, on pictures as OpenCV gives them."""
    last_ms = 0

    def step(frame: Frame) -> tuple[int, dict[str, float]]:
        nonlocal last_ms
        last_ms = max(last_ms + 1, round(frame.time_s * 1000))
        return len(run_landmarker(landmarker, frame.image, last_ms).handedness), {}

    return step


def measure(
    contenders: Mapping[str, Step],
    frames: Iterator[Frame],
    rounds: int,
    seed: int = 0,
    clocks: tuple[Callable[[], float], ...] = (time.process_time, time.perf_counter),
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Samples]:
    """Let the contenders take turns, after a first round that isn't counted.

    Args:
        contenders: By name.
        frames: Where the frames come from, in order; what is left of them isn't read.
        rounds: The most turns of each; fewer where the frames end before.
        seed: Of the order within rounds.
        clocks: Give seconds of processor time and of wall time.
        progress: Called with the number of rounds done.

    Raises:
        UserError: The frames don't last for two rounds after the first, or rounds is less than 2.
    """
    taken: dict[str, list[list[tuple[int, float, float, dict[str, float]]]]]
    taken = {name: [] for name in contenders}
    order, chance = list(contenders), random.Random(seed)
    for done in range(rounds + 1):
        turn = list(itertools.islice(frames, TURN))
        if len(turn) < TURN:
            break
        chance.shuffle(order)
        for name in order:
            taken[name].append([_timed(contenders[name], frame, *clocks) for frame in turn])
        progress(done)
    counted = {name: turns[1:] for name, turns in taken.items()}
    if any(len(turns) < 2 for turns in counted.values()):
        raise UserError(
            f"A bench takes 2 rounds of {TURN} frames or more, after {TURN} that aren't counted: "
            "name a longer video, or more --rounds."
        )
    return {name: _samples(turns) for name, turns in counted.items()}


def _timed(
    step: Step, frame: Frame, processor: Callable[[], float], wall: Callable[[], float]
) -> tuple[int, float, float, dict[str, float]]:
    began, began_wall = processor(), wall()
    found, stages = step(frame)
    return found, 1000 * (processor() - began), 1000 * (wall() - began_wall), stages


def _samples(turns: list[list[tuple[int, float, float, dict[str, float]]]]) -> Samples:
    names = {name: None for turn in turns for *_, stages in turn for name in stages}
    return Samples(
        *(np.array([[sample[i] for sample in turn] for turn in turns]) for i in range(3)),
        {
            name: np.array([[sample[3].get(name, 0.0) for sample in turn] for turn in turns])
            for name in names
        },
    )


def summarise(scene: str, samples: Mapping[str, Samples], seed: int = 0) -> SceneBench:
    """Make the tables of a scene.

    Frames are told apart by how many hands are in view, which is what bare MediaPipe finds in
    them, or without it our own loop.

    Args:
        scene: The scene's name.
        samples: Of each contender.
        seed: Of the bootstrap over rounds.
    """
    in_view = samples.get(BARE_TWO, samples[OURS]).found
    rows, comparisons = [], []
    for hands in np.unique(in_view).tolist():
        at = in_view == hands
        rows += [_row(name, hands, each, at) for name, each in samples.items()]
        comparisons += [
            _compare(ours, base, hands, samples, at, seed)
            for ours in (OURS, WRAPPED)
            for base in (BARE_TWO, BARE_ONE)
            if ours in samples and base in samples
        ]
    return SceneBench(scene, len(in_view), tuple(rows), tuple(comparisons))


def _row(name: str, hands: int, samples: Samples, at: np.ndarray) -> Row:
    return Row(
        contender=name,
        in_view=hands,
        frames=int(at.sum()),
        found=float(samples.found[at].mean()),
        processor=_times(samples.processor_ms[at]),
        wall=_times(samples.wall_ms[at]),
        stages={stage: _times(values[at]) for stage, values in samples.stages_ms.items()},
        ran={stage: float((v[at] > 0).mean()) for stage, v in samples.stages_ms.items()},
    )


def _times(values: np.ndarray) -> Times:
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return Times(float(values.mean()), p50, p95, p99)


def _compare(
    name: str, base: str, hands: int, samples: Mapping[str, Samples], at: np.ndarray, seed: int
) -> Comparison:
    """Of mean times, so that the frames with a search count by how many there are."""
    chosen = at.any(axis=1)  # rounds

    def ratio(of: Callable[[Samples], np.ndarray]) -> Ratio:
        sums = [
            np.where(at, of(samples[each]), 0.0).sum(axis=1, keepdims=True)[chosen]
            for each in (name, base)
        ]
        return ratio_of(*sums, seed=seed, typical=np.mean)

    processor, wall = ratio(lambda s: s.processor_ms), ratio(lambda s: s.wall_ms)
    most = GATES.get((hands, base)) if name == OURS else None
    holds = None if most is None else processor.value <= most and wall.value <= most
    return Comparison(name, base, hands, processor, wall, most, holds)
