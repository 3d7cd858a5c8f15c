"""`run.py doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import numpy as np

from calibration.threshold import calibration_path, load
from engines.encoder import Encoder, encoder_path, open_encoder
from engines.errors import UserError
from engines.finding import Finding
from engines.onnx_runtime.providers import PACKAGES as ONNX_RUNTIMES
from engines.selftest.machine import find_gpu
from realtime.hands import model as hand_model

PACKAGES = {
    "numpy": "", "opencv-python": "", "mediapipe": "0.10.31", "rich": "", "platformdirs": "",
    "pygame-ce": "",
}  # fmt: skip


def examine(encoder: str, engine: str, model: str | None) -> Iterator[Finding]:
    """All findings, cheap ones first. Opens no network connection and no camera on Linux."""
    yield _python()
    for package, wanted in PACKAGES.items():
        yield _package(package, wanted)
    yield _onnx_runtime()
    yield _guarded("hand model", lambda: _hand_model(model))
    yield _guarded("cameras", _cameras)
    yield _display()
    yield _guarded("encoder", lambda: _encoder(encoder, engine))
    yield _gpu()


def _python() -> Finding:
    version = platform.python_version()
    ok = (3, 10) <= sys.version_info[:2]
    return Finding("Python", ok, f"{version} on {platform.platform(terse=True)}",
                   "" if ok else "install Python 3.10 or later")  # fmt: skip


def _package(name: str, wanted: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", "pip install -r requirements.txt")
    if wanted and version != wanted:
        return Finding(name, False, version, f"pip install {name}=={wanted}")
    return Finding(name, True, version)


def _onnx_runtime() -> Finding:
    """Any of the packages that bring it will do, but only one of them."""
    versions = {}
    for name in ONNX_RUNTIMES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    if not versions:
        return Finding("onnxruntime", False, "not installed", "pip install -r requirements.txt")
    found = ", ".join(f"{version} ({name})" for name, version in versions.items())
    if len(versions) > 1:
        last = list(versions)[-1]
        return Finding("onnxruntime", None, f"{found}: they overwrite each other's files",
                       f"pip uninstall -y {' '.join(versions)} && pip install {last}")  # fmt: skip
    return Finding("onnxruntime", True, found)


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
            return Finding("encoder", False, f"{what}, not calibrated",
                           f"python run.py calibrate DIR --encoder {name}")  # fmt: skip
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


def _gpu() -> Finding:
    gpu = find_gpu()
    if gpu is None:
        return Finding("GPU", None, "no NVIDIA driver with a GPU answers", "the CPU is used")
    return Finding("GPU", None, f"{gpu.name}, {gpu.capability}, driver {gpu.driver or 'unknown'}")


def _guarded(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (UserError, ImportError) as error:
        return Finding(what, False, "doesn't work", str(error))
