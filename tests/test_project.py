"""The project's files agree with one another: one version of a package, whoever names it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from engines.onnx_runtime.providers import PACKAGES as ONNX_RUNTIMES
from realtime.doctor.packages import CHECKS
from realtime.hands import package

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"([A-Za-z][\w.-]*(?:\[\w+\])?)((?:[<>]=?|==)[\d.]+(?:,[<>]=?[\d.]+)*)")
ROOMS = ("engines", "calibration", "realtime", "train")
NETWORKS = "mediapipe==0.10.21"  # the last wheel that holds the hand networks


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_a_package_has_one_pin_whoever_names_it() -> None:
    """Requirement files with their comments, documents, and messages that say what to install."""
    requirements = [*ROOT.glob("requirements*.txt"), *ROOT.glob("requirements/*.txt")]
    pins: dict[str, str] = {}
    for path in requirements:
        for line in path.read_text(encoding="utf-8").splitlines():
            found = PIN.match(line)
            if found:
                assert pins.setdefault(found[1], found[2]) == found[2], line
    assert {"onnx", "numpy", "torch", "pytest"} <= set(pins)
    code = [ROOT / "run.py", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    for path in [*requirements, *code, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for name, pin in PIN.findall(path.read_text(encoding="utf-8")):
            if f"{name}{pin}" != NETWORKS:
                assert pins.get(name, pin) == pin, f"{path} names {name}{pin}"


def test_extras_are_the_requirement_files(project) -> None:
    """setuptools reads no file that names another; people install those that do."""
    dynamic = project["tool"]["setuptools"]["dynamic"]
    assert dynamic["dependencies"] == {"file": ["requirements.txt"]}
    extras = dynamic["optional-dependencies"]
    assert set(extras) == {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    for name, source in extras.items():
        assert source == {"file": [f"requirements/{name}.txt"]}
        lines = (ROOT / f"requirements-{name}.txt").read_text(encoding="utf-8").splitlines()
        wanted = [line for line in lines if line and not line.startswith("#")]
        assert wanted == ["-r requirements.txt", f"-r requirements/{name}.txt"]
    for path in (ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.txt")):
        assert not re.search(r"^\s*-", path.read_text(encoding="utf-8"), re.MULTILINE), path


def live_requirements() -> dict[str, Requirement]:
    """requirements.txt by name."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [Requirement(line.split(" #")[0]) for line in lines if not line.startswith("#")]
    return {each.name: each for each in named}


def test_doctor_looks_for_what_is_required() -> None:
    required = live_requirements()
    assert set(required) - set(ONNX_RUNTIMES) == {*CHECKS, "mediapipe"}
    assert str(required["mediapipe"].specifier) == f"=={package.VERSION}"


def test_mediapipe_is_required_where_it_has_a_wheel() -> None:
    marker = live_requirements()["mediapipe"].marker
    assert isinstance(marker, Marker)
    for system in ("linux", "darwin", "win32"):
        for machine in ("x86_64", "AMD64", "arm64", "aarch64", "ARM64", "armv7l"):
            here = {"sys_platform": system, "platform_machine": machine}
            assert marker.evaluate(here) == ((system, machine) in package.WHEELS), here


def test_the_command_and_its_version_are_those_of_run_py(project) -> None:
    assert project["project"]["scripts"] == {"one-shot-gestures": "run:main"}
    module, _, name = project["tool"]["setuptools"]["dynamic"]["version"]["attr"].partition(".")
    code = f"import {module}; print({module}.{name})"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", answer.stdout.strip())


def test_every_room_is_packaged(project) -> None:
    find = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.removesuffix("*") for name in find} == {*ROOMS, "models"}
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == {*ROOMS, "tests"}
