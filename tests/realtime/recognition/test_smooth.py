"""Gestures that start and end in seconds, whatever the frame rate."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from realtime.recognition.smooth import HOLD_S, LONGEST_GAP_S, LONGEST_STEP_S, START_S, Smoother
from realtime.types import GestureEvent, Match

RATES = [15, 30, 60]


def match(label: str | None, probability: float = 0.9) -> Match:
    return Match(label, label or "nearest", 0.9, probability, None, 1.0)


def play(
    fps: float, seconds: float, shown: list[tuple[str | None, float, float]]
) -> list[GestureEvent]:
    """One hand in view all the time; (label, from, to) says when it is matched."""
    smoother, events = Smoother(), []
    for frame in range(round(seconds * fps) + 1):
        now = frame / fps
        label = next((name for name, start, end in shown if start <= now < end), None)
        events += smoother.update([(0, "right", match(label))], frame, now)
    return events + smoother.finish()


def frames(smoother: Smoother, labels: list[str | None], dt: float, start_s: float = 0.0):
    """Feed one hand's labels, one a frame → events."""
    events = []
    for i, label in enumerate(labels):
        events += smoother.update([(0, "right", match(label))], i, start_s + i * dt)
    return events


def kinds(events: list[GestureEvent]) -> list[tuple[str, str]]:
    return [(event.kind, event.label) for event in events]


@pytest.mark.parametrize("onset", [1.0, 1.013, 1.04, 1.0667, 1.23])
def test_every_frame_rate_starts_and_ends_within_one_frame_time(onset: float) -> None:
    starts, ends = [], []
    for fps in RATES:
        events = play(fps, 4, [("A", onset, onset + 1.5)])
        assert kinds(events) == [("start", "A"), ("end", "A")]
        starts.append(events[0].time_s)
        ends.append(events[1].time_s)
        assert events[0].frame == round(events[0].time_s * fps)
    for times, expected in ((starts, onset + START_S), (ends, onset + 1.5 + HOLD_S)):
        assert max(times) - min(times) <= 1 / min(RATES) + 1e-9
        assert all(abs(t - expected) <= 1 / min(RATES) + 1e-9 for t in times)


@settings(deadline=None)
@given(st.floats(10, 120), st.integers(1, 30))
def test_a_gesture_starts_exactly_once_it_has_been_matched_long_enough(fps: float, n: int) -> None:
    needed = (START_S - 1e-3) * fps
    assume(abs(needed - round(needed)) > 1e-4)  # rounding decides there
    smoother = Smoother()
    events = frames(smoother, [None] * 5 + ["A"] * n, 1 / fps)
    if n / fps < START_S - 2e-3:
        assert events == [] and smoother.active(0) is None
    elif n / fps > START_S:
        assert kinds(events) == [("start", "A")] and events[0].frame == 4 + math.ceil(needed)
        assert smoother.active(0) == "A"


@pytest.mark.parametrize("fps", [5.0, 2.0, 1.9, 1.0, 0.5, 0.1])
def test_of_a_slow_source_frames_count(fps: float) -> None:
    """Three steps of matches start a gesture, four without any end it."""
    events = frames(Smoother(), [None] * 3 + ["A"] * 8 + [None] * 8, 1 / fps)
    assert kinds(events) == [("start", "A"), ("end", "A")]
    assert [event.frame for event in events] == [3 + 2, 3 + 8 + 3]


@pytest.mark.parametrize("fps", [30.0, 1.0, 0.2])
def test_an_outage_ends_what_was_held_at_any_rate(fps: float) -> None:
    smoother = Smoother()
    assert kinds(frames(smoother, ["A"] * 20, 1 / fps)) == [("start", "A")]
    back_s = 19 / fps + max(LONGEST_GAP_S, 10 / fps) + 0.1
    (end,) = smoother.update([(0, "right", match("A"))], 20, back_s)
    assert (end.kind, end.label, end.frame) == ("end", "A", 19)


