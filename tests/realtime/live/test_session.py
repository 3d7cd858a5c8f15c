"""The session under commands alone: no window, real networks on drawn hands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from engines.errors import UserError
from realtime.live.command import (
    Command,
    Delete,
    Discard,
    Loosen,
    Name,
    Pause,
    Quit,
    Record,
    Undo,
)
from realtime.live.session import Session
from realtime.live.state import Answer, State
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from realtime.sources.source import WaitingSource
from realtime.types import Frame, FrameResult, GestureEvent
from tests.cli import hand_picture

FPS = 15.0
PICTURES = {name: hand_picture(name) for name in ("Victory", "Fist", "L")}
WALL = np.full((480, 640, 3), 180, np.uint8)
FOREVER = 10_000
QUICK = 0.2  # seconds of countdown


class Shown(WaitingSource):
    """A drawn hand per frame, by name; None: nobody."""

    def __init__(self, names: Sequence[str | None]) -> None:
        super().__init__("drawn", FPS, mirrored=False, realtime=False)
        self._names = names

    def read(self) -> Iterator[Frame]:
        for index, name in enumerate(self._names):
            image = WALL if name is None else PICTURES[name]
            yield Frame(image, index, index / FPS)


class Script:
    """An output that notes what it is shown, and does something at a frame or at a state."""

    def __init__(self, session: Session, at: dict[int, Command] | None = None) -> None:
        self.session = session
        self.results: list[FrameResult] = []
        self.states: list[State] = []
        self._at = at or {}

    def show(self, result: FrameResult | None, state: State) -> None:
        self.states.append(state)
        if result is not None:
            self.results.append(result)
            if result.frame.index in self._at and not state.over:
                self.session.post(self._at.pop(result.frame.index))

    def close(self) -> None: ...

    def events(self) -> list[GestureEvent]:
        return [event for result in self.results for event in result.events]

    def kinds(self) -> list[tuple[str, str]]:
        return [(event.kind, event.label) for event in self.events()]

    def answer(self, command: Command) -> Answer:
        answer = next((a for s in reversed(self.states) if (a := s.answer(command.id))), None)
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recognizer]:
    folder = tmp_path_factory.mktemp("session") / "gestures"
    settings = Settings(gallery=str(folder), keep=1)  # half a second; test_showing.py takes two
    with Recognizer(settings) as recognizer:
        yield recognizer


@pytest.fixture
def session(recognizer: Recognizer) -> Iterator[Callable[..., Session]]:
    """Gives a session over drawn frames; each test starts with an empty gallery."""
    for label in recognizer.gallery.labels():
        recognizer.gallery.delete(label)
    recognizer.refresh()

    def begin(*names: str | None) -> Session:
        recognizer.finish()
        return Session(recognizer, Shown(names))

    yield begin


def record(session: Callable[..., Session], label: str) -> None:
    one, record, name = session(*[label] * 30), Record(countdown_s=0.0), Name(label)
    script = Script(one, {0: record, 12: name, 14: Quit()})
    one.run([script])
    assert script.answer(name).done


def test_record_name_recognise_delete_undo(session: Callable[..., Session]) -> None:
    one = session(*["Victory"] * 80)
    commands: dict[int, Command] = {
        1: Record(countdown_s=QUICK),
        18: Name("Peace"),
        40: Delete(),
        55: Undo(),
    }
    script = Script(one, dict(commands))
    one.run([script])
    assert [script.answer(command).done for command in commands.values()] == [True] * 4
    assert script.answer(commands[18]).text == "Recorded Peace."
    countdowns = [state.countdown for state in script.states]
    assert countdowns[2] == 1 and 0 in countdowns and countdowns[-1] is None
    assert any(state.naming is not None for state in script.states)
    # Recognised after its name, not after its deletion, and again once it is back.
    assert script.kinds() == [("start", "Peace"), ("end", "Peace")] * 2
    starts = [event.frame for event in script.events() if event.kind == "start"]
    assert 18 < starts[0] < 30 and 55 < starts[1]
    assert one.recognizer.gallery.labels() == {"Peace": 1}


def test_the_recorded_hand_starts_nothing_until_it_is_named(
    session: Callable[..., Session],
) -> None:
    record(session, "Victory")
    one = session(*["Victory"] * 60)
    script = Script(one, {15: Record(countdown_s=QUICK), 40: Name("Victory")})
    one.run([script])
    events = [(event.kind, event.frame) for event in script.events()]
    kinds, frames = zip(*events, strict=True)
    assert kinds == ("start", "end", "start", "end")
    assert frames[0] < 15 and frames[1] <= 16  # its end comes with the command
    assert 40 < frames[2] < 50
    # Recognition and its picture go on meanwhile.
    shown = script.results[30]
    assert len(shown.hands) == 1 and shown.matches[0].nearest == "Victory"
    assert shown.gestures == (None,)


def test_a_dropped_recording_leaves_nothing(session: Callable[..., Session]) -> None:
    record_command, discard = Record(countdown_s=QUICK), Discard()
    one = session(*["Fist"] * 30)
    script = Script(one, {1: record_command, 20: discard})
    one.run([script])
    assert script.answer(record_command).done and script.answer(discard).done
    assert one.state.naming is None and one.recognizer.gallery.labels() == {}

    cut_short = Record(countdown_s=3.0)
    one = session(*["Fist"] * 10)
    script = Script(one, {1: cut_short, 4: Discard()})
    one.run([script])
    assert not script.answer(cut_short).done and one.state.countdown is None


def test_a_bad_name_can_be_corrected(session: Callable[..., Session]) -> None:
    blank, good = Name("   "), Name("Fist")
    one = session(*["Fist"] * 40)
    script = Script(one, {0: Record(countdown_s=0.0), 12: blank, 14: good})
    one.run([script])
    assert not script.answer(blank).done and "visible character" in script.answer(blank).text
    assert script.answer(good).done and one.recognizer.gallery.labels() == {"Fist": 1}


def test_what_can_not_be_done_is_answered(session: Callable[..., Session]) -> None:
    name, delete, undone = Name("Nothing"), Delete(label="nobody"), Delete()
    nothing = Discard()
    again, pause = Record(), Pause()
    one = session(*["Fist"] * 9)
    at: dict[int, Command] = {
        0: name,
        1: delete,
        2: undone,
        3: Record(),
        4: again,
        5: pause,
        6: Discard(),
        7: nothing,
    }
    script = Script(one, at)
    one.run([script])
    for command, word in (
        (name, "no recording"),
        (delete, "nobody"),
        (undone, "no gesture"),
        (again, "being recorded"),
        (pause, "being recorded"),
        (nothing, "Nothing is being recorded"),
    ):
        answer = script.answer(command)
        assert not answer.done and word in answer.text


def test_what_no_session_can_do_is_answered_too(session: Callable[..., Session]) -> None:
    @dataclass(frozen=True)
    class Dance(Command):
        """No session knows it."""

    dance, never = Dance(), Record(countdown_s=float("nan"))
    one = session(*[None] * 4)
    script = Script(one, {0: dance, 1: never})
    one.run([script])
    assert "no command Dance" in script.answer(dance).text and not script.answer(dance).done
    assert "countdown" in script.answer(never).text and not script.answer(never).done


def test_a_recording_that_the_end_cuts_short_is_answered(session: Callable[..., Session]) -> None:
    command = Record(countdown_s=30.0)
    one = session(*["Fist"] * 5)
    script = Script(one, {1: command})
    one.run([script], max_frames=4)
    assert not script.answer(command).done and one.state.countdown is None
    # The hand isn't muted any more.
    record(session, "Fist")
    one = session(*["Fist"] * 10)
    script = Script(one)
    one.run([script])
    assert ("start", "Fist") in script.kinds()


def test_outputs_learn_of_the_end_whatever_fails(
    session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(*[None] * FOREVER)
    script = Script(one, {1: Undo(), 2: Undo()})

    def broken() -> str:
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr(one.recognizer.gallery, "undo", broken)
    with pytest.raises(RuntimeError):
        one.run([script])
    assert script.states[-1].over


def test_nobody_in_view(session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.live.burst.PATIENCE_S", 0.5)
    command = Record(countdown_s=QUICK)
    one = session(*[None] * 20)
    script = Script(one, {0: command})
    one.run([script])
    assert not script.answer(command).done and "No hand" in script.answer(command).text
    assert script.states[-1].message == script.answer(command).text


def test_a_source_that_ends_during_the_burst(session: Callable[..., Session]) -> None:
    """The best of the frames there were waits for its name."""
    one = session(*["L"] * 4)

    class Namer(Script):
        def show(self, result: FrameResult | None, state: State) -> None:
            if state.naming is not None and not self.states[-1].naming:
                self.session.post(Name("L"))
            super().show(result, state)

    script = Namer(one, {0: Record(countdown_s=0.0)})
    one.run([script])
    assert one.recognizer.gallery.labels() == {"L": 1} and script.states[-1].over


def test_pause_takes_no_frames(session: Callable[..., Session]) -> None:
    one = session(*["Fist"] * FOREVER)
    paused = threading.Event()
    seen: list[int] = []

    class Watch(Script):
        def show(self, result: FrameResult | None, state: State) -> None:
            super().show(result, state)
            if state.paused and result is None:
                seen.append(len(self.results))
                if len(seen) == 3:  # the state is still shown
                    paused.set()

    script = Watch(one, {2: Pause()})
    thread = threading.Thread(target=one.run, args=([script],))
    thread.start()
    assert paused.wait(60)
    assert len(set(seen)) == 1
    one.post(Pause(paused=False))
    one.post(Quit())
    thread.join()
    assert one.state.over


def test_the_operating_point_moves(session: Callable[..., Session]) -> None:
    one = session(*[None] * 4)
    far, threshold = one.state.far, one.recognizer.calibration.threshold
    assert far is not None
    one.run([Script(one, {0: Loosen(+1)})])
    assert one.state.far is not None and one.state.far > far
    assert one.recognizer.calibration.threshold < threshold
    one.post(Loosen(-1))
    one.step(Frame(WALL, 9, 9.0))
    assert one.state.far == pytest.approx(far)


def test_every_start_that_went_out_has_its_end(session: Callable[..., Session]) -> None:
    record(session, "Fist")
    one = session(*["Fist"] * FOREVER)
    script = Script(one, {20: Quit()})
    one.run([script])
    assert script.kinds() == [("start", "Fist"), ("end", "Fist")]
    assert script.results[-1].hands == () and script.states[-1].over
    indices = [result.frame.index for result in script.results]
    assert indices == [*range(indices[-1] + 1), indices[-1]]


def test_what_is_posted_with_the_last_frame_is_answered(session: Callable[..., Session]) -> None:
    one, last = session(None, None, None), Loosen(+1)
    script = Script(one, {1: last})
    one.run([script], max_frames=2)
    assert script.answer(last).done


def test_an_outage_is_told(
    session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.live.session.OUTAGE_S", 0.0)
    one = session(*[None] * FOREVER)
    assert one.source is not None
    one.source.live = True
    frames = one.source._frames  # type: ignore[attr-defined]
    silent = [True]
    monkeypatch.setattr(one.source, "poll", lambda timeout_s: None if silent[0] else next(frames))

    class Patient(Script):
        def show(self, result: FrameResult | None, state: State) -> None:
            super().show(result, state)
            if state.message == "Waiting for the camera …":
                silent[0] = False
            if len(self.results) > 2 and not state.message:
                self.session.post(Quit())

    script = Patient(one)
    one.run([script])
    assert script.results and script.states[0].message == "Waiting for the camera …"


def test_a_slow_camera_is_no_outage(
    session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame of it comes after longer than OUTAGE_S."""
    monkeypatch.setattr("realtime.live.session.OUTAGE_S", 0.0)
    one = session(*[None] * 4)
    assert one.source is not None
    one.source.live = True
    frames, idle = one.source._frames, [0]  # type: ignore[attr-defined]

    def poll(timeout_s: float) -> Frame | None:
        idle[0] += 1
        if idle[0] % 3 or len(script.results) < 2:
            return next(frames)
        return None

    monkeypatch.setattr(one.source, "poll", poll)
    script = Script(one)
    one.run([script], max_frames=4)
    assert [state.message for state in script.states[2:]] == [""] * len(script.states[2:])


