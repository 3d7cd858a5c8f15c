"""Mailboxes and threads between the session and slow outputs."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from realtime.live.output import Mailbox, Threaded, run_beside, wait_for_end
from realtime.live.state import State
from realtime.types import Frame, FrameResult

STATE = State("gestures")
LONG_S = 60.0


def result(index: int) -> FrameResult:
    return FrameResult(Frame(np.zeros((2, 2, 3), np.uint8), index, index / 30), (), (), (), (), {})


class Slow:
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.seen: list[int] = []
        self.closed = False

    def show(self, result: FrameResult | None, state: State) -> None:
        self.began.set()
        assert self.go.wait(LONG_S)
        self.seen.append(-1 if result is None else result.frame.index)

    def close(self) -> None:
        self.closed = True


def test_the_newest_moment_wins() -> None:
    slow = Slow()
    threaded = Threaded(slow, lossless=False)
    threaded.show(result(0), STATE)
    assert slow.began.wait(LONG_S)
    for index in range(1, 50):
        threaded.show(result(index), STATE)  # returns at once
    slow.go.set()
    threaded.close()
    assert slow.seen == [0, 49] and slow.closed


def test_a_lossless_output_gets_every_frame() -> None:
    slow = Slow()
    slow.go.set()
    threaded = Threaded(slow, lossless=True)
    for index in range(50):
        threaded.show(result(index), STATE)
    threaded.close()
    assert slow.seen == list(range(50))


def test_a_state_alone_pushes_no_frame_out() -> None:
    mailbox = Mailbox()
    mailbox.put(result(3), STATE)
    later = State("gestures", message="later")
    mailbox.put(None, later)
    moment = mailbox.take(0)
    assert moment is not None and moment[0] is not None
    assert moment[0].frame.index == 3 and moment[1] is later
    assert mailbox.take(0) is None


def test_what_is_left_is_taken_after_closing() -> None:
    mailbox = Mailbox()
    mailbox.put(result(1), STATE)
    mailbox.close()
    assert mailbox.take() is not None and mailbox.take() is None


def test_a_failure_is_raised_by_the_next_show() -> None:
    class Failing(Slow):
        def show(self, result: FrameResult | None, state: State) -> None:
            self.began.set()
            raise UserError("the disk is full")

    failing = Failing()
    threaded = Threaded(failing, lossless=True)
    threaded.show(result(0), STATE)
    assert threaded._done.wait(LONG_S)
    with pytest.raises(UserError, match="disk is full"):
        threaded.show(result(1), STATE)
    threaded.close()
    assert failing.closed


def test_both_run_and_failures_come_out(tmp_path: Path) -> None:
    ended, threads = threading.Event(), []

    def loop() -> None:
        threads.append(threading.current_thread())
        assert ended.wait(LONG_S)

    def here() -> None:
        threads.append(threading.current_thread())
        ended.set()

    run_beside(loop, stop=ended.set, here=here)
    assert len(set(threads)) == 2 and threading.main_thread() in threads

    def failing() -> None:
        raise UserError("the camera failed")

    with pytest.raises(UserError, match="camera failed"):
        run_beside(failing, stop=lambda: None, here=lambda: None)


def test_ctrl_c_stops_the_loop_first() -> None:
    stopped, finished = threading.Event(), threading.Event()

    def loop() -> None:
        assert stopped.wait(LONG_S)
        finished.set()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_beside(loop, stop=stopped.set, here=interrupted)
    assert finished.is_set()


def test_a_failure_of_the_last_moment_is_raised_by_close() -> None:
    class FailsAtTheEnd(Slow):
        def show(self, result: FrameResult | None, state: State) -> None:
            if state.over:
                raise UserError("the disk is full")

    failing = FailsAtTheEnd()
    threaded = Threaded(failing, lossless=True)
    threaded.show(result(0), STATE)
    threaded.show(None, State("gestures", over=True))
    with pytest.raises(UserError, match="disk is full"):
        threaded.close()
    assert failing.closed


def test_closing_hides_no_failure() -> None:
    class FailsTwice(Slow):
        def show(self, result: FrameResult | None, state: State) -> None:
            raise UserError("the codec is missing")

        def close(self) -> None:
            raise UserError("the disk is full")

    threaded = Threaded(FailsTwice(), lossless=True)
    threaded.show(result(0), STATE)
    with pytest.raises(UserError, match="codec is missing"):
        threaded.close()


def test_ctrl_c_while_waiting_for_the_end() -> None:
    """It doesn't cut the wait short; only a thread that never ends does."""

    class Interrupted(threading.Event):
        times = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.times += 1
            if self.times < 4:
                raise KeyboardInterrupt
            self.set()
            return True

    done = Interrupted()
    wait_for_end(done)
    assert done.times == 4