@pytest.mark.parametrize("fps", RATES)
def test_flicker_never_adds_up(fps: int) -> None:
    on = math.ceil((START_S - 1e-3) * fps) - 1  # one frame too few
    other: str | None
    for other in ("B", None):
        assert frames(Smoother(), (["A"] * on + [other] * on) * 40, 1 / fps) == []
    assert frames(Smoother(), ["A", "B", "C", "D"] * 100, 1 / fps) == []


@pytest.mark.parametrize("fps", RATES)
def test_a_gesture_survives_every_dropout_shorter_than_the_hold(fps: int) -> None:
    held = ["A"] * fps
    for n in range(1, 2 * fps):
        for gone in (None, "other"):
            labels = [*held, *[gone] * n, *held]
            if gone == "other":  # a challenger that wavers: never one label for long enough
                labels = [*held, *(["B", "C"] * n)[:n], *held]
            events = frames(Smoother(), labels, 1 / fps)
            if n / fps < HOLD_S - 1e-6:
                assert kinds(events) == [("start", "A")], n
            elif n / fps > HOLD_S + 1 / fps:
                assert kinds(events) == [("start", "A"), ("end", "A"), ("start", "A")], n


@pytest.mark.parametrize("fps", RATES)
def test_a_gesture_that_has_just_started_holds_as_long(fps: int) -> None:
    enough = math.ceil((START_S - 1e-3) * fps)
    gap = math.ceil(HOLD_S * fps) - 1
    events = frames(Smoother(), [None, *["A"] * enough, *[None] * gap, *["A"] * fps], 1 / fps)
    assert kinds(events) == [("start", "A")]


@pytest.mark.parametrize("fps", RATES)
def test_a_switch_ends_the_old_before_it_starts_the_new(fps: int) -> None:
    events = play(fps, 3, [("A", 0.5, 1.5), ("B", 1.5, 2.5)])
    assert kinds(events) == [("start", "A"), ("end", "A"), ("start", "B"), ("end", "B")]
    assert events[1].time_s == events[2].time_s and events[1].frame == events[2].frame
    assert abs(events[2].time_s - (1.5 + START_S)) <= 1 / fps + 1e-9


@pytest.mark.parametrize("fps", RATES)
def test_coming_back_takes_as_long_as_coming(fps: int) -> None:
    events = play(fps, 3, [("A", 0.5, 1.5), ("B", 1.5, 1.8), ("A", 1.8, 3.1)])
    assert [e.label for e in events if e.kind == "start"] == ["A", "B", "A"]
    assert abs(events[4].time_s - (1.8 + START_S)) <= 1 / fps + 1e-9


@pytest.mark.parametrize("fps", RATES)
def test_two_hands_are_apart(fps: int) -> None:
    smoother, events = Smoother(), []
    for i in range(3 * fps):
        now = i / fps
        seen = [(7, "right", match("A" if now < 2 else None, 0.8))]
        if 0.5 <= now < 1.5:  # the left hand comes and goes, and shows the same gesture
            seen.insert(0, (9, "left", match("A", 0.6)))
        events += smoother.update(seen, i, now)
        if now == 1.0:
            assert smoother.active(7) == smoother.active(9) == "A"
    assert [(e.kind, e.side, e.probability) for e in events] == [
        ("start", "right", 0.8),
        ("start", "left", 0.6),
        ("end", "left", 0.6),
        ("end", "right", 0.8),
    ]
    assert events[2].time_s == pytest.approx(1.5 + HOLD_S, abs=1.5 / fps)
    assert smoother.active(7) is smoother.active(9) is smoother.active(1) is None
    assert smoother.finish() == []


