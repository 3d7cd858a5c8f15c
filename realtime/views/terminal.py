"""The terminal as an output: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from rich.live import Live
from rich.table import Table

from engines.say import console, plain, tell
from realtime.live.output import Moment
from realtime.live.state import State
from realtime.types import FrameResult


class Terminal:
    """Writes to stderr, so that `--events -` has stdout to itself.

    Gestures get a line each. The table is drawn ten times a second by a thread of its own.
    """

    def __init__(self) -> None:
        self._newest: Moment | None = None
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(
                get_renderable=self._table, console=console, refresh_per_second=10, transient=True
            )
            self._live.start()

    def show(self, result: FrameResult | None, state: State) -> None:
        for event in result.events if result is not None else ():
            held = f" after {event.held_s:.1f} s" if event.kind == "end" else ""
            tell(f"{event.time_s:8.2f} s  {event.side:5}  {event.kind:5}  {event.label}{held}")
        if result is None and self._newest is not None:
            result = self._newest[0]
        self._newest = (result, state)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        return _table(*self._newest) if self._newest is not None else Table()


def _table(result: FrameResult | None, state: State) -> Table:
    far = "not calibrated" if state.far is None else f"false accepts {100 * state.far:g} %"
    title = f"{state.gallery} · {far} · {state.fps:.0f} fps · {state.latency_ms:.0f} ms"
    table = Table(title=plain(title), caption=plain(state.message or "Ctrl-C ends"))
    for column in ("hand", "gesture", "nearest", "similarity", "probability"):
        table.add_column(column)
    if result is not None:
        for hand, match, gesture in zip(result.hands, result.matches, result.gestures, strict=True):
            table.add_row(
                hand.side,
                plain(gesture if gesture is not None else "unknown"),
                plain(match.nearest or "–"),
                f"{match.score:.2f}",
                f"{100 * match.probability:.0f} %",
            )
    if result is None or not result.hands:
        table.add_row("–", "no hand in view", "", "", "")
    return table
