"""One frame in, everything known about it out. No camera, no files, no windows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from engines.encoder import Encoder
from realtime.hands.cutting import embed_hands
from realtime.hands.detector import Detector
from realtime.recognition.match import Matcher
from realtime.recognition.smooth import Smoother
from realtime.recognition.speed import Trail
from realtime.types import Frame, FrameResult, GestureEvent, Hand, Match

# Crop widths a second, mean of the joints: a hand that moves faster starts nothing. One that is
# held up moves by 0.14 at the median. docs/false_alarms.md has what other bounds give.
FAST = 1.0


class Pipeline:
    """Detects hands, embeds, matches and smooths them.

    Attributes:
        matcher: may be replaced between frames, when the gallery or the operating point changes.
    """

    def __init__(self, detector: Detector, encoder: Encoder, matcher: Matcher) -> None:
        self.matcher = matcher
        self._detector = detector
        self._encoder = encoder
        self._smoother = Smoother()
        self._trails: dict[int, Trail] = {}  # by track

    def step(self, frame: Frame) -> FrameResult:
        started = time.perf_counter()
        hands = self._detector.detect(frame)
        detected = time.perf_counter()
        embeddings = embed_hands(self._encoder, hands) if hands else None
        encoded = time.perf_counter()
        matches: list[Match] = (
            [] if embeddings is None else self.matcher.match(embeddings, [h.side for h in hands])
        )
        meant = self._meant(hands, matches, frame.time_s)
        events = self._smoother.update(meant, frame.index, frame.time_s)
        done = time.perf_counter()
        return FrameResult(
            frame=frame,
            hands=tuple(hands),
            matches=tuple(matches),
            gestures=tuple(self._smoother.active(hand.track) for hand in hands),
            events=tuple(events),
            timings_ms={
                "hands": 1000 * (detected - started),
                "embed": 1000 * (encoded - detected),
                "match": 1000 * (done - encoded),
            },
        )

    def mute(self, hand: Hand) -> None:
        """Let a hand start nothing until `unmute`. What it holds ends with the next frame."""
        self._smoother.mute(hand.track, hand.side)

    def unmute(self) -> None:
        self._smoother.unmute()

    def finish(self) -> tuple[GestureEvent, ...]:
        """The ends of what is still held when the source is over."""
        return tuple(self._smoother.finish())

    def _meant(
        self, hands: Sequence[Hand], matches: Sequence[Match], time_s: float
    ) -> list[tuple[int, str, Match]]:
        """What each hand shows and means: a hand that moves fast goes on with its gesture, if it
        holds one, but starts none. It only passes the gestures that it looks like."""
        self._trails = {hand.track: self._trails.get(hand.track, Trail()) for hand in hands}
        seen = []
        for hand, match in zip(hands, matches, strict=True):
            is_fast = self._trails[hand.track].speed(hand, time_s) > FAST
            if is_fast and match.label != self._smoother.active(hand.track):
                match = replace(match, label=None)
            seen.append((hand.track, hand.side, match))
        return seen
