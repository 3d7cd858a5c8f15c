"""What a session shows of itself: plain values, no drawn pixels."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.live.burst import Progress, Showing


@dataclass(frozen=True)
class Answer:
    """What became of a command.

    Attributes:
        id: the command's.
        done: whether it was carried out.
        text: a sentence for the person; empty where there is nothing to say.
        warnings: of a recorded reference, such as a blurred picture or a near twin.
        views: of a recorded reference; 0 for other commands.
    """

    id: str
    done: bool
    text: str
    warnings: tuple[str, ...] = ()
    views: int = 0


@dataclass(frozen=True)
class State:
    """A session at one moment.

    Attributes:
        gallery: the gallery's folder.
        references: (label, id of its newest reference) of each gesture, sorted by label.
        far: false-accept rate of the operating point; None for an encoder without a calibration.
        fps: frames handled per second, smoothed.
        latency_ms: processing time of a frame, smoothed.
        message: news for the person; empty after a few seconds.
        answers: of the last commands, oldest first.
        countdown: seconds left before the burst, 0 during it; None where nothing is recorded.
        progress: of the burst, where it keeps several views and sees a hand; else None.
        naming: what was shown and waits for a name.
        paused: no frames are taken.
        over: the session has ended.
    """

    gallery: str
    references: tuple[tuple[str, str], ...] = ()
    far: float | None = None
    fps: float = 0.0
    latency_ms: float = 0.0
    message: str = ""
    answers: tuple[Answer, ...] = ()
    countdown: int | None = None
    progress: Progress | None = None
    naming: Showing | None = None
    paused: bool = False
    over: bool = False

    def answer(self, id: str) -> Answer | None:
        """The answer to a command; None while there is none, or when it is too old."""
        return next((answer for answer in self.answers if answer.id == id), None)
