"""What an engine has to stand in the self-test: each fault is found, and told."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from engines.errors import UserError
from engines.finding import Finding, run_check
from engines.hand_networks import HandOutputs
from engines.selftest import trials
from engines.selftest.limits import Limits, check_outputs
from engines.selftest.trials import (
    FRAME_MS,
    WARM_UP,
    Effort,
    check_speed,
    check_threads,
    run_trials,
)
from engines.spec import EncoderInputs, EncoderSpec
from tests.cli import PATIENCE_S

SPEC = EncoderSpec("stub-1", ("landmarks",), 63)
EFFORT = Effort(hands=12, encodes=48, repeats=20, patience_s=PATIENCE_S)


def drawn(count: int = 12) -> EncoderInputs:
    points = np.random.default_rng(0).normal(size=(2, count, 21, 3)).astype(np.float32)
    crops, turns = np.zeros((count, 4, 4, 3), np.uint8), np.ones((count, 2), np.float32)
    return EncoderInputs(crops, points[0], points[1], turns)


def unit(landmarks: np.ndarray) -> np.ndarray:
    flat = landmarks.reshape(len(landmarks), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


class Stub:
    """An encoder that is right; `spoil` makes something else of what it gives."""

    spec, fingerprint, engine, engine_name = SPEC, "ab" * 32, "stub", "stub"

    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray] = lambda rows: rows) -> None:
        self.spoil, self.closed, self.counts = spoil, False, set[int]()

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        self.counts.add(len(hands.landmarks))
        return self.spoil(unit(hands.landmarks))

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


EXPECTED = unit(drawn().landmarks)


def tried(encoder: Stub, **options) -> dict[str, Finding]:
    found = list(
        run_trials(
            "it",
            encoder,
            drawn(),
            EFFORT,
            against=({"embedding": EXPECTED}, Limits(0.999)),
            **options,
        )
    )
    assert encoder.closed
    return {finding.what: finding for finding in found}


def test_an_engine_that_is_right_passes() -> None:
    encoder = Stub()
    found = tried(encoder)
    assert list(found) == ["it: right", "it: two threads", "it: speed"]
    assert all(finding.ok for finding in found.values())
    assert found["it: right"].figures["below"] == 0
    assert found["it: two threads"].figures["encodes"] == 48
    assert list(found["it: speed"].figures["latency_ms"]) == ["1", "2", "8"]
    assert encoder.counts == {1, 2, 4, 8}  # 12 hands, 8 at a time


def test_no_more_hands_than_the_engine_takes() -> None:
    encoder = Stub()
    found = tried(encoder, most=2)
    assert list(found["it: speed"].figures["latency_ms"]) == ["1", "2"]
    assert encoder.counts == {1, 2}


def turned(rows: np.ndarray) -> np.ndarray:
    """One hand's embedding is turned by 4°, enough to be no rounding."""
    rows = rows.copy()
    at = np.all(np.isclose(rows, EXPECTED[5]), axis=1)
    rows[at] = rows[at] * np.cos(0.07) + np.roll(rows[at], 1, axis=1) * np.sin(0.07)
    return rows


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (turned, "1 hands are below"),
        (lambda rows: rows * np.nan, "12 hands are below"),
        (lambda rows: rows * 0, "12 hands are below"),
        (lambda rows: rows[::-1], "hands are below"),
        (lambda rows: rows[:, :5], "gives (12, 5), not (12, 63)"),
    ],
)
def test_a_wrong_embedding_is_found(spoil, text: str) -> None:
    found = tried(Stub(spoil))["it: right"]
    assert found.ok is False and text in found.found and found.advice
    assert found.figures.get("cosine_min", 0) < 0.999


