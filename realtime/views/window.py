"""The window, on SDL through pygame-ce: real text input in any layout, no lost keys, and an
error instead of an abort where there is no display, none of which cv2's Qt windows give."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np

from engines.errors import UserError
from realtime.types import FrameResult
from realtime.views.overlay import Status, draw, draw_prompt

TITLE = "One-Shot Gestures"
KEYS = {
    "r": "record", "d": "delete", "p": "pause", " ": "pause", "s": "snapshot", "h": "help",
    "+": "looser", "=": "looser", "-": "stricter", "q": "quit",
}  # fmt: skip


def has_display() -> bool:
    """Whether a window could be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class WindowView:
    """Shows frames and collects what the person asks for. Raises UserError without a display."""

    def __init__(self) -> None:
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

    def show(self, result: FrameResult, status: Status) -> None:
        self._paint(draw(result, status))

    def actions(self) -> list[str]:
        """What was asked for since the last call; "quit" when the window was closed."""
        pygame, wanted = self._pygame, []
        for event in pygame.event.get():
            if (
                event.type == pygame.QUIT
                or event.type == pygame.KEYDOWN
                and event.key == pygame.K_ESCAPE
            ):
                wanted.append("quit")
            elif event.type == pygame.KEYDOWN and event.unicode.lower() in KEYS:
                wanted.append(KEYS[event.unicode.lower()])
        return wanted

    def wait(self, milliseconds: int) -> None:
        """Let time pass without spinning, while paused."""
        self._pygame.time.wait(milliseconds)

    def ask_name(self, picture: np.ndarray) -> str | None:
        """Let the person type a gesture's name under its picture (uint8 (H, W, 3) BGR).

        None where they press Esc or close the window.
        """
        pygame, text = self._pygame, ""
        pygame.event.clear(pygame.TEXTINPUT)  # the r that started it is no part of the name
        # Never stopped: without it pygame names keys by their place, and shifted ones not at all.
        pygame.key.start_text_input()
        while True:
            self._paint(draw_prompt(picture, text))
            for event in [pygame.event.wait(100), *pygame.event.get()]:
                if event.type == pygame.QUIT:
                    pygame.event.post(event)  # for actions(): the program is to end
                    return None
                if event.type == pygame.TEXTINPUT:
                    text += event.text
                elif event.type == pygame.KEYDOWN:
                    if event.key == pygame.K_ESCAPE:
                        return None
                    if event.key == pygame.K_BACKSPACE:
                        text = text[:-1]
                    if event.key in (pygame.K_RETURN, pygame.K_KP_ENTER) and text.strip():
                        return text

    def close(self) -> None:
        self._pygame.display.quit()

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