def test_an_end_says_how_long_and_keeps_what_the_start_said() -> None:
    smoother, events = Smoother(), []
    for i in range(60):
        label = "A" if i < 30 else None
        side = "right" if i < 20 else "left"  # the vote on the side changed meanwhile
        events += smoother.update([(0, side, match(label, 0.5 + i / 100))], i, 5 + i / 30)
    start, end = events
    assert (start.kind, start.held_s) == ("start", 0.0)
    assert start.probability == 0.5 + start.frame / 100
    assert (end.side, end.probability) == (start.side, start.probability)
    assert end.held_s == end.time_s - start.time_s > 1


def test_the_end_of_the_source_ends_what_is_held() -> None:
    smoother, events = Smoother(), []
    for i in range(30):
        seen = [(0, "right", match("A")), (1, "left", match("B")), (2, "right", match(None))]
        events += smoother.update(seen, i, i / 30)
    ends = smoother.finish()
    assert kinds(events) == [("start", "A"), ("start", "B")]
    assert kinds(ends) == [("end", "A"), ("end", "B")]
    for start, end in zip(events, ends, strict=True):
        assert (end.frame, end.time_s) == (29, 29 / 30)
        assert end.held_s == end.time_s - start.time_s
    assert smoother.finish() == [] and smoother.active(0) is None
    assert Smoother().finish() == []


def test_a_stalled_camera_proves_nothing() -> None:
    smoother = Smoother()
    times = [0.0, 0.033, 5.0, 5.033]  # matched on both sides of five seconds without frames
    events = [
        e for i, t in enumerate(times) for e in smoother.update([(0, "right", match("A"))], i, t)
    ]
    assert events == [] and LONGEST_STEP_S < START_S
    frames(smoother, ["A"] * 10, 1 / 30, 6.0)
    assert smoother.active(0) == "A"
    assert smoother.update([], 99, 6.3 + LONGEST_GAP_S) == [] and smoother.active(0) == "A"
    (end,) = smoother.update([(0, "right", match("A"))], 100, 60.0)
    assert (end.kind, end.frame, end.time_s) == ("end", 99, 6.3 + LONGEST_GAP_S)
    assert smoother.active(0) is None


@pytest.mark.parametrize("fps", RATES)
def test_a_hand_that_moved_too_fast_to_follow_holds_one_gesture(fps: int) -> None:
    smoother, events = Smoother(), []
    for i in range(3 * fps):
        track = 0 if i < fps else 1
        events += smoother.update([(track, "right", match("A"))], i, i / fps)
    assert kinds(events) == [("start", "A"), ("end", "A"), ("start", "A")]
    assert events[1].time_s == events[2].time_s
    # Another hand in view is no lost one, nor is the other side's.
    smoother, events = Smoother(), []
    for i in range(2 * fps):
        seen = [(0, "right", match("A")), (1, "right", match("A" if i > fps else None))]
        events += smoother.update(
            [*seen, (2, "left", match("A"))][: 3 if i < fps else 2], i, i / fps
        )
    assert [(e.kind, e.side) for e in events if e.time_s < 1 + START_S + 0.1] == [
        ("start", "right"),
        ("start", "left"),
        ("start", "right"),
    ]


