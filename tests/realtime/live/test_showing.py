"""One showing, several views: drawn hands that hold and turn, through the real detector."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
import re
import weakref
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime.drawn.hand import draw_hand
from realtime.drawn.pose import GESTURES, joints, view_rotation
from realtime.live.burst import (
    BLURRED,
    BURST_S,
    CLIP_S,
    NEWS,
    Burst,
    Shot,
    Showing,
    is_cut_off,
    sharpness,
)
from realtime.live.command import Name, Record
from realtime.live.likeness import difference, misfit, same_gesture
from realtime.live.session import Session
from realtime.live.state import State
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.sources.demo import CHANGE, HOLD, demo_image, demo_label
from realtime.types import Frame, Hand, Square
from tests.cli import PERFORMER

FPS = 15
KEEP = 5
Picture = Callable[[float], np.ndarray]  # what a camera sees at a time


def turning(
    label: str, degrees: float = 25.0, centre: tuple[float, float] = (318, 372), side: str = "right"
) -> Picture:
    """A gesture that is held for half a second, then turned to one side until two are over."""

    def picture(time_s: float) -> np.ndarray:
        share = max(time_s - BURST_S, 0.0) / (CLIP_S - BURST_S)
        rotation = view_rotation(0.1 - math.radians(degrees) * share, 0.08, 0.02)
        points = joints(GESTURES[label]) @ rotation.T
        where = (centre[0] + math.sin(9 * time_s), centre[1])  # nobody holds quite still
        return draw_hand(points, PERFORMER, (640, 480), 1580.0, where, side)

    return picture


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recognizer]:
    folder = tmp_path_factory.mktemp("showing") / "gestures"
    with Recognizer(Settings(gallery=str(folder))) as recognizer:
        recognizer.look_closely(True)  # as a recording does
        yield recognizer


@pytest.fixture(scope="module")
def clip(recognizer: Recognizer) -> Callable[..., list[tuple[Frame, list[Hand]]]]:
    """Gives a clip's frames with the hands that are found in them."""
    index = itertools.count()

    def look(picture: Picture, fps: float = FPS, seconds: float = CLIP_S + 0.2):
        began = next(index)
        recognizer.detector.detect(Frame(np.zeros((480, 640, 3), np.uint8), began, began * 10.0))
        seen = []
        for i in range(round(seconds * fps)):
            frame = Frame(picture(i / fps), i, began * 10.0 + 1 + i / fps)
            seen.append((frame, recognizer.detector.detect(frame)))
        return seen

    return look


def showing(seen: Sequence[tuple[Frame, Sequence[Hand]]], keep: int = KEEP) -> Showing | None:
    burst = Burst(0.0, keep)
    for frame, hands in seen:
        burst.update(frame, hands)
    burst.finish()
    return burst.showing


def shots_of(seen: Sequence[tuple[Frame, Sequence[Hand]]]) -> tuple[Shot, ...]:
    result = showing(seen)
    assert result is not None
    return result.shots


def indices(seen: Sequence[tuple[Frame, Sequence[Hand]]]) -> list[int]:
    return [shot.frame.index for shot in shots_of(seen)]


@pytest.fixture(scope="module")
def victory(clip) -> list[tuple[Frame, list[Hand]]]:
    return clip(turning("Victory"))


@pytest.mark.parametrize("label", ["Victory", "Pinch", "Fist", "Point"])
def test_views_are_different_and_of_one_gesture(label: str, clip) -> None:
    seen = clip(turning(label))
    shots = shots_of(seen)
    assert 3 <= len(shots) <= KEEP
    first = shots[0]
    assert first.frame.time_s - seen[0][0].time_s <= BURST_S
    pairs = list(itertools.combinations(shots, 2))
    assert min(difference(a.hand, b.hand) for a, b in pairs) >= NEWS
    # What is chosen is spread over all of the turn: no frame of it is far from every view.
    others = [Shot(frame, hands[0]) for frame, hands in seen if hands and frame.index > FPS / 2]
    farthest = max(min(difference(o.hand, s.hand) for s in shots) for o in others)
    assert farthest <= 0.6 * max(difference(first.hand, o.hand) for o in others)
    for shot in shots:
        assert same_gesture(shot.hand, first.hand) and not is_cut_off(shot)
        assert shot.hand.embedding is not None and first.hand.embedding is not None
        assert float(shot.hand.embedding @ first.hand.embedding) > 0.75
    # Each adds the most to those before it.
    added = [
        min(difference(shot.hand, other.hand) for other in shots[:i])
        for i, shot in enumerate(shots)
        if i
    ]
    assert added == sorted(added, reverse=True)


