"""The live loop, without a front-end: frames in; results, events and a plain state out."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from engines.errors import UserError, at_end
from realtime.live.burst import Shot
from realtime.live.command import (
    Command,
    Delete,
    Discard,
    Loosen,
    Name,
    Pause,
    Quit,
    Record,
    Reject,
    Undo,
)
from realtime.live.enrol import enrol
from realtime.live.output import Output
from realtime.live.recording import Recording
from realtime.live.state import Answer, State
from realtime.pace import Pace
from realtime.recognition.recognizer import Recognizer
from realtime.sources.source import Source
from realtime.types import Frame, FrameResult

MESSAGE_S = 4.0  # how long news are shown
OUTAGE_S, OUTAGE_FRAMES = 1.0, 2.5  # without a frame before it is worth a word
WAIT_S = 0.1  # for a frame or a command, before the state is shown again
ANSWERS = 32  # commands whose answers are kept
REJECT_S = 10.0  # how long after its start a gesture can be called wrong
SMOOTHING = 0.9  # of the shown rate and latency, per frame


class Session:
    """A recognizer, a source, and what is being recorded.

    One thread steps or runs it; `post` and `state` may be used from any.
    """

    def __init__(self, recognizer: Recognizer, source: Source | None = None) -> None:
        self.recognizer = recognizer
        self.source = source
        self._recording = Recording(recognizer)
        self._posted: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._answers: tuple[Answer, ...] = ()
        self._message, self._message_until_s = "", 0.0
        self._paused = self._quit = self._over = False
        self._result: FrameResult | None = None
        self._start: tuple[Shot, str] | None = None  # the last one: its hand and its gesture
        self._fps, self._latency_ms, self._last_s = 0.0, 0.0, time.perf_counter()
        self._pace = Pace()
        self._listed: object = None  # the index that _references was made of
        self._references: tuple[tuple[str, str], ...] = ()
        self.state = self._snapshot()

    def post(self, command: Command) -> str:
        """Ask for something, from any thread. Returns the command's id, which the state answers."""
        self._posted.put(command)
        self._wake.set()
        return command.id

    def step(self, frame: Frame) -> FrameResult:
        """Carry out what was posted, then recognise in the next frame.

        `run` calls it; without a source, whoever has the frames does.
        """
        self._obey()
        self._result = result = self.recognizer.step(frame)
        self._measure(result)
        self._remember_start(result)
        self._note(self._recording.advance(result))
        self.state = self._snapshot()
        return result

    def run(self, outputs: Sequence[Output], max_frames: int | None = None) -> None:
        """Take the source's frames until it is over, `Quit`, or max_frames.

        Every output gets every result, and the end of each start that it got. Raises UserError
        where the source or an output fails.
        """
        assert self.source is not None
        left = math.inf if max_frames is None else max_frames
        try:
            while left > 0 and not self._quit and not self._is_over(self.source):
                frame = self._next_frame(self.source)
                if frame is not None:
                    left -= 1
                    result: FrameResult | None = self.step(frame)
                else:
                    result = None
                    self._stand_still(self.source)
                for output in outputs:
                    output.show(result, self.state)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self._end(outputs)
            raise
        self._end(outputs)

    def finish(self) -> FrameResult | None:
        """End: answer what is still posted, and let go of what is recorded or held.

        Returns:
            The ends of what was held, with the last frame and without its hands; None where
            nothing was.
        """
        self._over = True
        self._obey()
        self._note(self._recording.drop())
        self.state = self._snapshot()
        ends = self.recognizer.finish()
        if self._result is None or not ends:
            return None
        return FrameResult(self._result.frame, (), (), (), ends, {})

    # The loop.

    def _is_over(self, source: Source) -> bool:
        """Whether no frame will come, and nobody is asked for a name."""
        return source.over and not self._recording.busy and self._posted.empty()

    def _next_frame(self, source: Source) -> Frame | None:
        if self._paused or source.over:
            self._wake.wait(WAIT_S)
            self._wake.clear()
            return None
        return source.poll(WAIT_S)

    def _stand_still(self, source: Source) -> None:
        """No frame came: carry out what was posted, and say why nothing moves."""
        self._obey()
        if source.over:
            self._note(self._recording.finish())
        silence_s = time.perf_counter() - self._last_s
        outage = silence_s > self._pace.at_least(OUTAGE_S, OUTAGE_FRAMES)
        if source.live and outage and not self._paused:
            self._say("Waiting for the camera …", 3 * WAIT_S)  # gone once frames come again
        self.state = self._snapshot()

    def _end(self, outputs: Sequence[Output]) -> None:
        """Finish, and tell every output, whatever another one raises."""
        failures: list[Exception] = []
        last = None
        try:
            last = self.finish()
        except Exception as error:
            failures.append(error)
            self.state = self._snapshot()  # says that it is over
        for output in outputs:
            try:
                output.show(last, self.state)
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _measure(self, result: FrameResult) -> None:
        now_s = time.perf_counter()
        self._pace.update(result.frame.time_s)
        rate, latency = 1 / max(now_s - self._last_s, 1e-6), sum(result.timings_ms.values())
        self._last_s = now_s
        keep = SMOOTHING if self._fps else 0.0
        self._fps = keep * self._fps + (1 - keep) * rate
        self._latency_ms = keep * self._latency_ms + (1 - keep) * latency

    def _remember_start(self, result: FrameResult) -> None:
        for event in result.events:
            held = zip(result.hands, result.gestures, strict=True)
            hands = [h for h, label in held if (h.side, label) == (event.side, event.label)]
            if event.kind == "start" and hands:
                self._start = Shot(result.frame, hands[0]), event.label

    def _snapshot(self) -> State:
        if time.monotonic() > self._message_until_s:
            self._message = ""
        index = self.recognizer.index
        if self._listed is not index:  # sorted by label, then by age: the newest stays
            self._listed = index
            rows = zip(index.labels, index.ids, index.negative, strict=True)
            self._references = tuple({label: id for label, id, no in rows if not no}.items())
        return State(
            gallery=str(self.recognizer.gallery.folder),
            references=self._references,
            far=self.recognizer.calibration.far,
            fps=self._fps,
            latency_ms=self._latency_ms,
            message=self._message,
            answers=self._answers,
            countdown=self._recording.countdown,
            progress=self._recording.progress,
            naming=self._recording.naming,
            paused=self._paused,
            over=self._over,
        )

    # Commands.

    def _obey(self) -> None:
        while not self._posted.empty():
            command = self._posted.get()
            try:
                if type(command) not in COMMANDS:
                    raise UserError(f"There is no command {type(command).__name__}.")
                self._note(COMMANDS[type(command)](self, command))
            except UserError as error:
                self._note(Answer(command.id, False, str(error)))

    def _note(self, answer: Answer | None) -> None:
        """Keep an answer, and show its text for a while. None: there is none yet."""
        if answer is not None:
            self._answers = (*self._answers, answer)[-ANSWERS:]
            if answer.text:
                self._say(answer.text)

    def _say(self, message: str, seconds: float = MESSAGE_S) -> None:
        self._message, self._message_until_s = message, time.monotonic() + seconds

    def _record(self, command: Record) -> None:
        self._recording.start(command, self._result)
        self._paused = False  # the burst needs frames

    def _name(self, command: Name) -> Answer:
        return self._recording.name(command, self.source is not None and self.source.live)

    def _discard(self, command: Discard) -> Answer:
        if not self._recording.busy:
            raise UserError("Nothing is being recorded that could be dropped.")
        self._note(self._recording.drop())
        return Answer(command.id, True, "Not recorded.")

    def _reject(self, command: Reject) -> Answer:
        now_s = self._result.frame.time_s if self._result is not None else 0.0
        if self._start is None or now_s - self._start[0].frame.time_s > REJECT_S:
            raise UserError(f"No gesture has started in the last {REJECT_S:.0f} seconds.")
        self._recording.refuse_if_busy()
        (shot, label), self._start = self._start, None
        enrol(self.recognizer, [shot], label, negative=True)
        return Answer(command.id, True, f"Learnt that this isn't {label}.")

    def _delete(self, command: Delete) -> Answer:
        recognizer = self.recognizer
        labels = dict(zip(recognizer.index.ids, recognizer.index.labels, strict=True))
        with at_end(lambda: recognizer.refresh(newest=1)):
            if command.label is not None:
                recognizer.gallery.delete(command.label)
                return Answer(command.id, True, f"Deleted {command.label}.")
            if command.reference is None and not labels:
                raise UserError("There is no gesture to delete.")
            id = command.reference or max(labels)  # ids sort by age
            recognizer.gallery.delete_reference(id)
            return Answer(command.id, True, f"Deleted a reference of {labels.get(id, id)}.")

    def _undo(self, command: Undo) -> Answer:
        label = self.recognizer.gallery.undo()
        self.recognizer.refresh(newest=1)
        return Answer(command.id, True, f"Brought back {label}.")

    def _pause(self, command: Pause) -> Answer:
        if self.source is None:
            raise UserError("Frames are pushed into this session: there is nothing to pause.")
        self._recording.refuse_if_busy()
        self._paused = not self._paused if command.paused is None else command.paused
        return Answer(command.id, True, "")

    def _loosen(self, command: Loosen) -> Answer:
        calibration = self.recognizer.calibration.step(command.steps)
        if calibration.far is None:
            raise UserError("This encoder has no calibration to move along.")
        self.recognizer.set_operating_point(calibration)
        return Answer(command.id, True, "")

    def _stop(self, command: Quit) -> Answer:
        self._quit = True
        return Answer(command.id, True, "")


COMMANDS: dict[type[Command], Callable[[Session, Any], Answer | None]] = {
    Record: Session._record,
    Name: Session._name,
    Discard: Session._discard,
    Reject: Session._reject,
    Delete: Session._delete,
    Undo: Session._undo,
    Pause: Session._pause,
    Loosen: Session._loosen,
    Quit: Session._stop,
}
