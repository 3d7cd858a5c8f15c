"""What `run.py doctor` finds: what the live loop needs, what is missing, and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from calibration.threshold import calibration_path, load
from engines.encoder import Encoder, encoder_path, open_encoder
from engines.finding import Finding, run_check
from engines.selftest.machine import examine_machine, find_gpu
from realtime.hands import model as hand_model

REQUIREMENTS = "requirements.txt"
PACKAGES = {  # the release that is needed, where another won't do
    "numpy": "",
    "opencv-python": "",
    "mediapipe": "0.10.31",
    "rich": "",
    "platformdirs": "",
    "pygame-ce": "",
}


def examine(encoder: str, engine: str, model: str | None) -> Iterator[Finding]:
    """Examine this machine, then what the live loop needs on it.

    Opens no network connection, and no camera on Linux. The arguments are those of --encoder,
    --engine and --hand-model.
    """
    yield _python()
    for package, wanted in PACKAGES.items():
        yield _package(package, wanted)
    yield from examine_machine(find_gpu())
    yield run_check("hand model", lambda: _hand_model(model), REQUIREMENTS)
    yield run_check("cameras", _cameras, REQUIREMENTS)
    yield run_check("display", _display, REQUIREMENTS)
    yield run_check("encoder", lambda: _encoder(encoder, engine), REQUIREMENTS)


def _python() -> Finding:
    version = platform.python_version()
    ok = (3, 10) <= sys.version_info[:2]
    found = f"{version} on {platform.platform(terse=True)}"
    return Finding("Python", ok, found, "" if ok else "install Python 3.10 or later")


def _package(name: str, wanted: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install -r {REQUIREMENTS}")
    if wanted and version != wanted:
        return Finding(name, False, version, f"pip install {name}=={wanted}")
    return Finding(name, True, version)


def _hand_model(override: str | None) -> Finding:
    cached = hand_model.cached_path()
    named = override or os.environ.get(hand_model.ENVIRONMENT)
    if named is None and not cached.is_file():
        return Finding("hand model", None, "not fetched yet", "any start of run.py fetches it")
    path = hand_model.hand_model(override)
    from realtime.hands.detector import HandDetector

    HandDetector(path, video=False).close()
    return Finding("hand model", True, str(path))


def _cameras() -> Finding:
    from realtime.sources.camera import list_cameras

    cameras = list_cameras()
    if cameras:
        return Finding("cameras", True, ", ".join(cameras))
    return Finding("cameras", None, "none", "plug one in, or use --camera demo")


def _display() -> Finding:
    from realtime.views.window import has_display

    if has_display():
        return Finding("display", True, "there is one")
    return Finding("display", None, "none", "the terminal view is used")


def _encoder(name: str, engine: str) -> Finding:
    with closing(open_encoder(name, engine)) as encoder:
        path = calibration_path(encoder_path(name))
        what = encoder.spec.name
        if not path.is_file():
            advice = f"python run.py calibrate DIR --encoder {name}"
            return Finding("encoder", False, f"{what}, not calibrated", advice)
        far = load(path, encoder.fingerprint).far
        speed = _milliseconds(encoder)
    found = f"{what} on {encoder.engine}, calibrated at {far:g}, {speed} per hand"
    return Finding("encoder", True, found)


def _milliseconds(encoder: Encoder) -> str:
    """Median time of one hand over a hundred, after a few to warm up."""
    size, rng = encoder.spec.crop_size, np.random.default_rng(0)
    points = rng.random((2, 1, 21, 3), np.float32)
    hand = (rng.integers(0, 256, (1, size, size, 3), np.uint8), *points)
    times = []
    for _ in range(110):
        began = time.perf_counter()
        encoder.encode(*hand)
        times.append(time.perf_counter() - began)
    return f"{1000 * float(np.median(times[10:])):.1f} ms"
