"""From the countdown to the name: one showing at a time."""

from __future__ import annotations

import math

from engines.errors import UserError
from engines.say import how_many
from realtime.live.burst import Burst, Progress, Showing
from realtime.live.command import Name, Record
from realtime.live.enrol import enrol
from realtime.live.state import Answer
from realtime.recognition.recognizer import Recognizer
from realtime.types import FrameResult


class Recording:
    """What is being recorded. Meanwhile the hand in question starts no gesture.

    Attributes:
        countdown: seconds left before the burst, 0 during it; None where nothing is recorded.
        naming: what was shown and waits for a name.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.countdown: int | None = None
        self.naming: Showing | None = None
        self._recognizer = recognizer
        self._burst: Burst | None = None
        self._command: Record | None = None  # the one that the burst answers

    @property
    def busy(self) -> bool:
        """From the countdown to the name."""
        return self._burst is not None or self.naming is not None

    @property
    def progress(self) -> Progress | None:
        """Of the burst, where it keeps several views and sees a hand."""
        return None if self._burst is None else self._burst.progress

    def refuse_if_busy(self) -> None:
        """Raise UserError while something is recorded."""
        if self.busy:
            raise UserError("A gesture is being recorded: name it or drop it first.")

    def start(self, command: Record, seen: FrameResult | None) -> None:
        """Begin the countdown.

        Args:
            seen: the last frame's result.
        Raises:
            UserError: something is being recorded already, or the countdown is no time.
        """
        self.refuse_if_busy()
        if not 0.0 <= command.countdown_s < math.inf:
            raise UserError(f"A countdown takes 0 seconds or more; got {command.countdown_s}.")
        self._recognizer.warm_up_enrolment()
        self._recognizer.look_closely(True)
        self._burst = Burst(command.countdown_s, self._recognizer.settings.keep)
        self._command = command
        self.countdown = math.ceil(command.countdown_s)
        self._mute(seen)

    def advance(self, result: FrameResult) -> Answer | None:
        """Take in a frame. Returns the answer to `Record` once its burst is over."""
        if self._burst is None:
            return None
        self._mute(result)
        self._burst.update(result.frame, result.hands)
        self.countdown = math.ceil(self._burst.seconds_left(result.frame.time_s))
        return self._take_showing() if self._burst.showing or self._burst.given_up else None

    def finish(self) -> Answer | None:
        """The source is over: choose from the frames there were."""
        if self._burst is None:
            return None
        self._burst.finish()
        return self._take_showing()

    def name(self, command: Name, live: bool) -> Answer:
        """Store what was shown.

        Args:
            command: how it is called.
            live: it was shown to a camera, by somebody who can do better the next time.
        Raises:
            UserError: nothing waits for a name, or it can't be stored under this one.
        """
        if self.naming is None:
            raise UserError("There is no recording to name: record a gesture first.")
        shots, label = self.naming.shots, command.label.strip()
        warnings = tuple(enrol(self._recognizer, shots, label, command.replace, command.negative))
        self.naming = None
        self._recognizer.unmute()
        if command.negative:
            text = f"Recorded what isn't {label}."
            return Answer(command.id, True, text, warnings, len(shots))
        count = self._recognizer.gallery.labels().get(label, 1)
        notes = [how_many(count, "reference")] if count > 1 else []
        notes += describe_views(count, len(shots), live and self._recognizer.settings.keep > 1)
        text = f"Recorded {label}" + (f" ({', '.join(notes)})" if notes else "")
        text += f", but {warnings[0]}" if warnings else "."
        return Answer(command.id, True, text, warnings, len(shots))

    def drop(self) -> Answer | None:
        """Forget what is recorded. Returns the answer to a `Record` that is cut short."""
        self._recognizer.look_closely(False)
        cut_short = None if self._command is None else Answer(self._command.id, False, "")
        self._burst = self._command = self.countdown = self.naming = None
        self._recognizer.unmute()
        return cut_short

    def _take_showing(self) -> Answer:
        burst, command = self._burst, self._command
        assert burst is not None and command is not None
        self._recognizer.look_closely(False)
        self._burst = self._command = self.countdown = None
        self.naming = burst.showing
        if burst.showing is None:
            self._recognizer.unmute()
            text = "No hand was seen: nothing was recorded. Record again."
            return Answer(command.id, False, text)
        return Answer(command.id, True, "")

    def _mute(self, result: FrameResult | None) -> None:
        """The largest hand is the one that is recorded."""
        if result is not None and result.hands:
            self._recognizer.mute(result.hands[0])


def describe_views(references: int, views: int, could_be_more: bool) -> list[str]:
    """How many views a recording has, for the person; empty for one where no more were asked for.

    Args:
        references: of the gesture, with this one.
        views: of the recording.
        could_be_more: whether several were asked for, of a person before a camera.
    """
    if views == 1 and not could_be_more:
        return []
    note = f"{'this one with ' if references > 1 else ''}{how_many(views, 'view')}"
    return [note if views > 1 else f"{note}: turn your hand a little next time"]
