"""Run the live loop over drawn films, and count what it starts.

Films are measured one by one and each is kept, so that hours can be stopped and taken up again. A
film has a person, a wall and a time of its own: nothing is carried over from one to the next.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from realtime.drawn.film import Film, Stretch
from realtime.drawn.pose import HandPose
from realtime.recognition.recognizer import Recognizer
from realtime.types import Frame, FrameResult, GestureEvent

GAP_S = 5.0  # between films: no track and no gesture lasts so long


@dataclass(frozen=True)
class FalseStart:
    """A gesture that started while none of the recorded ones was shown.

    Attributes:
        activity: What the person did.
        label: What started.
        time_s: When, seconds of the film.
        probability: As the event says.
    """

    activity: str
    label: str
    time_s: float
    probability: float


@dataclass(frozen=True)
class Showing:
    """A recorded gesture that was shown.

    Attributes:
        label: The gesture.
        started: What started while it was shown, in order.
        after_s: Seconds from the beginning of the movement that leads to it until it started; None
            where it didn't.
    """

    label: str
    started: tuple[str, ...]
    after_s: float | None

    @property
    def wrong(self) -> int:
        """Starts of other gestures."""
        return sum(label != self.label for label in self.started)


@dataclass(frozen=True)
class Counted:
    """What one film gave.

    Attributes:
        film: Its number.
        frames: Frames.
        frames_with_hand: Those in which a hand was found.
        seconds: Media time of each activity; the showings aren't among them.
        false_starts: Starts within the activities.
        showings: The recorded gestures that were shown.
        drawing_ms: Processor time of drawing, a frame.
        recognising_ms: Processor time of recognising, a frame.
    """

    film: int
    frames: int
    frames_with_hand: int
    seconds: Mapping[str, float]
    false_starts: tuple[FalseStart, ...]
    showings: tuple[Showing, ...]
    drawing_ms: float
    recognising_ms: float


def count(
    recognizer: Recognizer,
    seed: int,
    recorded: Mapping[str, HandPose],
    minutes: float,
    fps: float = 30.0,
    done: Iterable[Counted] = (),
) -> Iterator[Counted]:
    """Measure films until their activities fill so many minutes.

    Args:
        recognizer: For video, with the gestures in its gallery.
        seed: Seed of the films.
        recorded: The poses of its gestures, which the films show now and then.
        minutes: Media time in which none of them is shown.
        fps: Frames per second of media time.
        done: Films that were measured already, from number 0 on: they aren't measured again.

    Yields:
        Each further film.
    """
    known = list(done)
    seconds = sum(sum(each.seconds.values()) for each in known)
    number, start_s = len(known), 0.0
    while seconds < 60 * minutes:
        film = Film(seed, number, recorded)
        counted = _count(recognizer, film, number, start_s, fps)
        seconds += sum(counted.seconds.values())
        start_s += film.length_s + GAP_S
        number += 1
        yield counted


def _count(recognizer: Recognizer, film: Film, number: int, start_s: float, fps: float) -> Counted:
    frames, with_hand, starts = 0, 0, []
    seconds = {s.activity: 0.0 for s in film.stretches if s.label is None}
    drawing_s = recognising_s = 0.0
    while frames / fps < film.length_s:
        time_s = frames / fps
        began = time.process_time()
        picture = film.picture(time_s)
        drawn = time.process_time()
        result = recognizer.step(Frame(picture, frames, start_s + time_s))
        recognising_s += time.process_time() - drawn
        drawing_s += drawn - began
        starts += _starts(result, start_s)
        with_hand += bool(result.hands)
        stretch = film.stretch_at(time_s)
        if stretch.label is None:
            seconds[stretch.activity] += 1 / fps
        frames += 1
    recognizer.finish()
    false, showings = sort_starts(film.stretches, starts)
    ms = 1000 / frames
    return Counted(
        number, frames, with_hand, seconds, false, showings, ms * drawing_s, ms * recognising_s
    )


def _starts(result: FrameResult, start_s: float) -> list[tuple[float, GestureEvent]]:
    """The gestures that start in a frame, each with the time in the film."""
    return [(e.time_s - start_s, e) for e in result.events if e.kind == "start"]


def sort_starts(
    stretches: Collection[Stretch], starts: Iterable[tuple[float, GestureEvent]]
) -> tuple[tuple[FalseStart, ...], tuple[Showing, ...]]:
    """Tell which starts are false, and what the showings started.

    Args:
        stretches: A film's, in order, without gaps.
        starts: The time in the film and the event of each start.

    Returns:
        Starts within activities; and every stretch that shows a recorded gesture.
    """
    within: dict[Stretch, list[tuple[float, GestureEvent]]] = {each: [] for each in stretches}
    last = max(stretches, key=lambda each: each.to_s)
    for time_s, event in starts:
        stretch = next((each for each in stretches if time_s < each.to_s), last)
        within[stretch].append((time_s, event))
    false = [
        FalseStart(stretch.activity, event.label, time_s, event.probability)
        for stretch, found in within.items()
        if stretch.label is None
        for time_s, event in found
    ]
    showings = [
        Showing(
            stretch.label,
            tuple(event.label for _, event in found),
            min((t - stretch.from_s for t, e in found if e.label == stretch.label), default=None),
        )
        for stretch, found in within.items()
        if stretch.label is not None
    ]
    return tuple(false), tuple(showings)
