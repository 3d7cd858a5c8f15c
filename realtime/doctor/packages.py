"""Whether the packages that the live loop needs are here, asked of the modules themselves.

One module may come from any of several packages, or from the system: `cv2` does from four.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Iterator, Sequence

import numpy as np

from engines.errors import RIVALS
from engines.finding import Finding, run_check

REQUIREMENTS = "requirements.txt"


def examine_packages() -> Iterator[Finding]:
    """Check what is imported in any run of the live loop."""
    yield run_check("numpy", lambda: _module("numpy"), REQUIREMENTS)
    yield run_check("OpenCV", _opencv, REQUIREMENTS)
    yield run_check("rich", lambda: _module("rich"), REQUIREMENTS)
    yield run_check("platformdirs", lambda: _module("platformdirs"), REQUIREMENTS)
    yield run_check("pygame", _pygame, REQUIREMENTS)


def check_release(package: str, wanted: str) -> Finding:
    """Whether a package is installed in the one release that will do."""
    found = installed_of([package]).get(package)
    if found is None:
        return Finding(package, False, "not installed", f"pip install -r {REQUIREMENTS}")
    advice = "" if found == wanted else f"pip install {package}=={wanted}"
    return Finding(package, found == wanted, found, advice)


def installed_of(packages: Sequence[str]) -> dict[str, str]:
    """The releases of those packages that pip knows of."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _module(name: str) -> Finding:
    module = importlib.import_module(name)
    version = installed_of([name]).get(name) or getattr(module, "__version__", "of unknown release")
    return Finding(name, True, str(version))


def _opencv() -> Finding:
    """It can decode what it encodes, and has FFmpeg to read videos and streams with."""
    import cv2

    square = np.full((8, 8, 3), 90, np.uint8)
    decoded = cv2.imdecode(cv2.imencode(".png", square)[1], cv2.IMREAD_COLOR)
    if decoded is None or not np.array_equal(decoded, square):
        return Finding("OpenCV", False, f"{cv2.__version__} decodes no PNG", _anew(RIVALS["cv2"]))
    finding = _from_one_of("OpenCV", cv2.__version__, RIVALS["cv2"])
    if cv2.CAP_FFMPEG not in cv2.videoio_registry.getBackends():
        found = f"{finding.found}, without FFmpeg: no video files, no addresses"
        return Finding("OpenCV", None, found, _anew(RIVALS["cv2"]))
    return finding


def _pygame() -> Finding:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would greet on stdout
    pygame = importlib.import_module("pygame")
    return _from_one_of("pygame", pygame.version.ver, RIVALS["pygame"])


def _from_one_of(what: str, version: str, packages: Sequence[str]) -> Finding:
    """A module that works; several packages that bring it are no fault yet."""
    there = installed_of(packages)
    if len(there) > 1:
        found = f"{version}, of {' and '.join(there)}: they overwrite each other's files"
        return Finding(what, None, found, _anew(packages))
    return Finding(what, True, f"{version} ({', '.join(there) or 'not from pip'})")


def _anew(packages: Sequence[str]) -> str:
    return f"pip uninstall -y {' '.join(packages)} && pip install -r {REQUIREMENTS}"
