"""What `run.py doctor` finds: what the live loop needs, what is missing, and what to do."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from calibration.threshold import calibration_path, load
from engines.encoder import Encoder, encoder_path, open_encoder
from engines.errors import UserError
from engines.finding import Finding, run_check
from engines.selftest.machine import examine_machine, find_gpu
from realtime.doctor.packages import REQUIREMENTS, check_release, examine_packages
from realtime.drawn.hand import draw_hand
from realtime.drawn.pose import HandPose, joints
from realtime.hands import model as hand_model
from realtime.hands.package import VERSION, what_is_missing
from realtime.measuring.drawn_crops import drawn_crops
from realtime.settings import Settings

MEDIAPIPE = "--detector mediapipe"


def examine(encoder: str, engine: str, detector: str, model: str | None) -> Iterator[Finding]:
    """Examine this machine, then what the live loop needs on it.

    Opens no network connection, and no camera on Linux. The arguments are those of --encoder,
    --engine, --detector and --hand-model.
    """
    yield _python()
    yield from examine_packages()
    used = detector == "mediapipe"
    yield run_check("mediapipe", lambda: _mediapipe(used), REQUIREMENTS)
    yield from examine_machine(find_gpu())
    yield run_check("hand model", lambda: _hand_model(used, model), REQUIREMENTS)
    yield run_check("detector", lambda: _detector(detector, encoder, engine, model), REQUIREMENTS)
    yield run_check("cameras", _cameras, REQUIREMENTS)
    yield run_check("display", _display, REQUIREMENTS)
    yield run_check("encoder", lambda: _encoder(encoder, engine), REQUIREMENTS)


def _python() -> Finding:
    version = platform.python_version()
    ok = (3, 10) <= sys.version_info[:2]
    found = f"{version} on {platform.platform(terse=True)}"
    return Finding("Python", ok, found, "" if ok else "install Python 3.10 or later")


def _mediapipe(used: bool) -> Finding:
    """The package, if MediaPipe's detector is used; else only whether it is there."""
    if used and (advice := what_is_missing()):
        return Finding("mediapipe", False, "not installed", advice)
    finding = check_release("mediapipe", VERSION)
    if used or finding.ok:
        return finding
    return Finding("mediapipe", None, f"{finding.found}, needed only for {MEDIAPIPE}")


def _hand_model(used: bool, override: str | None) -> Finding:
    if not used:
        return Finding("hand model", None, f"not needed, only for {MEDIAPIPE}")
    if _is_fetched(override):
        return Finding("hand model", True, str(hand_model.hand_model(override)))
    return Finding("hand model", None, "not fetched yet", f"any start with {MEDIAPIPE} fetches it")


def _is_fetched(override: str | None) -> bool:
    named = override or os.environ.get(hand_model.ENVIRONMENT)
    return named is not None or hand_model.cached_path().is_file()


def _detector(kind: str, name: str, engine: str, model: str | None) -> Finding:
    """Open what finds hands, and let it find a drawn one."""
    from realtime.hands.opening import open_detector

    which = f"{kind}, {'the default' if kind == Settings.detector else 'as --detector says'}"
    if kind == "mediapipe" and not _is_fetched(model):
        return Finding("detector", None, f"{which}: not tried, since the hand model isn't here")
    try:
        encoder = open_encoder(name, engine)
    except UserError:
        return Finding("detector", None, f"{which}: not tried, since the encoder can't be opened")
    with (
        closing(encoder),
        open_detector(kind, encoder, video=False, max_hands=1, model=model) as detector,
    ):
        found = detector.detections(draw_hand(joints(HandPose())))
    one_pass = kind == "engine" and encoder.spec.one_pass
    networks = f"{detector.engine}{f' ({encoder.spec.name})' if one_pass else ''}"
    what = "a drawn hand is found" if found else "no hand is found in a drawing of one"
    return Finding("detector", bool(found), f"{which}: {networks}; {what}")


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
    found = f"{what} on {encoder.engine}, calibrated at {far:g}, {speed}"
    return Finding("encoder", True, found)


def _milliseconds(encoder: Encoder) -> str:
    """Median time of one hand over a hundred, after a few to warm up."""
    hand = drawn_crops(1, encoder.spec.crop_size)
    times = []
    for _ in range(110):
        began = time.perf_counter()
        if encoder.spec.one_pass:
            encoder.look(hand.crops, hand.turns)
        else:
            encoder.encode(hand)
        times.append(time.perf_counter() - began)
    included = ", landmarks included" if encoder.spec.one_pass else ""
    return f"{1000 * float(np.median(times[10:])):.1f} ms per hand{included}"
