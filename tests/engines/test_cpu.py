"""What the processor is called, and how many of its cores are ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines import cpu


def test_the_processors_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu.platform, "processor", lambda: "")
    monkeypatch.setattr(cpu.platform, "machine", lambda: "arm64")
    assert cpu.processor_name() == "arm64"
    cpu.INFO.write_text("processor\t: 0\nmodel name\t: AMD EPYC: 7\nmodel name\t: other\n")
    assert cpu.processor_name() == "AMD EPYC: 7"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of our own, on a machine whose 64 cores are all ours."""
    monkeypatch.setattr(cpu, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(cpu, "GROUPS", tmp_path / "fs")
    every = set(range(64))
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda pid: every, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        ("0::/a/b", {"a/b/cpu.max": "150000 100000"}, 2),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", {"cpu.max": "400000 100000"}, 4),  # a container sees its own group as the root
        ("0::/", {"cpu.max": "10000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, 64),
        ("0::/", {}, 64),
        (
            "4:memory:/x\n1:cpu:/c",
            {"cpu/c/cpu.cfs_quota_us": "250000", "cpu/c/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("nonsense", {"cpu.max": "nonsense"}, 64),
    ],
)
def test_cores_are_those_that_control_groups_allow(
    groups: Path, own: str, files: dict[str, str], count: int
) -> None:
    cpu.OWN_GROUPS.write_text(own + "\n")
    for name, text in files.items():
        (cpu.GROUPS / name).parent.mkdir(parents=True, exist_ok=True)
        (cpu.GROUPS / name).write_text(text + "\n")
    assert cpu.cores() == count


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux tells the affinity")
def test_cores_are_those_of_the_affinity() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpu.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
