"""The terminal as a view: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from rich.live import Live
from rich.table import Table
from rich.text import Text

from engines.say import console, tell
from realtime.types import FrameResult
from realtime.views.overlay import Status


class TerminalView:
    """Writes to stderr, so that `--events -` has stdout to itself."""

    def __init__(self) -> None:
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, refresh_per_second=10, transient=True)
            self._live.start()

    def show(self, result: FrameResult, status: Status) -> None:
        for event in result.events:
            held = f" after {event.held_s:.1f} s" if event.kind == "end" else ""
            tell(f"{event.time_s:8.2f} s  {event.side:5}  {event.kind:5}  {event.label}{held}")
        if self._live is not None:
            self._live.update(_table(result, status))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


def _table(result: FrameResult, status: Status) -> Table:
    far = "not calibrated" if status.far is None else f"false accepts {100 * status.far:g} %"
    title = f"{status.gallery} · {far} · {status.fps:.0f} fps · {status.latency_ms:.0f} ms"
    table = Table(title=Text(title), caption=Text(status.message or "Ctrl-C ends"))
    for column in ("hand", "gesture", "nearest", "similarity", "probability"):
        table.add_column(column)
    for hand, match, gesture in zip(result.hands, result.matches, result.gestures, strict=True):
        table.add_row(
            hand.side,
            Text(gesture if gesture is not None else "unknown"),
            Text(match.nearest or "–"),
            f"{match.score:.2f}",
            f"{100 * match.probability:.0f} %",
        )
    if not result.hands:
        table.add_row("–", "no hand in view", "", "", "")
    return table