def test_a_hand_that_does_not_turn_gives_one_view(clip) -> None:
    assert len(shots_of(clip(turning("Victory", degrees=0.0)))) == 1


def test_a_left_hand_turns_as_well(clip) -> None:
    picture = turning("Victory")
    shots = shots_of(clip(lambda time_s: cv2.flip(picture(time_s), 1)))
    assert len(shots) >= 3 and {shot.hand.side for shot in shots} == {"left"}


def test_blurred_frames_are_not_chosen(clip, victory) -> None:
    picture = turning("Victory")

    def shaky(time_s: float) -> np.ndarray:
        sharp = picture(time_s)
        shaken = time_s > BURST_S and round(time_s * FPS) % 3
        return cv2.GaussianBlur(sharp, (0, 0), 3) if shaken else sharp

    chosen = indices(clip(shaky))
    assert len(chosen) >= 3 and all(index % 3 == 0 for index in chosen[1:])
    assert any(index % 3 for index in indices(victory)[1:])  # sharp ones would be
    all_blurred = clip(lambda time_s: cv2.GaussianBlur(picture(time_s), (0, 0), 6))
    assert sharpness(all_blurred[3][1][0].crop) < BLURRED
    assert len(shots_of(all_blurred)) == 1


def test_cut_off_frames_are_not_chosen(clip) -> None:
    picture = turning("Victory")

    def cut(time_s: float) -> np.ndarray:
        image = picture(time_s)
        return image[300 - 140 :] if time_s > 1.0 else image  # a camera that is knocked down

    seen = clip(cut)
    late = [Shot(f, h[0]) for f, h in seen if h and f.index > FPS]
    assert late and all(is_cut_off(shot) for shot in late)
    assert max(indices(seen)) <= FPS


@pytest.mark.parametrize("fps", [2, 5])
def test_slow_cameras_give_what_there_is(fps: int, clip) -> None:
    chosen = indices(clip(turning("Victory"), fps=fps))
    assert chosen[0] <= math.ceil(fps * BURST_S) and 2 <= len(chosen) <= min(KEEP, 2 * fps)


def test_a_frame_in_three_seconds_is_a_view(victory) -> None:
    frames = [(dataclasses.replace(f, time_s=3.0 * i), h) for i, (f, h) in enumerate(victory)]
    assert len(shots_of(frames[:3])) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.5, 0.7, 1.2])
def test_a_source_that_ends_early_gives_what_there_is(seconds: float, victory) -> None:
    frames = victory[: round(seconds * FPS) + 1]
    chosen = indices(frames)
    assert 1 <= len(chosen) < KEEP and chosen[0] <= BURST_S * FPS


def test_nothing_seen_is_no_showing(victory) -> None:
    assert showing([(frame, []) for frame, _ in victory]) is None


def test_a_hand_that_leaves_early(victory) -> None:
    seen = [(frame, hands if frame.index < FPS else []) for frame, hands in victory]
    burst = Burst(0.0, KEEP)
    for frame, hands in seen:
        burst.update(frame, hands)
    assert burst.showing is not None  # without `finish`: two seconds after the hand came
    assert [s.frame.index for s in burst.showing.shots] == indices(victory[:FPS])


def test_another_gesture_is_no_view(clip) -> None:
    victory, fist = turning("Victory"), turning("Fist")
    seen = clip(lambda time_s: victory(time_s) if time_s < 1.2 else fist(time_s))
    chosen = indices(seen)
    assert 2 <= len(chosen) and max(chosen) < 1.2 * FPS