def test_the_limit_is_the_least_that_passes() -> None:
    def instead(given: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return given

    expected = {"embedding": np.array([[1.0, 0.0]], np.float32)}
    hands = drawn(1)
    for angle, ok in ((0.0447, True), (0.0448, False)):  # cos 0.04472 = 0.999
        given = np.array([[np.cos(angle), np.sin(angle)]])
        stub = Stub(functools.partial(instead, given))
        assert check_outputs("it", stub, hands, expected, Limits(0.999), 1).ok is ok


class Shared(Stub):
    """Works in one buffer for all threads, each of which waits until both have written there."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2)
        self.buffer = np.zeros((1, 21, 3), np.float32)

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        self.buffer = hands.landmarks.copy()
        if threading.current_thread() is not threading.main_thread():
            self.both.wait(PATIENCE_S)
        return unit(self.buffer)


def test_threads_that_mix_up_hands_are_found() -> None:
    found = tried(Shared())["it: two threads"]
    assert found.ok is False and "of 48 encodes from two threads differ" in found.found
    assert found.figures["differing"] >= 24  # one of the two, every time


class Failing(Stub):
    def encode(self, hands: EncoderInputs) -> np.ndarray:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("invalid device context")
        return super().encode(hands)


def test_an_exception_in_a_thread_is_told_and_the_rest_goes_on() -> None:
    found = tried(Failing())
    threads = found["it: two threads"]
    assert threads.ok is False and "RuntimeError: invalid device context" in threads.found
    assert found["it: right"].ok and found["it: speed"].ok


def test_an_exception_anywhere_is_told() -> None:
    def fail(rows: np.ndarray) -> np.ndarray:
        raise UserError("The GPU has gone. Run with: --engine onnx")

    found = tried(Stub(fail))
    assert [finding.ok for finding in found.values()] == [False] * 3
    assert all("The GPU has gone" in f.found + f.advice for f in found.values())


def test_threads_that_never_end_are_told_and_nothing_more_is_asked() -> None:
    release = threading.Event()

    class Stuck(Stub):
        lock = threading.Lock()

        def encode(self, hands: EncoderInputs) -> np.ndarray:
            if threading.current_thread() is threading.main_thread():
                return super().encode(hands)
            with self.lock:
                release.wait(PATIENCE_S)
            return super().encode(hands)

        def close(self) -> None:
            assert self.lock.acquire(timeout=1), "nobody may wait for it"

    try:
        effort = Effort(hands=12, encodes=4, repeats=1, patience_s=0.1)
        found = list(run_trials("it", Stuck(), drawn(), effort))
    finally:
        release.set()
    assert [finding.what for finding in found] == ["it: two threads"]
    assert found[0].ok is False and "weren't done after 0 s" in found[0].found


def test_a_fault_in_closing_is_told_and_ends_nothing() -> None:
    class Failing(Stub):
        def close(self) -> None:
            super().close()
            raise UserError("The GPU has gone. Run with: --engine onnx")

    found = tried(Failing())
    assert list(found) == ["it: right", "it: two threads", "it: speed", "it: closed"]
    assert found["it: speed"].ok and found["it: closed"].ok is False
    assert "The GPU has gone" in found["it: closed"].advice


def test_each_thread_has_another_hand() -> None:
    """Else a mix-up could not be seen."""
    seen: dict[int, list[int]] = {}

    class Noting(Stub):
        def encode(self, hands: EncoderInputs) -> np.ndarray:
            if threading.current_thread() is not threading.main_thread():
                which = int(np.argmax(np.all(np.isclose(unit(hands.landmarks), EXPECTED), axis=1)))
                seen.setdefault(threading.get_ident(), []).append(which)
            return super().encode(hands)

    assert check_threads("it", Noting(), drawn(), EFFORT).ok
    a, b = seen.values()
    assert sorted([a[0], b[0]]) == [0, 6]
    assert len(a) == len(b) == 24 and all(x != y for x, y in zip(a, b, strict=True))


class Clock(Stub):
    """Encoding takes the times it is given, in milliseconds, and a GPU half of each."""

    def __init__(self, times: list[float], gpu: bool) -> None:
        super().__init__()
        self.now_s, self.times, self.gpu = 0.0, iter(times), gpu
        self.gpu_ms: float | None = None

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        taken = next(self.times)
        self.now_s += taken / 1000
        self.gpu_ms = taken / 2 if self.gpu else None
        return np.zeros((len(hands.crops), 63))

    def perf_counter(self) -> float:
        return self.now_s


def slow_percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@pytest.mark.parametrize("gpu", [True, False])
def test_percentiles_and_the_host_apart_from_the_gpu(gpu: bool, monkeypatch) -> None:
    rng = np.random.default_rng(3)
    times = {batch: rng.uniform(1, 9, 40).tolist() for batch in (1, 2)}
    encoder = Clock([99.0] * WARM_UP + times[1] + [99.0] * WARM_UP + times[2], gpu)
    monkeypatch.setattr(trials, "time", SimpleNamespace(perf_counter=encoder.perf_counter))
    found = check_speed("it", encoder, drawn(), 40, (1, 2)).figures["latency_ms"]
    for batch in (1, 2):
        for percent in (50, 95, 99):
            slow = slow_percentile(times[batch], percent)
            figures = found[str(batch)]
            assert figures[f"p{percent}"] == pytest.approx(slow, abs=1e-3)
            for part in ("gpu", "host"):
                assert (f"{part}_p{percent}" in figures) == gpu
                if gpu:
                    assert figures[f"{part}_p{percent}"] == pytest.approx(slow / 2, abs=1e-3)


SLOW = "too slow for a camera of 30 frames a second"
BUSY = f"{SLOW}, as this machine is slow or busy"


@pytest.mark.parametrize(
    ("taken", "cpu_ms", "load", "ok", "advice"),
    [
        (FRAME_MS + 0.1, None, 1, None, BUSY),
        (FRAME_MS - 0.1, None, 1, True, ""),
        (FRAME_MS + 0.1, 10.0, 1, False, f"{SLOW}: use another engine"),
        (5.0, 4.0, 1, None, "ONNX Runtime's CPU takes 4.00 ms: --engine onnx is quicker here"),
        (5.0, 6.0, 1, True, ""),
        (50.0, 45.0, 1, None, "ONNX Runtime's CPU takes 45.00 ms"),
        (45.0, 50.0, 1, None, BUSY),
        # Other work on the machine makes every call take up to eight times as long.
        (9.0, 10.0, 8, None, BUSY),
        (10.0, 10.0, 8, None, BUSY),
        (2.0, 10.0, 8, True, ""),
        (60.0, 10.0, 8, False, f"{SLOW}: use another engine"),
    ],
)
def test_slowness_is_told_and_is_a_fault_where_the_cpu_isn_t_slow(
    taken: float, cpu_ms, load: int, ok, advice: str, monkeypatch
) -> None:
    rng = np.random.default_rng(0)

    def clock(idle_ms: float) -> Clock:
        loads = [1.0, *rng.uniform(1, load, 59)] if load > 1 else [1.0] * 60
        return Clock([idle_ms] * WARM_UP + [idle_ms * each for each in loads], False)

    clocks = [clock(taken), *([clock(cpu_ms)] if cpu_ms else [])]
    now = SimpleNamespace(perf_counter=lambda: sum(each.now_s for each in clocks))
    monkeypatch.setattr(trials, "time", now)
    found = check_speed("it", clocks[0], drawn(), 60, (1,), *clocks[1:])
    assert found.ok is ok and found.advice.startswith(advice) and bool(found.advice) == bool(advice)
    assert found.figures["latency_ms"]["1"]["p50"] >= round(taken, 4)


def test_two_threads_may_take_as_long_as_a_busy_machine_takes(monkeypatch) -> None:
    """Nobody waits here: the clock says that each encode took a minute, twice the patience."""

    class Minute(Stub):
        now_s = 0.0

        def encode(self, hands: EncoderInputs) -> np.ndarray:
            Minute.now_s += 60.0
            return super().encode(hands)

    asked: list[float] = []

    class Noting(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            asked.append(timeout or 0.0)
            super().join(PATIENCE_S)

    monkeypatch.setattr(trials, "time", SimpleNamespace(perf_counter=lambda: Minute.now_s))
    monkeypatch.setattr(
        trials, "threading", SimpleNamespace(**{**vars(threading), "Thread": Noting})
    )
    effort = Effort(hands=12, encodes=4, repeats=1, patience_s=30.0)
    assert check_threads("it", Minute(), drawn(), effort).ok
    assert len(asked) == 2 and min(asked) > 10 * 60.0


def test_a_step_that_fails_is_a_finding() -> None:
    def fail(error: Exception) -> Finding:
        raise error

    def missing() -> Finding:
        raise ModuleNotFoundError("no", name="onnx")

    found = run_check("it", missing)
    assert found.ok is False and found.found == "the package onnx isn't installed"
    assert found.advice == "pip install -r requirements-gpu.txt"
    assert run_check("it", missing, "requirements.txt").advice == "pip install -r requirements.txt"

    def unloadable() -> Finding:
        raise ImportError("libGL.so.1: cannot open shared object file")

    assert "libGL.so.1" in run_check("it", unloadable).advice
    for error, text in ((ValueError("a\nb"), "ValueError: a"), (ValueError(), "no reason given")):
        assert text in run_check("it", functools.partial(fail, error)).found
