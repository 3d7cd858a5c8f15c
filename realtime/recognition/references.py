"""The gallery's embeddings for a loop that never waits: a thread beside it computes them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from engines.encoder import Encoder
from engines.say import progress, tell
from realtime.gallery.gallery import Gallery, GalleryIndex

LOOK_AGAIN_S = 1.0  # how often another program's changes to the gallery are looked for
MANY = 32  # references; embedding more takes long enough to say so
NICE = 10  # the thread's; the loop goes before it where both want one core


class References:
    """Reads and embeds a gallery, at once or beside the loop. One thread uses it.

    An index is whole: a reference comes in with all its views, and all that came in while the
    thread was at it come in together.
    """

    def __init__(self, gallery: Gallery, encoder: Encoder, mirror_hands: bool) -> None:
        self._gallery, self._encoder, self._mirror_hands = gallery, encoder, mirror_hands
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, "references", initializer=_step_back)
        self._coming: Future[GalleryIndex] | None = None
        self._last: GalleryIndex | None = None
        self._look_at_s = 0.0

    def read(self, newest: int | None = None) -> GalleryIndex:
        """The gallery's index now.

        Args:
            newest: only so many references are embedded for it, the newest; what else isn't
                embedded yet is left to the thread, and `poll` gives it. None: all are.
        """
        self._coming = None  # it may know less than this
        if newest is None:
            self._last = self._embed_all()
            self._look_at_s = time.monotonic() + LOOK_AGAIN_S
        else:
            self._last = self._gallery.embeddings(self._encoder, self._mirror_hands, newest=newest)
            self._look_at_s = 0.0
        return self._last

    def poll(self) -> GalleryIndex | None:
        """Return at once: another index, where the gallery has changed and it is ready."""
        if self._coming is None:
            if time.monotonic() >= self._look_at_s:
                self._coming = self._thread.submit(self._look, self._last)
            return None
        if not self._coming.done():
            return None
        index = self._coming.result()
        self._coming, self._look_at_s = None, time.monotonic() + LOOK_AGAIN_S
        if index is self._last:
            return None
        self._last = index
        return index

    def close(self) -> None:
        """End the thread, which may take as long as it takes to embed a few references."""
        self._closed.set()
        self._thread.shutdown(cancel_futures=True)

    def _embed_all(self) -> GalleryIndex:
        """All of them, now; where it takes long, the person sees how far it is."""
        with progress() as bar:
            task = bar.add_task("Embedding recorded gestures", visible=False)

            def show(done: int, of: int) -> None:
                if done == 0 and of > MANY:
                    tell(f"Embedding {of} references; they are kept, so that it is done once.")
                bar.update(task, completed=done, total=of, visible=of > MANY)

            return self._gallery.embeddings(self._encoder, self._mirror_hands, progress=show)

    def _look(self, last: GalleryIndex | None) -> GalleryIndex:
        """What the thread does."""

        def go_on(done: int, of: int) -> None:
            if self._closed.is_set():
                raise CancelledError

        return self._gallery.embeddings(
            self._encoder, self._mirror_hands, last=last, progress=go_on
        )


def _step_back() -> None:
    """Let other threads go first on a busy machine; only Linux gives threads ranks of their own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
