"""A camera whose frames say when they were taken: an MJPEG stream over HTTP, served beside us."""

from __future__ import annotations

import http.server
import itertools
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import cv2
import numpy as np

from realtime.sources.demo import FPS, demo_image
from realtime.timing.faults import CUT, STALL, STALL_S, Faults

BITS, BLOCK = 32, 16  # of the stamp: blocks of so many pixels in a row, lowest bit on the left
DRAWN = 60  # frames of the demo, shown forwards and backwards
NUMBER_ROW = 1  # of blocks: the picture's number
START_S = 60.0  # for the server to draw them


def now_ms() -> int:
    """The clock of the stamps. All processes of a machine share it."""
    return time.monotonic_ns() // 1_000_000


def stamp(image: np.ndarray, moment_ms: int, row: int = 0) -> None:
    """Draw a moment into uint8 (H, ≥ BITS × BLOCK, 3), in place: a block is bright for a 1.

    Args:
        row: of blocks, from the top.
    """
    bits = [255 * (moment_ms >> bit & 1) for bit in range(BITS)]
    rows = slice(row * BLOCK, (row + 1) * BLOCK)
    image[rows, : BITS * BLOCK] = np.repeat(bits, BLOCK).astype(np.uint8)[None, :, None]


def read_stamp(image: np.ndarray, row: int = 0) -> int:
    """The moment that `stamp` drew into a row, ms."""
    middle = image[row * BLOCK + BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK, 1]
    return sum(1 << bit for bit, value in enumerate(middle.tolist()) if value > 127)


def read_number(image: np.ndarray) -> int:
    """How many pictures the stream had sent before this one, over all its connections."""
    return read_stamp(image, NUMBER_ROW)


@contextmanager
def stamped_stream(fps: float, fault_seed: int | None = None) -> Iterator[str]:
    """Serve the demo's hand, each frame stamped, in a process of its own.

    A client that reads too slowly doesn't stop time: what lies in the sockets meanwhile grows old.

    Args:
        fps: frames a second.
        fault_seed: faults happen, in the order of this seed; None: there are none.
    Yields:
        The stream's address.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(fps, fault_seed, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(START_S):
            raise TimeoutError("the stream's process doesn't start")
        yield f"http://127.0.0.1:{ours.recv()}/video"
    finally:
        process.terminate()
        process.join()


def _serve(fps: float, fault_seed: int | None, told: Connection) -> None:
    faults = None if fault_seed is None else Faults(fault_seed)
    drawn = [demo_image(round(i * FPS / fps)) for i in range(round(DRAWN * fps / FPS))]
    pictures = drawn + drawn[-2:0:-1]
    sent = itertools.count()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            pause, began_s, number = threading.Event(), time.monotonic(), 0
            while True:
                # Frames that are due while the client takes none are left out, as cameras do.
                number = max(number + 1, int((time.monotonic() - began_s) * fps))
                pause.wait(max(began_s + number / fps - time.monotonic(), 0.0))
                fault = None if faults is None else faults.next()
                if fault == CUT:
                    return
                if fault == STALL:
                    pause.wait(STALL_S)
                try:
                    self._send(pictures[number % len(pictures)], fault)
                except OSError:  # the client has gone
                    return

        def _send(self, picture: np.ndarray, fault: str | None) -> None:
            image = picture.copy() if faults is None else faults.resize(picture).copy()
            stamp(image, now_ms())
            stamp(image, next(sent), NUMBER_ROW)
            data = cv2.imencode(".jpg", image)[1].tobytes()
            if faults is not None:
                data = faults.spoil(data, fault)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

        def log_message(self, *_: object) -> None: ...

    cv2.setNumThreads(1)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.send(server.server_port)
        server.serve_forever()
