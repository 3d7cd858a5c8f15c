"""The window on a virtual display, driven by real key presses."""

from __future__ import annotations

import functools
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calibration.threshold import FARS
from realtime.gallery.gallery import Gallery
from realtime.views.overlay import HELP, INK, SEEN, STRIP, write
from tests.cli import environment, hand_picture, parsed, start_py, starts, teach, write_video

TOOLS = ("Xvfb", "openbox", "xdotool", "xprop", "import")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("hand_model_path"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]
CLOSE = "alt+F4"  # openbox asks the window to close, as a title bar's cross does
WAIT_S = 500.0  # for what takes a few seconds; less than pytest waits for a test


def until(condition: Callable[[], Any], what: str) -> Any:
    """What the condition gives, once it is true."""
    pause, deadline = threading.Event(), time.monotonic() + WAIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        pause.wait(0.05)
    return value


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1000x800x24", "-nolisten", "tcp"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        number = server.stdout.readline().strip()
        assert number.isdecimal(), "Xvfb did not start"
        env = environment(DISPLAY=f":{number}")
        manager = ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"]
        with subprocess.Popen(["openbox"], env=env, stderr=subprocess.DEVNULL) as openbox:
            until(
                lambda: (
                    b"window id" in subprocess.run(manager, env=env, capture_output=True).stdout
                ),
                "the window manager",
            )
            yield f":{number}"
            openbox.terminate()
        server.terminate()


