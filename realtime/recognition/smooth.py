"""Turn each hand's matches into gestures that start and end. Pure.

Each hand collects evidence for each label, in seconds, so that 15 and 60 frames a second behave
alike: a second of matches adds a second, a second without takes one away. Of a slow source frames
count, since each adds LONGEST_STEP_S at most. A gesture starts at START_S of evidence and ends when
its evidence is used up. The evidence is capped, which is the hysteresis (after norfair's hit
counters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime.pace import Pace
from realtime.types import GestureEvent, Match

START_S = 0.25  # of matches before a gesture starts
HOLD_S = 0.4  # without any before it ends
LONGEST_GAP_S = 1.0  # without any frame; what was held before it is over
LONGEST_GAP_FRAMES = 2.5  # and frames, where these take longer: not each step of a slow source
LONGEST_STEP_S = 0.12  # a longer gap between frames proves no more than this


@dataclass
class _HandState:
    side: str
    evidence: dict[str, float] = field(default_factory=dict)
    active: str | None = None
    since_s: float = 0.0
    probability: float = 0.0


class Smoother:
    """Takes every frame's matches in order; tells hands apart by their track.

    Args:
        start_s: seconds of matches before a gesture starts.
        hold_s: seconds without a match before it ends.
    """

    def __init__(self, start_s: float = START_S, hold_s: float = HOLD_S) -> None:
        self._start_s = start_s
        self._hold_s = hold_s
        self._hands: dict[int, _HandState] = {}
        self._pace = Pace()
        self._last_s: float | None = None
        self._last_frame = 0
        self._muted_tracks: set[int] = set()
        self._muted_sides: set[str] = set()
        self._early: list[GestureEvent] = []  # ends that go out with the next frame

    def update(
        self, seen: Sequence[tuple[int, str, Match]], frame: int, time_s: float
    ) -> list[GestureEvent]:
        """Take in a frame.

        Args:
            seen: (track, side, match) of each hand.
            frame: its index.
            time_s: its time.
        Returns:
            What started and ended.
        """
        events, self._early = self._early, []
        seen = [hand for hand in seen if not self._is_muted(hand[0], hand[1])]
        self._pace.update(time_s)
        gap_s = self._pace.at_least(LONGEST_GAP_S, LONGEST_GAP_FRAMES)
        if self._last_s is not None and time_s - self._last_s > gap_s:
            events += self._end_all()
        step = 0.0 if self._last_s is None else time_s - self._last_s
        step = min(max(step, 0.0), LONGEST_STEP_S)  # clocks may be set back
        self._last_s, self._last_frame = time_s, frame
        matches = {track: match for track, _, match in seen}
        for track, side, _ in seen:
            state = self._hands.setdefault(track, _HandState(side))
            if state.active is None:
                state.side = side
        for track, state in list(self._hands.items()):
            changes = self._advance(state, matches.get(track), step, frame, time_s)
            if any(change.kind == "start" for change in changes):
                # A hand that moved too fast to follow comes back as a new track.
                lost = [s for t, s in self._hands.items() if t not in matches]
                for other in lost:
                    if other.side == state.side and other.active is not None:
                        events.append(self._end(other, frame, time_s))
            events += changes
            if track not in matches and state.active is None and not state.evidence:
                del self._hands[track]
        return events

    def mute(self, track: int, side: str) -> None:
        """Ignore a hand until `unmute`. What it holds ends with the next frame.

        A hand that goes and comes back is a new track, so its side is ignored too.
        """
        self._muted_tracks.add(track)
        self._muted_sides.add(side)
        for number, state in list(self._hands.items()):
            if self._is_muted(number, state.side):
                if state.active is not None:
                    self._early.append(self._end(state, self._last_frame, self._last_s or 0.0))
                del self._hands[number]

    def unmute(self) -> None:
        self._muted_tracks.clear()
        self._muted_sides.clear()

    def _is_muted(self, track: int, side: str) -> bool:
        return track in self._muted_tracks or side in self._muted_sides

    def active(self, track: int) -> str | None:
        """The gesture that this hand holds now."""
        state = self._hands.get(track)
        return state.active if state else None

    def finish(self) -> list[GestureEvent]:
        """End what is still held: the source is over, and another one may begin."""
        events, self._early = self._early, []
        events += self._end_all()
        self._last_s, self._pace = None, Pace()
        return events

    def _end_all(self) -> list[GestureEvent]:
        time_s = self._last_s or 0.0
        events = [
            self._event("end", state, self._last_frame, time_s)
            for state in self._hands.values()
            if state.active is not None
        ]
        self._hands.clear()
        return events

    def _advance(
        self, state: _HandState, match: Match | None, step: float, frame: int, time_s: float
    ) -> list[GestureEvent]:
        label = match.label if match else None
        if label is not None:
            state.evidence.setdefault(label, 0.0)
        for name in list(state.evidence):
            change = step if name == label else -step
            cap = self._hold_s if name == state.active else self._start_s
            state.evidence[name] = min(state.evidence[name] + change, cap)
            if state.evidence[name] < 0 or (state.evidence[name] == 0 and name != label):
                del state.evidence[name]
        events = []
        challenger = label if label != state.active else None
        # Sums of frame times miss a bound by a hair: a millisecond less will do.
        won = challenger is not None and state.evidence[challenger] >= self._start_s - 1e-3
        if state.active is not None and (won or state.active not in state.evidence):
            events.append(self._end(state, frame, time_s))
        if won and match is not None and challenger is not None:
            state.active, state.since_s, state.probability = challenger, time_s, match.probability
            state.evidence[challenger] = self._hold_s
            events.append(self._event("start", state, frame, time_s))
        return events

    def _end(self, state: _HandState, frame: int, time_s: float) -> GestureEvent:
        event = self._event("end", state, frame, time_s)
        state.evidence.pop(event.label, None)
        state.active = None
        return event

    def _event(self, kind: str, state: _HandState, frame: int, time_s: float) -> GestureEvent:
        assert state.active is not None
        held = 0.0 if kind == "start" else time_s - state.since_s
        return GestureEvent(kind, state.active, state.side, frame, time_s, state.probability, held)