def test_what_leads_to_another_gesture_is_no_view(clip) -> None:
    """A thumb's first step to elsewhere looks like a turn."""
    seen = clip(lambda time_s: demo_image(round(time_s * 30)), fps=30)
    assert demo_label(HOLD - 1) is not None and demo_label(HOLD + CHANGE // 2) is None
    assert max(indices(seen)) < HOLD


def test_a_second_hand_is_no_view(clip, victory) -> None:
    """The other hand may be larger for a while: the views are of the one that was held up."""
    fist = clip(lambda time_s: cv2.flip(turning("Fist")(time_s), 1))
    both = [
        (frame, [*other, *hands] if frame.index > FPS else [*hands, *other])
        for (frame, hands), (_, other) in zip(victory, fist, strict=True)
    ]
    assert indices(both) == indices(victory)
    same = [(frame, [*hands, dataclasses.replace(hands[0], track=99)]) for frame, hands in victory]
    assert {shot.hand.track for shot in shots_of(same)} == {victory[0][1][0].track}


def test_few_frames_are_held(clip) -> None:
    burst, seen = Burst(0.0, KEEP), clip(turning("Fist"))
    alive: list[weakref.ref[np.ndarray]] = []
    while seen:
        frame, hands = seen.pop(0)
        alive.append(weakref.ref(frame.image))
        burst.update(frame, hands)
        del frame, hands
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= KEEP + 2


def test_progress_is_told(victory) -> None:
    burst, shown = Burst(0.5, KEEP), []
    for frame, hands in victory:
        burst.update(frame, hands)
        if burst.showing is None:
            shown.append(burst.progress)
    assert shown[:7] == [None] * 7  # the countdown
    progress = [each for each in shown if each is not None]
    assert [p.share for p in progress] == sorted(p.share for p in progress)
    assert progress[0].share == 0 and progress[0].kept == 0
    assert all((p.kept == 0) == (p.share < BURST_S / CLIP_S - 1e-6) for p in progress)
    assert progress[-1].kept >= 2 and all(p.kept <= p.keep == KEEP for p in progress)


def test_misfit_is_what_no_rotation_mends() -> None:
    """Against a search among many rotations; the formula's is the best of all."""
    rng = np.random.default_rng(0)
    one, other = (joints(GESTURES[label]).astype(np.float64) for label in ("Victory", "L"))

    def hand(points: np.ndarray) -> Hand:
        world = points.astype(np.float32)
        crop, square = np.zeros((8, 8, 3), np.uint8), Square(0.0, 0.0, 1.0, 0.0)
        return Hand(np.zeros(4), world, world, "right", 1.0, crop, False, 0, square)

    turned = one @ view_rotation(0.7, -0.4, 1.1).T * 1.3
    assert misfit(hand(one), hand(turned)) < 1e-5
    mirrored = one * [-1, 1, 1]
    assert misfit(hand(one), hand(mirrored)) > 0.05

    def squares(angles: np.ndarray) -> float:
        return float(((ours @ view_rotation(*angles).T - theirs) ** 2).sum())

    ours, theirs = ((p - p.mean(0)) for p in (one, other))
    ours, theirs = (p / np.sqrt((p**2).sum(1).mean()) for p in (ours, theirs))
    best = np.zeros(3)
    for step in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        for _ in range(300):
            tried = best + rng.normal(0, step, 3)
            best = min(best, tried, key=squares)
    slow = np.linalg.norm(ours @ view_rotation(*best).T - theirs, axis=1).mean()
    assert misfit(hand(one), hand(other)) == pytest.approx(slow, rel=0.01)


@pytest.mark.parametrize("keep", [0, 6, -1])
def test_another_number_of_views_is_refused(keep: int) -> None:
    with pytest.raises(UserError, match=f"A recording keeps 1 to 5 views; got --keep {keep}"):
        Settings(keep=keep)


class Live:
    """As far as a session asks: a camera, whose frames are pushed."""

    live, over, name = True, False, "camera"


@pytest.mark.parametrize(
    ("degrees", "live", "text"),
    [
        (25.0, False, r"Recorded ok \([345] views\)\."),
        (25.0, True, r"Recorded ok \([345] views\)\."),
        (0.0, True, r"Recorded ok \(1 view: turn your hand a little next time\)\."),
        (0.0, False, r"Recorded ok\."),
    ],
)
def test_the_answer_says_how_many_views(
    recognizer: Recognizer, degrees: float, live: bool, text: str
) -> None:
    recognizer.finish()
    session = Session(recognizer)
    if live:
        session.source = Live()  # type: ignore[assignment]
    picture, record, name = turning("Victory", degrees), Record(countdown_s=0.0), Name("ok", True)
    session.post(record)
    states: list[State] = []
    recognizer.step(Frame(np.zeros((480, 640, 3), np.uint8), 0, 0.0))
    for i in range(round((CLIP_S + 0.3) * FPS)):
        session.step(Frame(picture(i / FPS), i + 1, 1 + i / FPS))
        states.append(session.state)
    assert session.state.naming is not None
    assert any(s.progress is not None and s.progress.kept == 0 for s in states)
    assert session.state.progress is None
    views = len(session.state.naming.shots)
    session.post(name)
    session.step(Frame(picture(0.0), 99, 9.0))
    answer = session.state.answer(name.id)
    assert answer is not None and answer.done and answer.views == views
    assert re.fullmatch(text, answer.text), answer.text
