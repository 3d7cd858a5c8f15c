"""A front-end of your own, in one class: it records, names, recognises, deletes and undoes.

    python examples/front_end.py [CAMERA]

CAMERA is what `run.py --camera` takes; the default is the drawn hand of the demo. Nothing of your
own gallery is touched.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the project isn't installed

from engines.errors import UserError
from realtime import Settings, open_session
from realtime.live.command import Command, Delete, Name, Quit, Record, Undo
from realtime.live.session import Session
from realtime.live.state import State
from realtime.types import FrameResult


class FrontEnd:
    """Posts one command after the other. Name's turn ends when the gesture is recognised."""

    def __init__(self, session: Session) -> None:
        self.session = session
        # The demo's gallery comes with gestures: ours is to be the only one.
        taught = [Delete(label=label) for label, _ in session.state.references]
        self.plan: list[Command] = [
            *taught,
            Record(countdown_s=0.0),
            Name("mine"),
            Delete(),
            Undo(),
            Quit(),
        ]
        session.post(self.plan[0])

    def show(self, result: FrameResult | None, state: State) -> None:
        events = result.events if result is not None else ()
        for event in events:
            print(f"{event.time_s:6.2f} s  {event.kind} {event.label}")
        answer = state.answer(self.plan[0].id) if self.plan else None
        recognised = any(event.kind == "start" for event in events)
        if answer is None or (isinstance(self.plan[0], Name) and answer.done and not recognised):
            return
        print(f"          {type(self.plan.pop(0)).__name__}: {answer.text or 'done'}")
        if not answer.done:
            self.plan = [Quit()]
        if self.plan:
            self.session.post(self.plan[0])

    def close(self) -> None:
        """Nothing is held."""


def main(camera: str) -> None:
    with (
        tempfile.TemporaryDirectory() as gallery,
        open_session(Settings(camera=camera, gallery=gallery)) as session,
    ):
        session.run([FrontEnd(session)])
        print("Gestures:", ", ".join(label for label, _ in session.state.references))


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "demo")
    except UserError as error:  # a sentence for the person
        sys.exit(str(error))
