"""What a front-end may ask of a session. Each command has an id, which the state answers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

COUNTDOWN_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Command:
    id: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True)
class Record(Command):
    """Count down, then record the hand; what was shown is named with `Name`."""

    countdown_s: float = COUNTDOWN_S


@dataclass(frozen=True)
class Name(Command):
    """Store the showing that is being named.

    Attributes:
        label: the gesture.
        replace: its other references go to the trash; of a negative one, its other negative ones.
        negative: it is no gesture, though it is taken for that one.
    """

    label: str
    replace: bool = False
    negative: bool = False


@dataclass(frozen=True)
class Reject(Command):
    """The last start was wrong: its hand is kept as a negative reference of that gesture."""


@dataclass(frozen=True)
class Discard(Command):
    """Stop recording, and drop the showing that is being named."""


@dataclass(frozen=True)
class Delete(Command):
    """Move to the trash: the newest reference, unless something is named.

    Attributes:
        label: a gesture with all its references.
        reference: one reference's id.
    """

    label: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class Undo(Command):
    """Bring back what was deleted last."""


@dataclass(frozen=True)
class Pause(Command):
    """Stop or go on taking frames.

    Attributes:
        paused: whether to stop; None for the other of what is.
    """

    paused: bool | None = None


@dataclass(frozen=True)
class Loosen(Command):
    """Move the operating point.

    Attributes:
        steps: positive: accept more, at more false accepts; negative: fewer.
    """

    steps: int


@dataclass(frozen=True)
class Quit(Command):
    """End the session's run."""