def test_hands_that_left_are_forgotten() -> None:
    smoother = Smoother()
    for i in range(300):
        smoother.update([(i // 3, "right", match("A"))], i, i / 30)
    assert len(smoother._hands) <= 1 + START_S * 30


LABELS = st.sampled_from([None, "A", "B", "A"])
SEEN = st.dictionaries(st.integers(0, 2), LABELS, max_size=3)
STEPS = st.one_of(st.just(1 / 30), st.floats(0, 1.5))
RUNS = st.lists(st.tuples(SEEN, STEPS, st.integers(1, 15)), max_size=20)


@settings(max_examples=300, deadline=None)
@given(RUNS)
def test_starts_and_ends_alternate_whatever_comes(runs) -> None:
    smoother, now, frame, before_gap = Smoother(), 0.0, 0, (0, 0.0)
    held: dict[str, GestureEvent | None] = defaultdict(lambda: None)

    def follow(events: list[GestureEvent]) -> None:
        for event in events:
            before = held[event.side]
            assert (event.frame, event.time_s) in ((frame, now), before_gap)
            if event.kind == "start":
                assert before is None and event.held_s == 0
                held[event.side] = event
            else:
                assert event.kind == "end" and before is not None
                assert (
                    before.label == event.label
                    and event.held_s == event.time_s - before.time_s >= 0
                )
                held[event.side] = None

    for seen, step, times in runs:
        for _ in range(times):
            before_gap = (frame, now) if step > LONGEST_GAP_S - 1e-6 else (0, -1.0)
            frame, now = frame + 1, now + step
            follow(
                smoother.update([(k, f"hand {k}", match(v)) for k, v in seen.items()], frame, now)
            )
            for k in range(3):
                one = held[f"hand {k}"]
                assert smoother.active(k) == (one.label if one else None)
    if frame:
        follow(smoother.finish())
    assert not any(held.values())


HANDS = st.tuples(st.integers(0, 3), st.sampled_from(["left", "right"]))
STEPS = st.one_of(
    st.lists(st.tuples(HANDS, st.sampled_from(["A", "B", None])), max_size=2),
    HANDS,  # mute it
    st.just("unmute"),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=60), st.sampled_from([1 / 30, 0.2]))
def test_a_muted_hand_is_silent_and_every_start_has_one_end(steps: list, dt: float) -> None:
    smoother, events, now = Smoother(), [], 0.0
    muted: set[tuple[int, str]] = set()
    for frame, step in enumerate(steps):
        if step == "unmute":
            smoother.unmute()
            muted.clear()
            continue
        if isinstance(step, tuple):
            smoother.mute(*step)
            muted.add(step)
            ends = smoother._early
            assert {event.kind for event in ends} <= {"end"}
            continue
        seen = {track: (track, side, match(label)) for (track, side), label in step}
        now += dt
        new = smoother.update(list(seen.values()), frame, now)
        sides = {side for _, side in muted}
        assert [e for e in new if e.kind == "start" and e.side in sides] == []
        for track, side in seen and {(t, s) for t, s, _ in seen.values()}:
            if track in {t for t, _ in muted} or side in sides:
                assert smoother.active(track) is None
        events += new
    events += smoother.finish()
    held: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        held[event.side, event.label] += 1 if event.kind == "start" else -1
        assert held[event.side, event.label] >= 0
    assert not any(held.values())


def test_muting_ends_at_once_and_unmuting_starts_from_nothing() -> None:
    smoother = Smoother()
    assert kinds(frames(smoother, ["A"] * 10, 1 / 15)) == [("start", "A")]
    smoother.mute(0, "right")
    assert smoother.active(0) is None
    assert kinds(frames(smoother, ["A"] * 10, 1 / 15, 1.0)) == [("end", "A")]
    # Gone and back as another track: still the hand that is muted. The other hand isn't.
    left = smoother.update([(7, "right", match("A")), (8, "left", match("B"))], 20, 2.0)
    left += [
        event
        for i in range(1, 10)
        for event in smoother.update(
            [(7, "right", match("A")), (8, "left", match("B"))], 20 + i, 2.0 + i / 15
        )
    ]
    assert kinds(left) == [("start", "B")]
    smoother.unmute()
    later = [smoother.update([(7, "right", match("A"))], 40 + i, 2.7 + i / 15) for i in range(8)]
    starts = [i for i, events in enumerate(later) if ("start", "A") in kinds(events)]
    assert len(starts) == 1 and starts[0] / 15 >= START_S - 1e-3 - 1 / 15


def test_a_clock_that_is_set_back_proves_nothing() -> None:
    smoother = Smoother()
    events = frames(smoother, ["A"] * 2, 1 / 15, 100.0) + frames(smoother, ["A"] * 2, 1 / 15)
    assert events == []
    assert kinds(frames(smoother, ["A"] * 6, 1 / 15, 0.2)) == [("start", "A")]
