"""The window: an output, and keys as commands. With pygame-ce, since cv2's Qt windows lose keys,
type no capital letters on Linux, and abort the program where there is no display."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.errors import UserError, short_reason
from realtime.live.command import (
    Command,
    Delete,
    Discard,
    Loosen,
    Name,
    Pause,
    Quit,
    Record,
    Reject,
    Undo,
)
from realtime.live.output import Mailbox
from realtime.live.state import State
from realtime.picture_files import write_picture
from realtime.types import FrameResult
from realtime.views.canvas import Canvas
from realtime.views.keys import Keys
from realtime.views.overlay import draw_help, draw_message, draw_prompt

TITLE = "One-Shot Gestures"
TICK_S = 1 / 60  # between two looks at the keyboard
NOTE_S = 4.0  # how long the window's own news are shown
COMMANDS: dict[str, Callable[[], Command]] = {
    "r": Record,
    "d": Delete,
    "u": Undo,
    "n": Reject,
    "p": Pause,
    " ": Pause,
    "+": lambda: Loosen(+1),
    "=": lambda: Loosen(+1),
    "-": lambda: Loosen(-1),
    "q": Quit,
}


def has_display() -> bool:
    """Whether a window could be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Window:
    """Shows the newest moment; keys become commands. Raises UserError without a display.

    `show` may be called by any thread. `run` belongs to the main one: macOS hands a window's
    events to no other.

    Args:
        canvas: draws what is shown.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would greet on stdout
        try:
            import pygame
        except ImportError:
            raise UserError(
                "The window needs the package pygame-ce: pip install pygame-ce, or use --view "
                "terminal."
            ) from None
        self._pygame = pygame
        try:
            usable = has_display()  # asked first: SDL's back-ends complain on stderr themselves
            if usable:
                pygame.display.init()
                usable = pygame.display.get_driver() not in ("offscreen", "dummy")
        except pygame.error:
            usable = False
        if not usable:
            pygame.display.quit()
            raise UserError(
                "No display was found to open a window on. Use --view terminal or --view none, "
                "or set DISPLAY to one."
            )
        self._surface: pygame.Surface | None = None
        self._mailbox = Mailbox()
        self._result: FrameResult | None = None
        self._state: State | None = None
        self._text = ""  # the name typed so far
        self._sent: str | None = None  # the command that carries it
        self._help = False
        self._keys = Keys()
        self._note, self._note_until_s = "", 0.0

    def show(self, result: FrameResult | None, state: State) -> None:
        self._mailbox.put(result, state)

    def run(self, post: Callable[[Command], object]) -> None:
        """Show what comes and post what is asked for, until the session is over."""
        while self._state is None or not self._state.over:
            moment = self._mailbox.take(TICK_S)
            if moment is not None:
                self._take(*moment)
            events = self._pygame.event.get()  # after _take, which drops keys from before a prompt
            for command in self._commands(events):
                post(command)
            changed = moment is not None or events
            if changed and self._result is not None and self._state is not None:
                self._paint(self._draw(self._result, self._state))

    def close(self) -> None:
        self._pygame.display.quit()

    def _take(self, result: FrameResult | None, state: State) -> None:
        asked = self._state is not None and self._state.naming is not None
        if state.naming is not None and not asked:
            self._text, self._sent = "", None
            self._pygame.event.clear(self._pygame.TEXTINPUT)  # keys from before the prompt
            # Never stopped: without it pygame names keys by their place, and shifted ones not at
            # all.
            self._pygame.key.start_text_input()
        self._result, self._state = result or self._result, state

    def _draw(self, result: FrameResult, state: State) -> np.ndarray:
        canvas = self._canvas.draw(result, state)
        note = self._note if time.monotonic() < self._note_until_s else ""
        if self._help or note or state.naming is not None:
            canvas = canvas.copy()  # others are shown it too
        if self._help:
            draw_help(canvas)
        if state.naming is not None:
            draw_prompt(canvas, state.naming.shots, self._text)
        if note:
            draw_message(canvas, note)
        return canvas

    def _commands(self, events: list[Any]) -> list[Command]:
        pygame = self._pygame
        wanted: list[Command] = []
        for event in events:
            if event.type == pygame.QUIT:
                wanted.append(Quit())
            elif self._state is not None and self._state.naming is not None:
                wanted += self._handle_typing(event)
            elif event.type == pygame.KEYDOWN:
                wanted += self._handle_key(event)
        return wanted

    def _handle_key(self, event: Any) -> list[Command]:
        pygame = self._pygame
        held = event.mod & (pygame.KMOD_CTRL | pygame.KMOD_ALT | pygame.KMOD_META)
        key = self._keys.read(event.unicode, event.scancode, bool(held))
        if event.key == pygame.K_ESCAPE or key == "q":
            return [Quit()]
        if self._state is None or self._state.countdown is not None:
            return []  # nothing else while a hand is held up
        if key == "h":
            self._help = not self._help
        if key == "s":
            self._save_snapshot()
        return [COMMANDS[key]()] if key in COMMANDS else []

    def _handle_typing(self, event: Any) -> list[Command]:
        """A key while a name is typed. Until a name that was sent is answered, keys are ignored."""
        pygame, state = self._pygame, self._state
        if self._sent is not None and state is not None and state.answer(self._sent) is None:
            return []
        if event.type == pygame.TEXTINPUT:
            self._text += event.text
        elif event.type == pygame.KEYDOWN:
            if event.key == pygame.K_ESCAPE:
                return [Discard()]
            if event.key == pygame.K_BACKSPACE:
                self._text = self._text[:-1]
            if event.key in (pygame.K_RETURN, pygame.K_KP_ENTER) and not self._text.strip():
                self._tell("A name needs at least one visible character.")
            elif event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
                name = Name(self._text)
                self._sent = name.id
                return [name]
        return []

    def _save_snapshot(self) -> None:
        if self._result is None or self._state is None:
            return
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{self._result.frame.index}"
        numbers = itertools.chain([""], (f"-{n}" for n in itertools.count(2)))
        # The clock may be set back: an older snapshot stays.
        path = next(p for n in numbers if not (p := Path("snapshots") / f"{stem}{n}.png").exists())
        try:
            path.parent.mkdir(exist_ok=True)
            write_picture(path, self._draw(self._result, self._state))
            self._tell(f"Saved {path}.")
        except OSError as error:
            self._tell(f"{path} can't be written ({short_reason(error)}).")

    def _tell(self, note: str) -> None:
        self._note, self._note_until_s = note, time.monotonic() + NOTE_S

    def _paint(self, canvas: np.ndarray) -> None:
        pygame = self._pygame
        height, width = canvas.shape[:2]
        if self._surface is None:
            screen = pygame.display.get_desktop_sizes()[0]
            shrink = min(1.0, 0.9 * screen[0] / width, 0.9 * screen[1] / height)
            size = (round(width * shrink), round(height * shrink))
            self._surface = pygame.display.set_mode(size, pygame.RESIZABLE)
            pygame.display.set_caption(TITLE)
        surface = pygame.display.get_surface()
        across, down = surface.get_size()
        scale = min(across / width, down / height)
        fitted = (max(round(width * scale), 1), max(round(height * scale), 1))
        if fitted != (width, height):
            canvas = cv2.resize(canvas, fitted, interpolation=cv2.INTER_LINEAR)
        rgb = cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)
        surface.fill((0, 0, 0))
        image = pygame.image.frombuffer(rgb, fitted, "RGB")
        surface.blit(image, ((across - fitted[0]) // 2, (down - fitted[1]) // 2))
        pygame.display.flip()
