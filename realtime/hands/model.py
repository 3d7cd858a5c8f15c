"""The hand model of `--detector mediapipe`: a cached file, made once from MediaPipe's own wheel.

The MediaPipe release in use contains no models, but the 0.10.21 wheel does. pip fetches that wheel
through the index that the user's pip is configured for. Two files are taken out, verified by their
SHA-256, and bundled as MediaPipe's Tasks API expects. Apache-2.0, see NOTICE.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, TextColumn

from engines.errors import UserError, short_reason
from engines.files import cache_folder, explain_errors, replace_file, temporary_folder
from engines.say import progress, tell

ENVIRONMENT = "GESTURES_HAND_MODEL"
WHEEL = "mediapipe==0.10.21"
WHEEL_BYTES = 35_622_638
NETWORKS = {  # name in the bundle: (path in the wheel, SHA-256)
    "hand_detector.tflite": (
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    ),
    "hand_landmarks_detector.tflite": (
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
}
PIP_ARGUMENTS = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--python-version",
    "3.11",
    "--platform",
    "manylinux_2_28_x86_64",
    WHEEL,
)
BY_HAND = f"pip {' '.join(PIP_ARGUMENTS)}"


def cached_path() -> Path:
    """Return the path of the cached model. Raises UserError where there is no cache."""
    return cache_folder() / "hand_landmarker-0.10.21.task"


def hand_model(override: str | None = None) -> Path:
    """Return the hand model to use; fetch it into the cache if there is none yet.

    Args:
        override: --hand-model; takes precedence over $GESTURES_HAND_MODEL and the cache. A .whl is
            bundled into the cache.

    Raises:
        UserError: The named file doesn't exist or is unsuitable, or the model can't be fetched.
    """
    chosen = override or os.environ.get(ENVIRONMENT)
    if chosen:
        path = Path(os.path.expanduser(chosen))
        if not path.is_file():
            option = "--hand-model" if override else f"${ENVIRONMENT}"
            raise UserError(
                f"{option} names {path}, which is no file. It takes MediaPipe's "
                f"hand_landmarker.task, or the wheel that this fetches: {BY_HAND}"
            )
        if path.suffix != ".whl":
            return path
        bundle(path, cached_path())
    if not cached_path().is_file():
        _fetch()
    return cached_path()


def bundle(wheel: Path, target: Path) -> None:
    """Bundle the two networks of a MediaPipe wheel as a .task file, written atomically.

    Raises:
        UserError: The wheel lacks the networks or has others, or the file can't be written.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            networks = {name: archive.read(path) for name, (path, _) in NETWORKS.items()}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{wheel} doesn't hold MediaPipe's hand networks ({short_reason(error)}). Fetch it "
            f"with: {BY_HAND}"
        ) from None
    for name, (path, expected) in NETWORKS.items():
        found = hashlib.sha256(networks[name]).hexdigest()
        if found != expected:
            raise UserError(
                f"{path} in {wheel.name} has SHA-256 {found[:12]}…, expected {expected[:12]}…: "
                f"it was altered on its way. Fetch it again from an index you trust: {BY_HAND}"
            )
    remedy = (
        "Make room or give write permission there, or fetch it by hand and pass it with "
        f"--hand-model: {BY_HAND}"
    )
    with explain_errors(f"The hand model can't be kept in {target.parent}", remedy):
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(target) as file, zipfile.ZipFile(file, "w") as archive:
            for name, data in networks.items():  # uncompressed, since MediaPipe maps them
                archive.writestr(name, data)


def _fetch() -> None:
    if importlib.util.find_spec("pip") is None:
        raise UserError(
            "The hand model isn't here yet, and this Python has no pip to fetch it with. Run "
            "`uv pip install pip` (or `python -m ensurepip`) and start again, or fetch it "
            f"elsewhere with `{BY_HAND}` and pass that file with --hand-model."
        )
    tell(
        "First use of --detector mediapipe: fetching MediaPipe's hand-landmark networks "
        "(Apache-2.0, 36 MB) out of its 0.10.21 wheel with pip, once; they stay in "
        f"{cached_path().parent}."
    )
    with temporary_folder() as folder:
        _pip_download(folder)
        wheels = list(folder.glob("mediapipe-*.whl"))
        if not wheels:
            raise UserError(f"pip fetched no mediapipe wheel. Try it by hand: {BY_HAND}")
        bundle(wheels[0], cached_path())


def _pip_download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", *PIP_ARGUMENTS, "--dest", str(folder)]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2"]
    version = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("pip"))
    if version and (int(version[1]), int(version[2])) >= (24, 1):  # older ones lack raw progress
        command += ["--progress-bar", "raw"]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with started as process, progress(*columns) as bar:
        task = bar.add_task("hand model", total=None)
        lines = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                step = re.match(r"Progress (\d+) of (\d+)", line)
                if step:
                    bar.update(task, completed=int(step[1]), total=int(step[2]))
                elif line.strip():
                    lines.append(line.strip())
            code = process.wait()
        except BaseException:  # Ctrl-C must stop pip, too
            process.kill()
            process.wait()
            raise
        bar.update(task, completed=WHEEL_BYTES, total=WHEEL_BYTES)
    if code != 0:
        reason = next((x for x in reversed(lines) if x.startswith("ERROR")), "pip failed")
        raise UserError(
            f"pip could not fetch the hand model ({reason.removeprefix('ERROR: ')}). Connect to "
            f"the network and start again; or on a connected machine run `{BY_HAND}` and pass "
            "that file with --hand-model."
        )
