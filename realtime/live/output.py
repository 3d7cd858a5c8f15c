"""Where results go: one protocol for every front-end and sink, and a thread for slow ones."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from engines.errors import at_end
from realtime.live.state import State
from realtime.types import FrameResult

GIVE_UP_S = 10.0  # on a thread that should end

Moment = tuple[FrameResult | None, State]


class Output(Protocol):
    """A front-end or a sink. What it wants of the session it posts as a command."""

    def show(self, result: FrameResult | None, state: State) -> None:
        """Take in a frame's result, or a state that changed without a frame (None).

        Called by the session's thread; returns at once. A UserError ends the session.
        """

    def close(self) -> None:
        """The session is over; release what is held. Raises UserError."""


class Mailbox:
    """Room for the newest moment. What isn't taken in time is replaced."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._moment: Moment | None = None
        self._closed = False

    def put(self, result: FrameResult | None, state: State, wait: bool = False) -> None:
        """Put the newest moment in.

        Args:
            wait: first wait until the moment before has been taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: not wait or self._moment is None or self._closed)
            if result is None and self._moment is not None:
                result = self._moment[0]  # a state without a frame doesn't push one out
            self._moment = (result, state)
            self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> Moment | None:
        """Take the newest moment; None where none came in time, or after close()."""
        with self._changed:
            self._changed.wait_for(lambda: self._moment is not None or self._closed, timeout_s)
            moment, self._moment = self._moment, None
            self._changed.notify_all()
            return moment

    def close(self) -> None:
        """What is in it can still be taken; nobody waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def wait_for_end(done: threading.Event) -> None:
    """Wait for a thread to end, through any Ctrl-C: what it uses may not be closed under it.

    A thread that is stuck in the system, such as in a write that nobody reads, can't be ended.
    After GIVE_UP_S the process exits with 130.
    """
    deadline_s = time.monotonic() + GIVE_UP_S
    while not done.is_set():
        with suppress(KeyboardInterrupt):
            if not done.wait(max(deadline_s - time.monotonic(), 0.0)):
                with suppress(OSError):
                    os.write(2, b"Stopped: an output takes nothing any more.\n")
                os._exit(130)


class Threaded:
    """A slow output, in a thread of its own.

    Args:
        output: what is shown to.
        lossless: the session waits for the output rather than leave a frame out. That suits a
            source that can wait, such as a file; of a camera the newest frame wins.
    """

    def __init__(self, output: Output, lossless: bool) -> None:
        self._output = output
        self._lossless = lossless
        self._mailbox = Mailbox()
        self._failure: BaseException | None = None
        self._told = False  # whether a `show` has raised it
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(output).__name__, daemon=True)
        self._thread.start()

    def show(self, result: FrameResult | None, state: State) -> None:
        if self._failure is None:
            self._mailbox.put(result, state, wait=self._lossless and result is not None)
        if self._failure is not None:
            self._told = True
            raise self._failure

    def close(self) -> None:
        """Show what is left, and close the output. Raises what the last `show` failed with."""
        self._mailbox.close()
        wait_for_end(self._done)
        with at_end(self._output.close):
            if self._failure is not None and not self._told:
                raise self._failure

    def _run(self) -> None:
        try:
            while (moment := self._mailbox.take()) is not None:
                self._output.show(*moment)
        except BaseException as error:  # raised by the next show
            self._failure = error
            self._mailbox.close()
        finally:
            self._done.set()


def run_beside(
    run: Callable[[], None], stop: Callable[[], object], here: Callable[[], None]
) -> None:
    """Call `run` in a thread of its own while `here` runs on this one; wait for both.

    Args:
        run: the session's loop. What it raises is raised here.
        stop: asks `run` to end; called where `here` ends early, by Ctrl-C too.
        here: what needs this thread, such as a window's events.
    """
    failure: list[BaseException] = []
    done = threading.Event()  # Ctrl-C during Thread.join makes a running thread look stopped

    def run_and_keep_failure() -> None:
        try:
            run()
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run_and_keep_failure, name="session", daemon=True)
    try:
        thread.start()
        here()
        while not done.wait(0.25):  # Windows notices Ctrl-C only between two waits
            pass
    finally:
        stop()
        if thread.ident is not None:  # else Ctrl-C came before it was started
            wait_for_end(done)
    if failure:
        raise failure[0]
