"""MediaPipe's package, which only `--detector mediapipe` needs: is it here, can it be had?"""

from __future__ import annotations

import importlib.util
import platform
import sys

from engines.errors import UserError

VERSION = "0.10.31"
# What that release has wheels for, as requirements.txt says: sys.platform, platform.machine().
WHEELS = (("linux", "x86_64"), ("darwin", "arm64"), ("win32", "AMD64"))


def check_package() -> None:
    """Raise UserError, which says what to do, where the package isn't installed."""
    if importlib.util.find_spec("mediapipe") is not None:
        return
    here = platform.machine()
    raise UserError(
        "--detector mediapipe needs the package mediapipe, which isn't installed. Install it with: "
        f"pip install mediapipe=={VERSION}"
        if (sys.platform, here) in WHEELS
        else "--detector mediapipe needs the package mediapipe, which has no wheel for "
        f"{platform.system()} on {here}: use --detector engine."
    )
