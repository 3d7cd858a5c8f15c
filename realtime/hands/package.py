"""MediaPipe's package, which only `--detector mediapipe` needs: is it here, can it be had?"""

from __future__ import annotations

import importlib.util
import platform
import sys

from engines.errors import UserError

VERSION = "0.10.31"
# What that release has wheels for, as requirements.txt says: sys.platform, platform.machine().
WHEELS = (("linux", "x86_64"), ("darwin", "arm64"), ("win32", "AMD64"))


def what_is_missing() -> str:
    """A sentence that says what to do where the package isn't installed; "" where it is."""
    if importlib.util.find_spec("mediapipe") is not None:
        return ""
    needs = "--detector mediapipe needs the package mediapipe, which"
    if (sys.platform, platform.machine()) in WHEELS:
        return f"{needs} isn't installed. Install it with: pip install mediapipe=={VERSION}"
    here = f"{platform.system()} on {platform.machine()}"
    return f"{needs} has no wheel for {here}: use --detector engine."


def check_package() -> None:
    """Raise UserError, which says what to do, where the package isn't installed."""
    if sentence := what_is_missing():
        raise UserError(sentence)
