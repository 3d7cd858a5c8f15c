"""Cameras and network streams: a reader thread, and the newest frame wins."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from engines.errors import UserError
from engines.say import tell
from engines.text.addresses import public_address, read_address
from realtime.picture_files import quiet_opencv
from realtime.sources.capture import Capture, Reader, device_ways, next_image, open_device
from realtime.sources.network.refusal import Refused
from realtime.sources.network.stream import ADVICE, open_stream
from realtime.sources.source import SLICE_S, Source
from realtime.types import Frame

STALL_S = 3.0  # this long without a frame is an outage
STEADY_S = 5.0  # after delivering this long, the pauses start short again
PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0  # between two attempts to open
REOPEN_S = 5.0  # for one attempt to open a stream again
PROBE_S = 2.0  # for trying indices where cameras can't be listed
DEVICE_ADVICE = "Close other programs that use it. "


class Camera(Source):
    """A device or a stream as a live source: the newest frame wins.

    Frame.index counts the frames handed out, Frame.time_s runs from the capture of the first of
    them. A camera that fails later is opened again, however long it takes.

    Args:
        camera: an index "0", a path below /dev or a URL.
        size: (width, height) in pixels, and fps: asked of devices, which may give others.
        mirrored: the camera gives a mirror image; frames are flipped back.
    Raises:
        UserError: no frame came within max_wait_s.
    """

    live = True

    def __init__(
        self,
        camera: str,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        mirrored: bool = False,
        max_wait_s: float = 10.0,
    ) -> None:
        quiet_opencv()  # and a read of a Linux device is to give up earlier than after 10 s
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", f"{STALL_S:.0f}")
        super().__init__(public_address(camera), None, mirrored)
        self._camera, self._address = camera, read_address(camera)  # None: a device
        self._size, self._fps = size, fps
        self._handed = 0  # frames handed out
        self._first_s = 0.0  # capture of the first one, on the monotonic clock
        # Guarded by _changed. The newest frame and its capture, None once it is handed out.
        self._changed = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = None
        self._delivered = False
        self._failed: Refused | None = None  # what the last attempt to open it came to
        # macOS asks the person for permission only on the main thread.
        early = self._open(max_wait_s) if sys.platform == "darwin" and is_device(camera) else None
        self._thread = threading.Thread(target=self._read, args=(early, max_wait_s), daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread coming back from OpenCV amid the exit would abort it
        try:
            self._wait_for_first(max_wait_s)
        except BaseException:  # Ctrl-C too; a thread blocked in OpenCV sees it when it returns
            self._closed.set()
            raise

    @property
    def over(self) -> bool:
        return self._closed.is_set()

    def poll(self, timeout_s: float) -> Frame | None:
        with self._changed:
            if self._newest is None and self._thread.is_alive() and not self.over:
                self._changed.wait(min(timeout_s, SLICE_S))
            newest, self._newest = self._newest, None
        if self.over:
            return None
        if newest is None:
            if not self._thread.is_alive():
                raise UserError(f"Camera {self.name} failed ({self._failed}). Start again.")
            return None
        image, captured_s = newest
        if self._handed == 0:
            self._first_s = captured_s
        frame = self._frame(image, self._handed, captured_s - self._first_s)
        self._handed += 1
        return frame

    def close(self) -> None:
        """Stop. A reader blocked inside OpenCV is left behind and ends when its read returns."""
        self._closed.set()
        self._thread.join(0.5)
        if not self._thread.is_alive():
            atexit.unregister(self.close)  # it would hold this camera and its last frame

    def _wait_for_first(self, max_wait_s: float) -> None:
        listed = sys.platform == "linux" or not is_device(self._camera)
        deadline = time.monotonic() + max(max_wait_s - (0.0 if listed else PROBE_S), 0.1)
        told = False
        with self._changed:
            while not self._delivered and (left_s := deadline - time.monotonic()) > 0:
                if self._failed and self._failed.final:
                    break
                if self._failed and not told:
                    tell(f"Camera {self.name} does not open yet; trying for {max_wait_s:g} s …")
                    told = True
                self._changed.wait(min(left_s, SLICE_S))
            if self._delivered:
                return
        failed = self._failed or Refused("it did not answer", ADVICE, final=False)
        within = "" if failed.final else f" within {max_wait_s:g} s"
        advice = DEVICE_ADVICE + camera_choices() if is_device(self._camera) else failed.advice
        raise UserError(f"Camera {self.name} gave no picture{within} ({failed}). {advice}")

    def _read(self, opened: tuple[Reader, np.ndarray] | None, max_wait_s: float) -> None:
        """The daemon thread; what OpenCV may throw ends it and is told by the iterating one."""
        try:
            self._keep_reading(opened, max_wait_s)
        except (cv2.error, ValueError, OverflowError, MemoryError) as error:
            self._failed = Refused(str(error) or type(error).__name__)

    def _keep_reading(self, opened: tuple[Reader, np.ndarray] | None, max_wait_s: float) -> None:
        """Nobody else touches a capture: releasing it during a read crashes."""
        pause_s = PAUSE_S
        while not self._closed.is_set():
            opened = opened or self._open(REOPEN_S if self._delivered else max_wait_s)
            if opened is not None:
                began_s = time.monotonic()
                self._deliver(*opened)
                opened = None
                if time.monotonic() - began_s > STEADY_S:
                    pause_s = PAUSE_S
            self._closed.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _deliver(self, reader: Reader, image: np.ndarray | None) -> None:
        """Publish frames until no more come. A read gives up after STALL_S."""
        if self._delivered:
            tell(f"Camera {self.name} is back.")
        while image is not None and not self._closed.is_set():
            with self._changed:
                self._newest = image, time.monotonic()
                self._delivered = True
                self._changed.notify_all()
            image = reader.read()
        reader.close()
        if not self._closed.is_set():
            tell(f"Camera {self.name} stopped delivering; trying again …")

    def _open(self, timeout_s: float) -> tuple[Reader, np.ndarray] | None:
        """A reader and its first frame, or None; _failed says why."""
        try:
            if self._address is None:
                return self._open_device()
            return open_stream(self._address, timeout_s, STALL_S, self._closed.wait)
        except Refused as refused:
            self._failed = refused
            return None

    def _open_device(self) -> tuple[Reader, np.ndarray]:
        """Raises Refused where no way leads to a frame."""
        failed = []
        for backend, target in device_ways(self._camera):
            capture = open_device(backend, target, self._size, self._fps)
            image = next_image(capture)
            if image is not None:
                fps = capture.get(cv2.CAP_PROP_FPS)
                if 0 < fps <= 1000:
                    self.fps = fps
                return Capture(capture), image
            went = "opened it but got no frame" if capture.isOpened() else "could not open it"
            failed.append(f"{cv2.videoio_registry.getBackendName(backend)} {went}")
            capture.release()
        raise Refused(", ".join(failed), final=False)


def list_cameras() -> list[str]:
    """The cameras of this machine by index: "0 (HD Webcam)", or "0" where names aren't known."""
    quiet_opencv()
    if sys.platform == "linux":
        names = (path.name for path in Path("/dev").glob("video*"))
        return [_title(i) for i in sorted(int(n[5:]) for n in names if n[5:].isdecimal())]
    answered: list[str] = []  # by trying a few, for PROBE_S at most

    def probe() -> None:
        for index in map(str, range(5)):
            if any(cv2.VideoCapture(i, backend).isOpened() for backend, i in device_ways(index)):
                answered.append(index)

    thread = threading.Thread(target=probe, daemon=True)  # opening a camera may hang
    thread.start()
    thread.join(PROBE_S)
    return answered.copy()


def camera_choices() -> str:
    """What to do about a camera that can't be had: the cameras here, and the demo."""
    cameras = ", ".join(list_cameras()) or "none"
    return f"Cameras here: {cameras}. Choose another, or look around with `--camera demo`."


def is_device(camera: str) -> bool:
    """Whether it names a camera of this machine: an index or, on Linux, a path below /dev."""
    return camera.isdecimal() or (sys.platform == "linux" and camera.startswith("/dev/"))


def _title(index: int) -> str:
    try:
        title = Path(f"/sys/class/video4linux/video{index}/name").read_text("utf-8", "replace")
    except OSError:
        return str(index)
    return f"{index} ({title.strip()})"