def test_frames_wanted(session: Callable[..., Session]) -> None:
    one = session(*["Fist"] * 20)
    script = Script(one)
    one.run([script], max_frames=5)
    assert len(script.results) == 5
    nothing = Script(one)
    one.run([nothing], max_frames=0)
    assert nothing.results == [] and [state.over for state in nothing.states] == [True]


def test_a_failing_output_ends_it_and_the_others_get_their_ends(
    session: Callable[..., Session],
) -> None:
    record(session, "Fist")
    one = session(*["Fist"] * FOREVER)

    class Failing(Script):
        def show(self, result: FrameResult | None, state: State) -> None:
            if result is not None and result.frame.index >= 10:
                raise UserError("the disk is full")

    script = Script(one)
    with pytest.raises(UserError, match="disk is full"):
        one.run([Failing(one), script])
    assert script.kinds() == [("start", "Fist"), ("end", "Fist")] and script.states[-1].over


def test_frames_may_be_pushed(recognizer: Recognizer, session: Callable[..., Session]) -> None:
    record(session, "L")
    recognizer.finish()
    one = Session(recognizer)
    results = [one.step(Frame(PICTURES["L"], i, i / FPS)) for i in range(8)]
    assert [event.label for result in results for event in result.events] == ["L"]
    last = one.finish()
    assert last is not None and [event.kind for event in last.events] == ["end"]
    pause = Pause()
    one.post(pause)
    assert one.finish() is None
    answer = one.state.answer(pause.id)
    assert answer is not None and "nothing to pause" in answer.text and one.state.over


def test_commands_may_come_from_many_threads(session: Callable[..., Session]) -> None:
    one = session(*[None] * FOREVER)
    commands = [Loosen(steps) for steps in (+1, -1) * 8]
    script = Script(one)
    thread = threading.Thread(target=one.run, args=([script],))
    thread.start()
    posters = [threading.Thread(target=one.post, args=(command,)) for command in commands]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    one.post(Quit())
    thread.join()
    assert {answer.id for answer in one.state.answers} >= {command.id for command in commands}