class Program:
    """`run.py` with its window, and a hand at the keyboard."""

    def __init__(self, display: str, folder: Path, *camera: object) -> None:
        self.folder = folder
        self.env, self.events = environment(DISPLAY=display), folder / "events.jsonl"
        options = ("--view", "window", "--events", self.events, "--log-frames")
        self.process = start_py(
            "--camera", *camera, "--gallery", "gestures", *options, cwd=folder, env=self.env
        )
        search = ("search", "--onlyvisible", "--pid", str(self.process.pid))
        try:
            self.window = until(lambda: self.alive() and self._do(*search), "the window")
            self._do("windowactivate", "--sync", self.window)
        except BaseException:
            self.process.kill()
            raise

    def _do(self, *arguments: str) -> str:
        command = ["xdotool", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True).stdout.strip()

    def alive(self) -> bool:
        assert self.process.poll() is None, f"it ended: {self.process.communicate()}"
        return True

    def key(self, *names: str) -> None:
        self._do("key", "--delay", "20", *names)

    def type(self, text: str) -> None:
        self._do("type", "--delay", "20", text)

    def screen(self) -> np.ndarray:
        """What the window shows now: uint8 (H, W, 3) BGR."""
        command = ["import", "-silent", "-window", self.window, "png:-"]
        run = subprocess.run(command, env=self.env, capture_output=True, check=True)
        picture = cv2.imdecode(np.frombuffer(run.stdout, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return picture

    def prompted(self) -> bool:
        return self.alive() and likeness(self.screen(), "Name this gesture:", 20) > 0.9

    def helps(self) -> bool:
        screen = self.screen()
        return all(likeness(screen, line, 20) > 0.9 for line in HELP)

    def written(self) -> str:
        """The events file, without a line that is still being written."""
        return self.events.read_text().rpartition("\n")[0]

    def started(self) -> list[str]:
        return starts(parsed(self.written())[1])

    def frames(self) -> int:
        return len(parsed(self.written())[2])

    def goes_on(self) -> None:
        seen = self.frames()
        until(lambda: self.alive() and self.frames() > seen, "the next frames")

    def labels(self) -> dict[str, int]:
        return Gallery(self.folder / "gestures").labels()

    def end(self) -> list[dict[str, Any]]:
        """Once it has ended by itself: its gesture lines."""
        out, err = self.process.communicate(timeout=WAIT_S)
        assert (self.process.returncode, out) == (0, "")
        # What the demo's hand does when it is recorded depends on the moment.
        gallery, *rest = err.splitlines()
        assert gallery.endswith("in gestures") and gallery.startswith("1 recorded")
        assert [line for line in rest if not line.startswith("warning: ")] == []
        return parsed(self.events.read_text())[1]


def likeness(screen: np.ndarray, text: str, size: int, colour: tuple[int, int, int] = INK) -> float:
    """How surely a text stands somewhere in a picture: about 1 where it does."""
    canvas = np.zeros((2 * size, 640, 3), np.uint8)
    write(canvas, text, (4, size + 6), size, colour)
    channel = int(np.argmax(colour))
    x, y, width, height = cv2.boundingRect(canvas[:, :, channel])
    ink = canvas[y : y + height, x : x + width, channel]
    return float(cv2.matchTemplate(screen[:, :, channel], ink, cv2.TM_CCOEFF_NORMED).max())


def far_shown(screen: np.ndarray) -> float:
    """The share of false accepts in the status line."""
    return max(FARS, key=lambda far: likeness(screen[:26], f"false accepts {100 * far:g} %", 15))


@pytest.fixture(scope="module")
def fist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery that holds a gesture of another name, so that the demo's own aren't put in."""
    folder = tmp_path_factory.mktemp("fist")
    teach(folder / "gestures", "Fist")
    Gallery(folder / "gestures").rename("Fist", "Odd One")
    return folder / "gestures"


@pytest.fixture
def start(display: str, fist: Path, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def starting(*camera: object) -> Program:
        shutil.copytree(fist, tmp_path / "gestures")
        programs.append(Program(display, tmp_path, *camera))
        return programs[-1]

    yield starting
    for program in programs:
        program.process.kill()
        program.process.communicate()


def test_recording(start: Callable[..., Program], tmp_path: Path) -> None:
    hand = [hand_picture("Victory", centre=(315 + i, 372)) for i in range(6)]
    pictures = (hand[abs(5 - i % 10)] for i in range(15 * 180))
    window = start(write_video(tmp_path / "victory.mp4", pictures, 15), "--realtime")

    window.key("r")
    until(window.prompted, "the prompt")
    window.goes_on()  # recognition doesn't wait for the name
    window.type("Peace And QUIET 2!")
    window.key("Return")
    until(lambda: window.labels() == {"Odd One": 1, "Peace And QUIET 2!": 1}, "the reference")
    until(lambda: window.started() == ["Peace And QUIET 2!"], "its start")

    window.key("r")
    until(window.prompted, "the prompt")
    window.type("Not this")
    window.key("Escape")
    until(lambda: not window.prompted(), "the prompt's end")
    window.goes_on()  # Esc dropped the picture, not the program
    assert window.labels() == {"Odd One": 1, "Peace And QUIET 2!": 1}
    # The hand held nothing while it was recorded.
    until(lambda: len(window.started()) >= 2, "its start after the prompt")

    window.key("d")
    until(lambda: window.labels() == {"Odd One": 1}, "the deletion")
    window.key("u")
    until(lambda: window.labels() == {"Odd One": 1, "Peace And QUIET 2!": 1}, "the undoing")
    window.key("d")
    until(lambda: window.labels() == {"Odd One": 1}, "the deletion")
    window.goes_on()
    window.key("q")
    events = window.end()
    assert {line["label"] for line in events} == {"Peace And QUIET 2!"}
    # Whether it ended before it came back depends on the moment; every start has its end.
    kinds = [line["kind"] for line in events]
    assert kinds == ["start", "end"] * (len(kinds) // 2) and len(kinds) >= 4


def test_the_window_tells_how_to_show_it(start: Callable[..., Program]) -> None:
    window = start("demo")

    def told() -> bool:
        if window.prompted():  # too late to see it: once more
            window.key("Escape")
            until(lambda: not window.prompted(), "the prompt's end")
        window.key("r")
        screen = window.screen()
        return likeness(screen, "of 5 views", 16) > 0.9 and likeness(screen, "turn", 32, SEEN) > 0.9

    until(told, "what to do")
    window.key(CLOSE)
    window.end()


def test_names_are_typed_and_corrected(start: Callable[..., Program]) -> None:
    window = start("demo")
    window.key("r")
    until(window.prompted, "the prompt")
    window.key("Return", "space", "Return")  # nothing to see: the prompt stays
    window.type("Two Wrongx")
    window.key("BackSpace", "BackSpace", "g", "Return")
    until(lambda: len(window.labels()) == 2, "the reference")
    assert set(window.labels()) == {"Odd One", "Two Wrong"}
    until(lambda: not window.prompted(), "the prompt's end")
    window.key("r")
    until(window.prompted, "the prompt")
    window.key(CLOSE)  # ends the program from within the prompt too
    window.end()
    assert set(window.labels()) == {"Odd One", "Two Wrong"}


def test_other_keys(start: Callable[..., Program], tmp_path: Path) -> None:
    window = start("demo")
    assert window.screen().shape == (480 + STRIP, 640, 3)
    assert far_shown(window.screen()) == 0.01
    for keys, far in ((["plus"], 0.02), (["minus", "minus"], 0.005), (["equal"], 0.01)):
        window.key(*keys)
        shown = functools.partial(lambda far: far_shown(window.screen()) == far, far)
        until(shown, f"false accepts of {far}")

    assert not window.helps()
    window.key("h")
    until(window.helps, "the help")
    window.key("h")
    until(lambda: not window.helps(), "the help's end")

    window.key("p")
    until(lambda: likeness(window.screen(), "paused", 48) > 0.8, "the pause")
    still, seen = window.screen(), window.frames()
    assert all(np.array_equal(window.screen()[30:440], still[30:440]) for _ in range(5))
    assert window.frames() == seen
    window.key("s")  # keys work meanwhile
    [path] = until(lambda: list((tmp_path / "snapshots").glob("*.png")), "the snapshot")
    snapshot = cv2.imread(str(path))
    assert snapshot is not None and snapshot.shape == (480 + STRIP, 640, 3)
    window.key("space")
    window.goes_on()

    window.key(CLOSE)
    window.end()


CODES = {"r": 27, "d": 40, "u": 30, "h": 43, "q": 24}  # X11's numbers of places


@pytest.mark.skipif(shutil.which("setxkbmap") is None, reason="needs setxkbmap")
@pytest.mark.parametrize("layout", ["ru", "gr", "il", "dvorak"])
def test_keys_on_other_layouts(start: Callable[..., Program], display: str, layout: str) -> None:
    """By their places where there are no Latin letters, else by their letters."""

    def set_layout(*names: str) -> None:
        command = ["setxkbmap", "-display", display, *names]
        subprocess.run(command, check=True, capture_output=True)

    places = CODES
    if layout == "dvorak":
        places = {"r": 32, "d": 43, "u": 41, "h": 44, "q": 53}
    set_layout(*(("us", "-variant", "dvorak") if layout == "dvorak" else (layout,)))
    try:
        window = start("demo")
        window.key(str(places["h"]))
        until(window.helps, "the help")
        window.key(str(places["h"]))
        until(lambda: not window.helps(), "the help's end")
        window.key(str(places["d"]))
        until(lambda: window.labels() == {}, "the deletion")
        window.key(str(places["u"]))
        until(lambda: window.labels() == {"Odd One": 1}, "the undoing")
        window.key(str(places["r"]))
        until(window.prompted, "the prompt")
        window.key("Escape")
        until(lambda: not window.prompted(), "the prompt's end")
        window.key(str(places["q"]))
        window.end()
    finally:
        set_layout("us")


def test_escape_quits(start: Callable[..., Program]) -> None:
    window = start("demo")
    window.key("Escape")
    window.end()
